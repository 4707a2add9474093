"""The runs that wait, as lines, as a table and in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

Run = Mapping[str, Any]
"""One that waits, as the PV QUEUE tells it: number, name, args, owner, perhaps ended."""


def queue_lines(waiting: Sequence[Run]) -> list[str]:
    """A line for each run: its number first."""
    return ["  ".join(filter(None, _cells(run))) for run in waiting]


def queue_table(waiting: Sequence[Run]) -> Table:
    """The same for a terminal."""
    table = Table("run", "sequence", "arguments", "asked by", "ended", box=None, padding=(0, 1))
    for run in waiting:
        *cells, ended = _cells(run)
        table.add_row(*map(Text, cells), Text(ended, style="red", overflow="fold"))
    return table


def queue_text(queue: object) -> str:
    """In short: `held, 2 wait: scan, ramp`; empty where nothing waits and nothing is held."""
    if not isinstance(queue, dict):
        return ""
    waiting, held, left_out = queue["waiting"], queue["held"], queue["left_out"]
    more = [f"and {left_out} more"] if left_out else []
    names = ", ".join([*(str(run["name"]) for run in waiting), *more])
    number = len(waiting) + left_out
    count = "1 waits" if number == 1 else f"{number} wait"
    return ", ".join(filter(None, ["held" if held else "", f"{count}: {names}" if names else ""]))


def _cells(run: Run) -> list[str]:
    args = " ".join(f"{name}={value}" for name, value in run["args"].items())
    return [str(run["number"]), run["name"], args, run["owner"], run.get("ended", "")]
