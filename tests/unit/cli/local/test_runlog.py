"""The log of a service: its runs, and not a line for each of a flood."""

from __future__ import annotations

from structlog.testing import capture_logs

from orchestrator.cli.local.runlog import RunLog
from orchestrator.types import RunEnded, RunRefused, RunStarted, RunStatus


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(log: RunLog, number: int, reason: str = "no sequence is named") -> None:
    log.take(RunStarted(f"run-{number}", "", "u@h", 0, 1))
    log.take(RunEnded(f"run-{number}", RunStatus.FAILED, reason, 0))


def test_of_runs_that_fail_alike_the_first_are_told_and_the_number_of_the_rest() -> None:
    clock = Clock()
    log = RunLog(clock)
    with capture_logs() as lines:
        for number in range(1000):
            fail(log, number)
        assert len(lines) == 40
        fail(log, 1000, "another reason")
    assert [line["event"] for line in lines[40:]] == [
        "runs that failed alike",
        "run started",
        "run ended",
    ]
    assert lines[40]["not_logged"] == 980
    assert lines[41]["run"] == "run-1000"


def test_a_flood_of_runs_that_fail_for_changing_reasons_is_no_flood_of_lines() -> None:
    # A client that writes another SEQ before each START.
    clock = Clock()
    log = RunLog(clock)
    with capture_logs() as lines:
        for number in range(1000):
            fail(log, number, f"there is no sequence {number % 7}")
        assert len(lines) == 80
        clock.now += 61.0
        fail(log, 1000, "another reason")
    assert [line["event"] for line in lines[80:]] == [
        "run started",
        "runs that failed",
        "run ended",
    ]
    assert lines[81]["not_logged"] == 960


def test_runs_that_fail_now_and_then_are_all_told() -> None:
    clock = Clock()
    log = RunLog(clock)
    with capture_logs() as lines:
        for number in range(100):
            clock.now += 10.0
            fail(log, number)
    assert len(lines) == 200


def test_runs_that_succeed_are_all_told() -> None:
    log = RunLog(Clock())
    with capture_logs() as lines:
        for number in range(100):
            log.take(RunStarted(f"run-{number}", "scan", "u@h", 0, 1))
            log.take(RunEnded(f"run-{number}", RunStatus.SUCCESS, "", 0))
    assert len(lines) == 200


def test_refusals_alike_are_told_as_failures_are() -> None:
    log = RunLog(Clock())
    with capture_logs() as lines:
        for _ in range(100):
            log.take(RunRefused(0, "scan is running"))
    assert len(lines) == 20
