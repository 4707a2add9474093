"""Long arrays of a run, of which its journal has the beginning, in whole: from its HDF5 file."""

from __future__ import annotations

import math
from pathlib import Path

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
    lines = {(name, table.points[line]): line for name, short in long.items() for line in short}
    from orchestrator.data.hdf5.kept_arrays import kept_arrays  # not for who has no long array

    try:
        for (name, point), array in kept_arrays(file, lines):
            table.columns[name].values[lines[name, point]] = array
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
