"""What held at a line of a journal, and its form as JSON: from that it comes back as it was."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.data.journal.exact import exact_text, exact_value
from orchestrator.data.journal.reader import Line
from orchestrator.errors import InputError
from orchestrator.types import Path, Place, Point, parse_path, path_text


@dataclass(slots=True)
class Own:
    """What was bound in one list of steps, in one pass and try of it."""

    loops: tuple[int, ...]
    tries: tuple[int, ...] | None
    """None: of those before a rewind or another attempt, whatever they were."""
    names: dict[str, object] = field(default_factory=dict)

    def copied(self, *, anyhow: bool = False) -> Own:
        """Another one, that goes on by itself."""
        return Own(self.loops, None if anyhow else self.tries, dict(self.names))


@dataclass(slots=True)
class Then:
    """All that held at one line."""

    point: Point | None
    at: Line
    tries: tuple[int, ...]
    names: dict[Path, Own]
    variables: dict[Path, Own]
    lengths: dict[str, int]
    """Of the samples of each channel."""
    rows: int
    points: int
    left: dict[str, object]


class Samples:
    """The values of each channel in all rows that count, or in those from some on."""

    def __init__(self) -> None:
        """None yet."""
        self._gone: dict[str, int] = {}
        self._values: dict[str, array[float]] = {}

    def append(self, name: str, value: float) -> None:
        """A row has this value."""
        self._values.setdefault(name, array("d")).append(value)

    def cut(self, lengths: Mapping[str, int]) -> None:
        """Only so many of each count from now on, and none of others."""
        for name in {*self._gone, *self._values}:
            length = lengths.get(name, 0)
            gone = self._gone.get(name, 0)
            del self._values.setdefault(name, array("d"))[max(length - gone, 0) :]
            self._gone[name] = min(gone, length)

    @property
    def lengths(self) -> dict[str, int]:
        """How many there are of each channel."""
        return {name: self._gone.get(name, 0) + len(of) for name, of in self._values.items()}

    def first(self, lengths: Mapping[str, int]) -> dict[str, npt.NDArray[np.float64]]:
        """So many of each.

        Raises:
            InputError: They are not all here.
        """
        for name, length in lengths.items():
            if self._gone.get(name) or len(self._values.get(name, ())) < length:
                raise InputError(f"samples of {name} are missing in the journal")
        return {
            name: np.array(self._values[name][:length], dtype=np.float64)
            for name, length in lengths.items()
        }

    def forget(self, lengths: Mapping[str, int]) -> None:
        """So many of each are told elsewhere."""
        self._gone = dict(lengths)
        self._values = {name: array("d") for name in lengths}

    def told(self) -> dict[str, object]:
        """Those that are here, and how many come before them; `take` takes this."""
        values = {name: exact(np.array(of)) for name, of in self._values.items() if of}
        return {"keep": {name: self._gone.get(name, 0) for name in self._values}, "data": values}

    def take(self, told: Mapping[str, Any]) -> None:
        """Go on with what was told."""
        self.cut(told["keep"])
        for name in told["keep"]:
            self._values.setdefault(name, array("d"))
        for name, values in told["data"].items():
            self._values[name].extend(np.asarray(exact_value(values), dtype=np.float64))


# As JSON ------------------------------------------------------------------------------------------


class Held:
    """Several of `Then` as JSON, each of them once."""

    def __init__(self) -> None:
        """None yet."""
        self._numbers: dict[int, int] = {}
        self.told: list[object] = []
        """The form of them all; `held_of` makes them of it."""

    def number(self, then: Then | None) -> int | None:
        """Which of them it is."""
        if then is None:
            return None
        # By the names: what holds for several points at one line differs in nothing else.
        key = id(then.names)
        if key not in self._numbers:
            self._numbers[key] = len(self.told)
            self.told.append(_then_told(then))
        return self._numbers[key]


def _then_told(then: Then) -> dict[str, object]:
    return {
        "at": then.at,
        "tries": then.tries,
        "names": owns_told(then.names),
        "variables": owns_told(then.variables),
        "lengths": then.lengths,
        "rows": then.rows,
        "points": then.points,
        "left": then.left,
    }


def then_of(told: Mapping[str, Any], point: Point | None) -> Then:
    """What held at a line, at a point that began there."""
    file, line = told["at"]
    return Then(
        point,
        (file, line),
        tuple(told["tries"]),
        owns_of(told["names"]),
        owns_of(told["variables"]),
        dict(told["lengths"]),
        told["rows"],
        told["points"],
        dict(told["left"]),
    )


def owns_told(owns: Mapping[Path, Own]) -> list[object]:
    """What was bound, by list of steps, as JSON."""
    return [
        [path_text(path), own.loops, own.tries, {name: exact(v) for name, v in own.names.items()}]
        for path, own in owns.items()
    ]


def owns_of(told: Iterable[Sequence[Any]]) -> dict[Path, Own]:
    """The same, of its JSON."""
    return dict(_owns(told))


def _owns(told: Iterable[Sequence[Any]]) -> Iterator[tuple[Path, Own]]:
    for path, loops, tries, names in told:
        values = {name: exact_value(value) for name, value in names.items()}
        yield parse_path(path), Own(tuple(loops), None if tries is None else tuple(tries), values)


def point_told(point: Point | None) -> list[object] | None:
    """A point as JSON."""
    return None if point is None else [path_text(point[0]), point[1]]


def point_of_told(told: Sequence[Any] | None) -> Point | None:
    """The same, of its JSON."""
    return None if told is None else (parse_path(told[0]), tuple(told[1]))


def place_told(place: Place) -> list[object]:
    """A place as JSON."""
    return [path_text(place.path), place.loops, place.tries]


def place_of_told(told: Sequence[Any]) -> Place:
    """The same, of its JSON."""
    return Place(parse_path(told[0]), tuple(told[1]), tuple(told[2]))


def exact(value: object) -> Any:
    """A value as an object of JSON, from which it comes back exactly."""
    return json.loads(exact_text(value))
