"""Long arrays of a run, of which its journal has the beginning, in whole: from its HDF5 file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.data.past.table import RunTable
from orchestrator.errors import InputError

_MOST = 20_000_000
"""Elements that are gathered for one file: each takes some 30 bytes as a number of Python."""


def complete(table: RunTable, file: Path | None) -> None:
    """Put the arrays that a table has the beginning of in whole into it.

    Args:
        table: Of the run; as it is where there is no file, or the file has no such row.
        file: The run's HDF5 file; None = there is none.

    Raises:
        InputError: They are too many for the memory, or the file can't be read.
    """
    long = {name: short for name in table.columns if (short := _shortened(table, name))}
    elements = sum(size for short in long.values() for size in short.values())
    if not long or file is None:
        return
    if elements > _MOST:
        raise InputError(
            f"{', '.join(long)}: {elements} elements are too many for this form, which takes at "
            f"most {_MOST}; nexus has them all"
        )
    import h5py

    try:
        with h5py.File(file, "r", swmr=True) as data:
            for name, short in long.items():
                for line, value in _values(data["entry"], name, table, short):
                    table.columns[name].values[line] = value
    except (OSError, KeyError) as error:
        raise InputError(f"{file} can't be read: {error}") from error


def _shortened(table: RunTable, name: str) -> dict[int, int]:
    """How many elements each array has of which there is the beginning only, by line."""
    values = enumerate(table.columns[name].values)
    return {
        line: math.prod(value["shape"])
        for line, value in values
        if isinstance(value, dict) and "shape" in value
    }


def _values(
    entry: Any, name: str, table: RunTable, lines: dict[int, int]
) -> Iterator[tuple[int, list[Any]]]:
    """The arrays of a channel, with the line of the table that each belongs to."""
    where = {int(point): row for row, point in enumerate(entry["rows/point"][:])}
    groups = [g for g in entry["channels"].values() if g.attrs["channel"] == name]
    for line in lines:
        row = where.get(table.points[line])
        if row is None:
            continue
        for group in groups:  # one for each type that it had
            if row < len(group["severity"]) and group["severity"][row] >= 0:
                value = group["value"][row]
                size = int(group["length"][row]) if "length" in group else len(value)
                yield line, value[:size].tolist()
