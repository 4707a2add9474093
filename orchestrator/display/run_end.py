"""The end of a run, as people and as programs read it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.display.output import leave_stdout
from orchestrator.display.progress import RunProgress, duration
from orchestrator.display.screen import Screen
from orchestrator.types import Cause, RunEnded, RunRefused, RunSnapshot, RunStarted, RunStatus

_STYLES = {
    RunStatus.SUCCESS: "bold green",
    RunStatus.FAILED: "bold red",
    RunStatus.TIMEOUT: "bold red",
    RunStatus.INTERRUPTED: "bold red",
    RunStatus.ABORTED: "bold yellow",
    RunStatus.STOPPED: "bold yellow",
}


def show_outcome(
    end: RunEnded | RunRefused, progress: RunProgress, *, as_json: bool, code: int
) -> None:
    """Print how a run ended: to stdout, but to stderr if it was no success.

    Args:
        end: Its last event.
        progress: All that was told of it.
        as_json: One JSON object, to stdout in any case.
        code: The exit code that follows, part of the JSON.
    """
    try:
        _show(end, progress, as_json=as_json, code=code)
    except BrokenPipeError:  # nobody reads it; the exit code still tells
        leave_stdout()


def show_no_run(name: str, findings: Sequence[str], code: int) -> None:
    """Print as JSON what kept a run from its start, in the form of an outcome."""
    end = RunEnded("", RunStatus.FAILED, "\n".join(findings), 0)
    run = RunSnapshot(RunStarted("", name, "", 0, 0))
    show_outcome(end, RunProgress(run), as_json=True, code=code)


def _show(end: RunEnded | RunRefused, progress: RunProgress, *, as_json: bool, code: int) -> None:
    if as_json:
        Screen(soft_wrap=True, highlight=False).print(
            json.dumps(_facts(end, progress, code)), markup=False
        )
    elif isinstance(end, RunRefused):
        _print(Text(end.reason, style="red"), good=False)
    elif end.cause in (Cause.INPUT, Cause.NOT_CONNECTED):  # it did not begin: no outcome to show
        _print(Text(end.message, style="red"), good=False)
    else:
        good = end.status is RunStatus.SUCCESS
        if sys.stdout.isatty():
            _print(_table(end, progress), good=good)
        else:
            for name, value in _rows(end, progress):
                _print(f"{name}: {value}", good=good)


def _print(what: object, *, good: bool) -> None:
    Screen(stderr=not good, soft_wrap=True, highlight=False).print(what, markup=False)


def _table(end: RunEnded, progress: RunProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(end, progress):
        style = _STYLES.get(end.status, "") if name == "outcome" else ""
        table.add_row(Text(name, style="dim"), Text(value, style=style, overflow="fold"))
    return table


def _rows(end: RunEnded, progress: RunProgress) -> list[tuple[str, str]]:
    run = progress.run
    # A service's `message` stays what was told last, where a success says nothing more.
    remote, good = run.ended is None, end.status is RunStatus.SUCCESS
    told = remote and good and end.message == run.message.text
    rows = [
        ("outcome", end.status.value),
        ("message", "" if told else end.message),
        ("run", f"{run.name} {end.run_id}".strip()),
        ("took", f"{duration(run.figures.elapsed)}, {run.done} steps"),
        ("data", f"{end.data_file} ({run.points} points)" if end.data_file else ""),
        ("points", "" if end.data_file or not run.points else f"{run.points}"),
    ]
    return [(name, value) for name, value in rows if value]


def _facts(end: RunEnded | RunRefused, progress: RunProgress, code: int) -> dict[str, object]:
    if isinstance(end, RunRefused):
        return {"status": "Refused", "message": end.reason, "exit_code": code}
    run = progress.run
    return {
        "status": end.status.value,
        "message": end.message,
        "name": run.name,
        "run_id": end.run_id,
        "elapsed": round(run.figures.elapsed, 3),
        "steps": run.done,
        "points": run.points,
        "data_file": end.data_file,
        "exit_code": code,
    }
