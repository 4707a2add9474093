"""The arrays of single rows, read from the file of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def kept_arrays(
    file: Path, wanted: Iterable[tuple[str, int]]
) -> Iterator[tuple[tuple[str, int], list[Any]]]:
    """The arrays of channels at points, as lists, with the channel and point of each.

    As in a journal what is no number (NaN, an infinity) is None.

    Args:
        file: Of a run that has ended, or is under way.
        wanted: (channel, number of the point); one that the file does not have is left out.

    Raises:
        OSError, KeyError: It can't be read, or is none of ours.
    """
    import h5py

    with h5py.File(file, "r", swmr=True) as data:
        entry = data["entry"]
        where = {int(point): row for row, point in enumerate(entry["rows/point"][:])}
        groups: dict[str, list[Any]] = {}
        for group in entry["channels"].values():  # one for each type that a channel had
            groups.setdefault(group.attrs["channel"], []).append(group)
        for name, point in wanted:
            row = where.get(point, -1)
            for group in groups.get(name, ()):
                if 0 <= row < len(group["severity"]) and group["severity"][row] >= 0:
                    yield (name, point), _array(group, row)


def _array(group: Any, row: int) -> list[Any]:
    value = group["value"][row]
    size = int(group["length"][row]) if "length" in group else len(value)
    value = value[:size]
    if value.dtype.kind == "S":
        value = np.char.decode(value, "utf-8", "replace")  # long ones are cut off
    elif value.dtype.kind == "f" and not (finite := np.isfinite(value)).all():
        value = value.astype(object)
        value[~finite] = None
    whole: list[Any] = value.tolist()
    return whole
