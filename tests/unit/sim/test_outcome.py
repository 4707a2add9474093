"""What a test reads of a run's data file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.store import CsvStore
from orchestrator.types import Place, Reading, RunStatus, Severity
from sim_iocs.testing.outcome import Outcome


async def test_the_data_of_a_run_holds_arrays_of_any_length(tmp_path: Path) -> None:
    """`csv` itself reads no cell of more than 131,072 characters: 10,000 points of a scope."""
    trace = np.random.default_rng(1).normal(size=10_000)
    recorder = CsvStore(tmp_path).open("1", "scan", ["scope.trace", "a"])
    for value in (trace, trace[:5000]):
        readings = {"scope.trace": Reading("scope.trace", value, 1.5, Severity.MINOR, 0)}
        recorder.row(Place(), {**readings, "a": None})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    outcome = Outcome("Success", "", "1", "scan", recorder.file, ())
    assert outcome.data["scope.trace"].shape == (2, 10_000)
    np.testing.assert_array_equal(outcome.data["scope.trace"][0], trace)
    assert np.isnan(outcome.data["scope.trace"][1][5000:]).all()
    assert np.isnan(outcome.data["a"]).all()
    assert list(outcome.timestamps["scope.trace"]) == [1.5, 1.5]
    assert list(outcome.severities["scope.trace"]) == [1, 1]
