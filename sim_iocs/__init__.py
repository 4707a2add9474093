"""Simulated IOCs to develop, teach and test against: one a file, to be read and copied."""
