"""Measures rows, one after the other."""

from __future__ import annotations

import time

from orchestrator.bench.figures import Figure, RowResult
from orchestrator.bench.measured_process import BenchError
from orchestrator.bench.rig import Rig
from orchestrator.bench.rows import Row


def measure(row: Row, *, quick: bool, rounds: int) -> RowResult:
    """Measure one row; that it could not be measured is a result too."""
    began = time.monotonic()
    figures: list[Figure] = []
    error = ""
    try:
        with Rig(quick=quick, rounds=rounds) as rig:
            figures += row.measure(rig)
    except BenchError as failure:
        error = str(failure)
    return RowResult(row.name, row.title, figures, time.monotonic() - began, error)
