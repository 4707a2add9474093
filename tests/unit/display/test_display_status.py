"""The state of a service, shown."""

import io
from typing import Any

from rich.console import Console

from orchestrator.display.status import status_lines, status_table

IDLE: dict[str, Any] = {
    "prefix": "T:",
    "connected": True,
    "STATE": "Idle",
    "STATUS": "Undefined",
    "BUSY": 0,
    "message": "",
    "RUN_NAME": "",
    "RUN_ID": "",
    "OWNER": "",
    "STEP": 0,
    "NSTEPS": 0,
    "STEP_NAME": "",
    "LOOP_INDEX": [],
    "PROGRESS": 0.0,
    "ELAPSED": 0.0,
    "REMAINING": None,
    "HUNG_SEC": 0.0,
    "DATA:NPTS": 0,
    "CHAIN:COUNT": 3,
    "CHAIN:CONNECTED": 2,
    "CHAIN:DISCONNECTED": "stage.x",
    "SEQUENCES": ["align", "scan"],
    "QUEUE_LEN": 0,
    "LANES": [],
    "QUEUE": {"held": False, "waiting": [], "left_out": 0},
}
BUSY = IDLE | {
    "STATE": "Running",
    "BUSY": 1,
    "RUN_NAME": "align",
    "RUN_ID": "id-1",
    "OWNER": "me@here",
    "STEP": 13,
    "NSTEPS": 25,
    "STEP_NAME": "steps[3] loop",
    "LOOP_INDEX": [7],
    "PROGRESS": 52.0,
    "REMAINING": 9.0,
    "DATA:NPTS": 6,
}


def test_an_idle_service_tells_its_channels_and_what_it_can_run() -> None:
    assert status_lines(IDLE) == [
        "T: Idle",
        "channels: 2 of 3 connected",
        "missing: stage.x",
        "sequences: align, scan",
    ]


def test_a_long_list_of_what_is_missing_is_cut() -> None:
    many = ", ".join(f"stage.x{number}" for number in range(5000))
    lines = status_lines(IDLE | {"CHAIN:DISCONNECTED": many})
    (missing,) = (line for line in lines if line.startswith("missing"))
    assert len(missing) < 1100
    assert missing.endswith(" …")


def test_a_run_is_told_with_step_position_and_times() -> None:
    lines = status_lines(BUSY)
    assert lines[0] == "T: Running align 52 % steps[3] loop"
    assert "progress: 52 %, 13 of 25 steps" in lines
    assert "step: steps[3] loop (index 7)" in lines
    assert "remaining: 9.0 s" in lines


def test_for_how_long_nothing_moved_is_told_of_a_run_under_way() -> None:
    assert "hung: 1:05 since anything moved" in status_lines(BUSY | {"HUNG_SEC": 65.2})
    assert not [line for line in status_lines(IDLE) if line.startswith("hung")]


def test_the_last_run_is_told_by_its_outcome() -> None:
    ended = BUSY | {"BUSY": 0, "STATE": "Idle", "STATUS": "Failed", "message": "why"}
    lines = status_lines(ended)
    assert "outcome: Failed" in lines
    assert "message: why" in lines


def test_a_lost_service_is_told_as_lost() -> None:
    assert status_lines(BUSY | {"connected": False})[0].startswith("T: lost")
    console = Console(file=io.StringIO(), width=80)
    console.print(status_table(BUSY))
    assert "Running" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_runs_that_wait_are_told_and_whether_they_are_held() -> None:
    run = {"number": 3, "name": "scan", "args": {}, "owner": "me@here"}
    lines = status_lines(BUSY | {"QUEUE": {"held": False, "waiting": [run, run], "left_out": 0}})
    assert "queue: 2 wait: scan, scan" in lines
    lines = status_lines(BUSY | {"QUEUE": {"held": True, "waiting": [run], "left_out": 0}})
    assert "queue: held, 1 waits: scan" in lines
    assert not any(line.startswith("queue") for line in status_lines(BUSY))
