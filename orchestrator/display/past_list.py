"""A list of past runs, as people and as programs read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.text import Text

from orchestrator.data.past import PastRun
from orchestrator.display.progress import duration

_HEAD = ("id", "time", "name", "outcome", "duration", "points", "owner", "message")
_RIGHT = {"duration", "points"}
_LONGEST = {"name": 24, "owner": 24}
"""Characters that such a cell may take."""
_GAP = "  "
STYLES: Mapping[str, str] = {
    "Success": "green",
    "Running": "cyan",
    "Failed": "red",
    "Timeout": "red",
    "Interrupted": "red",
    "Aborted": "yellow",
    "Stopped": "yellow",
}
"""Of outcomes, on a terminal."""


def run_table(runs: Sequence[PastRun], width: int | None) -> list[Text]:
    """A line a run, the first one names the columns.

    Args:
        runs: In the order of the lines.
        width: Of the terminal: what is told of a run goes on below it where it has no room; None
            = each run is one line, however long.
    """
    cells = [_HEAD, *map(_cells, runs)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    own = sum(widths[:6]) + 5 * len(_GAP)
    beside = width is None or own + widths[6] + 2 * len(_GAP) + 20 <= width
    lines = []
    for row, run in zip(cells, [None, *runs], strict=True):
        lines += _lines(row, widths, run, width, beside=beside)
    return lines


def _lines(
    row: Sequence[str],
    widths: Sequence[int],
    run: PastRun | None,
    width: int | None,
    *,
    beside: bool,
) -> list[Text]:
    style = "" if run else "bold"
    outcome = STYLES.get(run.outcome, "") if run else style
    line = Text()
    for name, cell, room in zip(_HEAD[:6], row, widths, strict=False):
        padded = cell.rjust(room) if name in _RIGHT else cell.ljust(room)
        line.append(padded + _GAP, outcome if name == "outcome" else style)
    owner, message = row[6], row[7]
    if beside:
        line.append(f"{owner.ljust(widths[6])}{_GAP}", style)
        left = None if width is None else width - len(line.plain)
        return [line.append(_cut(message, left), style)]
    under = f"{_GAP}{owner}{_GAP}{message}".rstrip()
    line.rstrip()
    return [line, Text(_cut(under, width), "dim")] if run and under else [line]


def _cells(run: PastRun) -> tuple[str, ...]:
    took = "" if run.seconds is None else duration(run.seconds)
    cells = (
        run.folder.name,
        local_time(run.started),
        run.name,
        run.outcome,
        took,
        str(run.points),
        run.owner,
        " ".join(run.message.split()),
    )
    return tuple(_cut(cell, _LONGEST.get(name)) for name, cell in zip(_HEAD, cells, strict=True))


def local_time(moment: datetime | None) -> str:
    """Date and time here, to the second."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cut(text: str, room: int | None) -> str:
    return text if room is None or len(text) <= room else f"{text[: max(room - 1, 0)]}…"


def run_facts(run: PastRun) -> dict[str, object]:
    """A run as an object of JSON."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "outcome": run.outcome,
        "started": run.started and run.started.astimezone().isoformat(timespec="milliseconds"),
        "duration": None if run.seconds is None else round(run.seconds, 3),
        "points": run.points,
        "owner": run.owner,
        "lane": run.lane,
        "how": run.how,
        "cause": run.cause,
        "message": run.message,
        "data_file": run.data_file,
        "folder": str(run.folder),
    }


def facts_of(runs: Iterable[PastRun]) -> list[dict[str, object]]:
    """The list as JSON."""
    return [run_facts(run) for run in runs]
