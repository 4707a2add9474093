"""The rows of a run as columns, and what stood behind each: where it was, and what had been put."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.data.journal.reader import Entry, entries_of

_READBACK_OF = "the readback of "
"""How a journal names the condition by which a channel has come to where it was put."""


@dataclass(slots=True)
class Column:
    """What one channel read, a value a row; None where the row has none of it."""

    values: list[Any] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    """The IOC's, Unix s."""
    severities: list[int | None] = field(default_factory=list)


@dataclass(slots=True)
class RunTable:
    """The rows of one run, in the order in which they were taken."""

    name: str = ""
    run_id: str = ""
    ended: bool = False
    points: list[int] = field(default_factory=list)
    """The number of each row in the run; of a very long run some are missing."""
    taken: list[float] = field(default_factory=list)
    """When, by the service's clock, Unix s."""
    paths: list[str] = field(default_factory=list)
    loops: list[tuple[int, ...]] = field(default_factory=list)
    tries: list[tuple[int, ...]] = field(default_factory=list)
    superseded: list[bool] = field(default_factory=list)
    """Whether a later attempt at the run has taken the row anew."""
    columns: dict[str, Column] = field(default_factory=dict)
    """By channel, in the order in which they were first sampled."""
    setpoints: dict[str, Column] = field(default_factory=dict)
    """What had last been put to each channel when a row was taken."""
    readbacks: dict[str, str] = field(default_factory=dict)
    """By a channel that was put to, the one that showed that it was there."""
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Units, labels, … by channel, as the journal has them."""

    def __len__(self) -> int:
        return len(self.paths)

    def units(self, name: str) -> str:
        """Of a channel; empty where they are not known."""
        return str((self.known.get(name) or {}).get("units", ""))

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column as numbers, shape (n_rows,); NaN where there is none: an array, a text.

        And where the row counts no more.
        """
        column = self.columns.get(name) or self.setpoints.get(name)
        if column is None:
            raise KeyError(name)
        numbers = np.array([_number(value) for value in column.values], dtype=np.float64)
        return np.where(self.superseded, np.nan, numbers)

    def seconds(self) -> npt.NDArray[np.float64]:
        """When each row was taken, s since the first; shape (n_rows,)."""
        taken = np.array(self.taken, dtype=np.float64)
        return taken - taken[0] if len(taken) else taken

    def axes(self) -> list[str]:
        """The channels that were moved from row to row, that of the innermost loop first.

        Where what showed that one was there is sampled, that is it; it has what was reached.
        """
        moved = [(_changes(column.values), name) for name, column in self.setpoints.items()]
        names = [name for changes, name in sorted(moved, reverse=True) if changes]
        sampled = (self.readbacks.get(name, "") for name in names)
        found = (
            back if back in self.columns else name
            for name, back in zip(names, sampled, strict=True)
        )
        return list(dict.fromkeys(found))

    def plottable(self) -> list[str]:
        """The channels whose values are numbers, in order."""
        return [name for name in self.columns if np.isfinite(self.numbers(name)).any()]


def table_of(folder: Path) -> RunTable:
    """Gather the rows of a run from its journal.

    Raises:
        InputError: It is no journal, or one that this version can't read.
    """
    return read_rows(entries_of(folder))


def read_rows(entries: Iterable[Entry]) -> RunTable:
    """Gather the rows from the lines of a journal."""
    table, put = RunTable(), dict[str, object]()
    for entry in entries:
        match entry.get("event"):
            case "run":
                table.name, table.run_id = entry["name"], entry["run_id"]
                _know(table, entry["channels"])
            case "channels":
                _know(table, entry["channels"])
            case "put_leaves":
                put[entry["pv"]] = entry["value"]
            case "condition_met" if str(entry["condition"]).startswith(_READBACK_OF):
                name = str(entry["condition"]).removeprefix(_READBACK_OF).split(" is at ")[0]
                table.readbacks.setdefault(name, next(iter(entry["by"]), ""))
            case "row":
                _take(table, entry, put)
            case "run_ended":
                table.ended = True
            case "attempt":
                table.ended = False
                late = (point >= entry["superseded"] for point in table.points)
                table.superseded = [a or b for a, b in zip(table.superseded, late, strict=True)]
            case _:
                pass
    return table


def _know(table: RunTable, channels: Mapping[str, Mapping[str, Any] | None]) -> None:
    table.known |= {name: found for name, found in channels.items() if found}


def _take(table: RunTable, entry: Entry, put: Mapping[str, object]) -> None:
    before = len(table)
    table.points.append(entry["point"])
    table.superseded.append(False)
    table.taken.append(entry["t"])
    table.paths.append(entry["path"])
    table.loops.append(tuple(entry["loops"]))
    table.tries.append(tuple(entry["tries"]))
    cells: Mapping[str, Mapping[str, Any] | None] = entry["channels"]
    _append(table.columns, before, cells)
    _append(table.setpoints, before, {name: {"value": value} for name, value in put.items()})


def _append(
    columns: dict[str, Column], before: int, cells: Mapping[str, Mapping[str, Any] | None]
) -> None:
    for name in cells:
        if name not in columns:
            columns[name] = Column([None] * before, [None] * before, [None] * before)
    for name, column in columns.items():
        cell = cells.get(name)
        column.values.append(cell["value"] if cell else None)
        column.times.append(cell.get("time") if cell else None)
        column.severities.append(cell.get("severity", 0) if cell else None)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def _changes(values: list[Any]) -> int:
    """How often a number differs from the one before."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return sum(a != b for a, b in itertools.pairwise(numbers))
