"""What a test reads of a run's data file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.data import RunStore
from orchestrator.types import Place, Reading, RunHeader, RunStatus, Severity
from sim_iocs.pytest_plugin import pytest_assertrepr_compare
from sim_iocs.testing.outcome import Outcome


async def test_the_data_of_a_run_holds_arrays_of_any_length(tmp_path: Path) -> None:
    """`csv` itself reads no cell of more than 131,072 characters: 10,000 points of a scope."""
    header = RunHeader("1", "scan", channels={"scope.trace": None, "a": None})
    trace = np.random.default_rng(1).normal(size=10_000)
    recorder = RunStore(tmp_path).open(header)
    for value in (trace, trace[:5000]):
        readings = {"scope.trace": Reading("scope.trace", value, 1.5, Severity.MINOR, 0)}
        recorder.row(Place(), {**readings, "a": None})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    outcome = Outcome("Success", "", "1", "scan", recorder.file, ())
    assert outcome.data["scope.trace"].shape == (2, 10_000)
    np.testing.assert_array_equal(outcome.data["scope.trace"][0], trace)
    assert np.isnan(outcome.data["scope.trace"][1][5000:]).all()
    assert np.isnan(outcome.data["a"]).all()
    assert outcome.points == 2
    assert list(outcome.timestamps["scope.trace"]) == [1.5, 1.5]
    assert list(outcome.severities["scope.trace"]) == [1, 1]


def test_a_failed_comparison_of_the_status_tells_the_message() -> None:
    outcome = Outcome("Failed", "steps[2]: the shutter is shut", "1", "scan", "", ())
    assert outcome.points == 0
    for left, right in ((outcome.status, "Success"), ("Success", outcome.status)):
        told = pytest_assertrepr_compare("==", left, right)
        assert told == [
            f"{left!r} == {right!r}", "the run ended as Failed: steps[2]: the shutter is shut",
        ]  # fmt: skip
    assert pytest_assertrepr_compare("==", "a", "b") is None
    assert outcome.status == "Failed"
    assert "events" not in repr(outcome)
