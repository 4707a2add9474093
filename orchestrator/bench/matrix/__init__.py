"""Faults of chained IOCs at each moment of a run, and what becomes of the run."""
