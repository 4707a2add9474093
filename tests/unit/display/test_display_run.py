"""Progress, lines and outcome of a run, from its events."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from orchestrator.display.plot import plot_lines
from orchestrator.display.progress import RunProgress, duration
from orchestrator.display.run_display import PlainDisplay, live_panel, open_display
from orchestrator.display.run_end import show_outcome
from orchestrator.types import (
    Cause,
    Progressed,
    RowTaken,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    RunState,
    RunStatus,
    StateChanged,
    StepStarted,
    Told,
)

EVENTS: list[RunEvent] = [
    RunStarted("id-1", "align", "me@here", 1, 25),
    StateChanged(RunState.CHECKING),
    StateChanged(RunState.RUNNING),
    StepStarted(("steps", 3, "do", 1), "sample det.counts", 13, (7,)),
    RowTaken({"det.counts": np.array([1.0, 2.0])}, (2.0,), 2),
    Progressed(13, 52.0, 12.3, 9.0, 0.0),
    Told("halfway"),
]
END = RunEnded("id-1", RunStatus.SUCCESS, "", 1, Cause.NONE, "runs/id-1-align.csv")


def progress_after(events: list[RunEvent]) -> RunProgress:
    progress = RunProgress()
    for event in events:
        progress.take(event)
    return progress


def test_progress_is_what_the_events_told() -> None:
    progress = progress_after([*EVENTS, END])
    assert (progress.run.name, progress.run.run_id, progress.run.points) == ("align", "id-1", 2)
    assert progress.position == "steps[3].do[1] sample det.counts (index 7)"
    assert progress.counted == "13 of 25 steps"
    assert progress.timing == "12.3 s, 9.0 s left"
    assert progress.run.message.text == "halfway"
    assert progress.run.ended is END


def test_what_is_not_known_is_not_shown() -> None:
    progress = progress_after([RunStarted("id", "", "", 1, 0), Progressed(3, 0, 1.0, math.nan, 0)])
    assert progress.counted == "3 steps"
    assert progress.timing == "1.0 s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (59.94, "59.9 s"), (65, "1:05"), (3723, "1:02:03")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_plain_lines_tell_start_messages_and_steps() -> None:
    console = Console(file=io.StringIO(), soft_wrap=True, highlight=False)
    display = PlainDisplay(console)
    for event in [*EVENTS, END]:
        display.take(event)
    display.note("Ctrl-C")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert [line.split("s  ", 1)[1] for line in lines] == [
        "align: run id-1",
        "Checking",
        "steps[3].do[1] sample det.counts (index 7) [13 of 25 steps]",
        "halfway",
        "Ctrl-C",
    ]


@pytest.mark.parametrize("held", [RunState.PAUSED, RunState.SUSPENDED])
def test_plain_lines_tell_that_a_run_goes_on_after_it_was_held(held: RunState) -> None:
    console = Console(file=io.StringIO(), soft_wrap=True, highlight=False)
    display = PlainDisplay(console)
    for state in (RunState.RUNNING, RunState.PAUSING, held, RunState.RUNNING, RunState.IDLE):
        display.take(StateChanged(state))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    told = [line.split("s  ", 1)[1] for line in lines]
    assert told == ["Pausing", held.value, "Running"]


def test_the_live_panel_has_name_state_bar_and_step() -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(live_panel(progress_after(EVENTS)))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    for part in ("align", "Running", "52 %", "13 of 25 steps", "steps[3].do[1]", "2 points"):
        assert part in text


def test_brackets_in_what_a_sequence_tells_are_no_markup() -> None:
    console = Console(file=io.StringIO(), soft_wrap=True)
    PlainDisplay(console).take(Told("[red] and [/nothing]"))
    assert "[red] and [/nothing]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_display_that_is_not_a_terminals_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    with open_display() as display:
        display.take(Told("hello"))
    with open_display(quiet=True) as display:
        display.take(Told("silence"))
    assert "hello" in capsys.readouterr().out


def test_success_goes_to_stdout_and_failure_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    progress = progress_after(EVENTS)
    show_outcome(END, progress, as_json=False, code=0)
    written = capsys.readouterr()
    assert "outcome: Success" in written.out
    assert "data: runs/id-1-align.csv (2 points)" in written.out
    assert not written.err
    failed = RunEnded("id-1", RunStatus.FAILED, "a reason", 1, Cause.DURING)
    show_outcome(failed, progress, as_json=False, code=1)
    written = capsys.readouterr()
    assert not written.out
    assert "outcome: Failed\nmessage: a reason\n" in written.err


def test_what_a_success_told_last_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    progress = progress_after(EVENTS)
    for message, told in (("halfway", False), ("1 error tolerated", True)):
        end = RunEnded("id-1", RunStatus.SUCCESS, message, 1, Cause.NONE)
        show_outcome(end, progress, as_json=False, code=0)
        assert (f"message: {message}" in capsys.readouterr().out) is told
    show_outcome(end, progress_after([*EVENTS, end]), as_json=False, code=0)
    assert "message: 1 error tolerated" in capsys.readouterr().out, "of a run in the foreground too"


@pytest.mark.parametrize(
    "end",
    [
        RunRefused(1, "align.yaml:1:1: no [steps]"),
        RunEnded("id", RunStatus.FAILED, "align.yaml:1:1: no [steps]", 1, Cause.INPUT),
    ],
)
def test_what_did_not_begin_is_told_as_an_error(
    end: RunEnded | RunRefused, capsys: pytest.CaptureFixture[str]
) -> None:
    show_outcome(end, RunProgress(), as_json=False, code=2)
    assert capsys.readouterr().err == "align.yaml:1:1: no [steps]\n"


def test_the_outcome_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome(END, progress_after(EVENTS), as_json=True, code=0)
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == "Success"
    assert facts["data_file"] == "runs/id-1-align.csv"
    assert facts["exit_code"] == 0


# The plot -----------------------------------------------------------------------------------


def test_a_plot_has_its_title_its_frame_and_the_ends_of_x() -> None:
    x = np.linspace(-1, 1, 21)
    lines = plot_lines(x, np.exp(-(x**2)), title="y over x", unit="mm", width=40, height=8)
    assert "y over x" in lines[0]
    assert len(lines) == 8 + 4
    assert lines[-1].startswith("-1 mm")
    assert lines[-1].endswith("1 mm")
    assert max(map(len, lines[1:-1])) < 60


def test_points_in_any_order_give_the_same_curve() -> None:
    x = np.linspace(0, 1, 11)
    y = x**2
    order = np.random.default_rng(1).permutation(11)
    assert plot_lines(x[order], y[order]) == plot_lines(x, y)


def test_points_without_a_value_are_left_out() -> None:
    x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, np.nan, 2.0])
    assert plot_lines(x, y) == plot_lines(x[[0, 2]], y[[0, 2]])
    assert plot_lines(np.array([]), np.array([]), title="t") == ["t", "(no points)"]
    assert len(plot_lines(np.array([1.0]), np.array([1.0]))) > 5
    assert len(plot_lines(np.array([1.0, 1.0]), np.array([1.0, 1.0]))) > 5
