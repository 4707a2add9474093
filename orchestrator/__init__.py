"""Runs sequences across several EPICS IOCs, served as process variables."""
