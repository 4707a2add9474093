"""Requests and their runs: the queue, the check before a run, its events from first to last."""
