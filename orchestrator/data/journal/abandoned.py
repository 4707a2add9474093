"""Reads out of a journal where a run can begin again, and what holds there."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from orchestrator.data.journal.exact import NotKept, exact_value
from orchestrator.data.journal.reader import Entry, Line
from orchestrator.errors import InputError
from orchestrator.ports import PointOf
from orchestrator.types import (
    Abandoned,
    Named,
    Path,
    Place,
    Point,
    Position,
    Visited,
    parse_path,
    path_text,
)

_LAST = frozenset({"finally", "restore"})
"""What the path of a finaliser has in it: no run begins again there."""
_AS_IT_WAS = ("$", "_restored")
"""Names of what a step has found when it was entered: they can't be those of a document."""
_ALWAYS = ("$origin", "_restored")
"""Those of which what is found now may be what the step itself has moved."""
_GOES_ON = ("done", "skipped")
"""How a step is left that the next step follows."""


@dataclass(slots=True)
class _Own:
    """What was bound in one list of steps, in one pass and try of it."""

    loops: tuple[int, ...]
    tries: tuple[int, ...] | None
    """None: of those before a rewind or another attempt, whatever they were."""
    names: dict[str, object] = field(default_factory=dict)

    def copied(self, *, anyhow: bool = False) -> _Own:
        return _Own(self.loops, None if anyhow else self.tries, dict(self.names))


@dataclass(slots=True)
class _Then:
    """All that held at one line."""

    point: Point | None
    at: Line
    tries: tuple[int, ...]
    names: dict[Path, _Own]
    variables: dict[Path, _Own]
    lengths: dict[str, int]
    rows: int
    points: int
    left: dict[str, object]


class AbandonedRun:
    """Follows a journal from its first line to its last.

    It keeps what held where the run can begin again: at the last checkpoint, and where it last
    came to a point that `point_of` says.
    """

    def __init__(self, point_of: PointOf | None, *, by_marks: bool) -> None:
        """See `ports.Store.abandoned`."""
        self._point_of = point_of
        self._by_marks = by_marks
        self._names: dict[Path, _Own] = {}
        self._variables: dict[Path, _Own] = {}
        self._data: dict[str, array[float]] = {}
        self._rows = self._points = self._attempt = 0
        self._left: dict[str, object] = {}
        self._open: dict[tuple[int, int], Place] = {}
        self._current: Point | None = None
        self._way: Point | None = None
        self._found: _Then | None = None
        self._marks: dict[Path, _Then] = {}
        self._gone: list[Place] = []
        self._finalised = self._has_entered = False
        self._since: list[tuple[Line, Point, str, object]] = []

    def follow(self, lines: Iterable[tuple[Line, Entry]]) -> AbandonedRun:
        """Take all lines; gives itself."""
        takes = {
            "step_entered": self._entered,
            "step_left": self._step_left,
            "bound": self._bound,
            "checkpoint": self._passed,
            "row": self._row,
            "put_leaves": self._put,
            "rewound": self._rewound,
            "attempt": self._begun_again,
            "finalised": self._ran_finalisers,
        }
        for line, entry in lines:
            take = takes.get(entry["event"])
            if take is not None:
                take(line, entry)
        return self

    def ended(self) -> Abandoned:
        """What it was like in the end.

        Raises:
            InputError: A value that holds where it would begin again is not in the journal.
        """
        if self._point_of is None:
            return self._at_the_end()
        marked = next(reversed(self._marks.values()), None) if self._by_marks else None
        then = marked or self._found
        if then is None or then.point is None:
            return Abandoned(
                None,
                points=self._points,
                open=self._opened,
                finalised=self._finalised,
                as_it_was=self._as_it_was((0, 0), ((), ())),
            )
        data = {
            name: np.array(self._data[name][:length], dtype=np.float64)
            for name, length in then.lengths.items()
        }
        return Abandoned(
            _position(then),
            then.at,
            data,
            then.rows,
            self._points,
            then.points,
            then.left,
            self._has_entered,
            self._opened,
            self._finalised,
            self._as_it_was(then.at, then.point),
        )

    def _as_it_was(self, at: Line, point: Point) -> Named:
        """What was found when steps were entered that will be entered anew; the first counts."""
        found: dict[Point, dict[str, object]] = {}
        for line, place, name, value in self._since:
            if line >= at and (name.startswith(_ALWAYS) or place == point):
                found.setdefault(place, {}).setdefault(name, value)
        return found

    def _at_the_end(self) -> Abandoned:
        names, variables = (
            {(path, own.loops): own.names for path, own in owns.items()}
            for owns in (self._names, self._variables)
        )
        position = Position((), (), names, variables)
        points, rows = self._points, self._rows
        return Abandoned(
            position,
            points=points,
            rows=rows,
            entered=self._has_entered,
            open=self._opened,
            finalised=self._finalised,
        )

    @property
    def _opened(self) -> tuple[Place, ...]:
        return tuple(sorted(self._open.values(), key=lambda place: len(place.path)))

    # Lines --------------------------------------------------------------------------------------

    def _at(self, line: Line, entry: Entry) -> Place:
        """Where the run is; remembers what holds there, where it can begin again."""
        place = _place(entry)
        if not place.path or not _LAST.isdisjoint(place.path):
            return place
        self._has_entered = True
        if self._is_on_the_way(place):
            return place
        for gone in self._gone:  # the run has gone on, whatever ended these
            self._forget(gone)
        self._gone.clear()
        point = self._point_of(place.path, place.loops) if self._point_of is not None else None
        if point != self._current:
            self._current = point
            if point is not None:
                self._found = self._then(point, line, place.tries)
                if not self._marks:  # else it may begin again at one
                    self._since.clear()
        return place

    def _is_on_the_way(self, place: Place) -> bool:
        """Whether the run only comes back through it to where it goes on."""
        if self._way is None:
            return False
        path, loops = self._way
        around = (path[: len(place.path)], loops[: len(place.loops)])
        if around == place[:2] and place[:2] != self._way:
            return True
        self._way = None
        return False

    def _entered(self, line: Line, entry: Entry) -> None:
        place = self._at(line, entry)
        again = [k for k, own in self._open.items() if own[:2] == place[:2]]
        for key in again:  # of an attempt before, or another try
            del self._open[key]
        self._open[self._attempt, entry["step"]] = place

    def _step_left(self, _line: Line, entry: Entry) -> None:
        place = self._open.pop((self._attempt, entry["step"]), None)
        if place is None or not self._marks:
            return
        if entry["how"] in _GOES_ON:
            self._forget(place)
        elif _LAST.isdisjoint(place.path):
            self._gone.append(place)

    def _forget(self, place: Place) -> None:
        """A step is left: no run goes back into it."""
        self._marks = {p: then for p, then in self._marks.items() if not _inside(then, place)}

    def _bound(self, line: Line, entry: Entry) -> None:
        place = self._at(line, entry)
        if not _LAST.isdisjoint(place.path):
            return
        name, value = entry["name"], exact_value(entry["value"])
        if name.startswith(_AS_IT_WAS):
            key = (place.path, place.loops)
            self._since.append((line, key, name, value))
        if entry.get("variable"):
            document = _document(place.path)
            if document == place.path:  # its first values, where it begins
                own = _own(self._variables, document, place._replace(tries=()))
            else:
                own = self._variables.setdefault(document, _Own((), ()))
        else:
            own = _own(self._names, place.path[:-1], place)
        own.names[name] = value

    def _passed(self, line: Line, entry: Entry) -> None:
        place = self._at(line, entry)
        self._marks.pop(place.path, None)
        self._marks[place.path] = self._then((place.path, place.loops), line, place.tries)

    def _row(self, line: Line, entry: Entry) -> None:
        self._at(line, entry)
        for name, reading in entry["channels"].items():
            value = None if reading is None else reading["value"]
            self._data.setdefault(name, array("d")).append(_number(value))
        self._rows += 1
        self._points = entry["point"] + 1

    def _put(self, _line: Line, entry: Entry) -> None:
        place = self._open.get((self._attempt, entry["step"]))
        if place is not None and _LAST.isdisjoint(place.path):
            self._left.pop(entry["pv"], None)
            self._left[entry["pv"]] = entry["value"]

    def _rewound(self, _line: Line, entry: Entry) -> None:
        path = parse_path(entry["path"])
        then = self._marks.get(path)
        if then is None:
            return
        self._names = {p: own.copied(anyhow=True) for p, own in then.names.items()}
        self._variables = {p: own.copied() for p, own in then.variables.items()}
        self._way = then.point
        paths = list(self._marks)
        for later in paths[paths.index(path) + 1 :]:
            del self._marks[later]
        self._current = None

    def _begun_again(self, _line: Line, entry: Entry) -> None:
        self._attempt = entry["attempt"]
        if entry["how"] == "finalise":
            return
        self._finalised = False
        self._marks.clear()
        self._gone.clear()
        self._names = _restored(entry.get("names", ()))
        self._variables = _restored(entry.get("variables", ()))
        self._rows, self._left = entry["rows"], dict(entry["left"])
        for name, values in self._data.items():
            del values[entry["data"].get(name, 0) :]
        start = (parse_path(entry["path"]), tuple(entry["loops"])) if "path" in entry else None
        self._way = start
        # What it goes on with is no new beginning of what it goes on in.
        point_of = self._point_of
        self._current = None if start is None or point_of is None else point_of(*start)
        after, found = (entry["after"][0], entry["after"][1]), self._found
        if found is None or found.at > after or (self._by_marks and found.point != self._current):
            known = self._by_marks or start == self._current
            self._found = self._then(start, after, ()) if known and start is not None else None

    def _ran_finalisers(self, _line: Line, entry: Entry) -> None:
        self._finalised = not entry["failed"]
        if self._finalised:
            self._open.clear()

    def _then(self, point: Point | None, at: Line, tries: tuple[int, ...]) -> _Then:
        return _Then(
            point,
            at,
            tries,
            {path: own.copied() for path, own in self._names.items()},
            {path: own.copied() for path, own in self._variables.items()},
            {name: len(values) for name, values in self._data.items()},
            self._rows,
            self._points,
            dict(self._left),
        )


def _place(entry: Entry) -> Place:
    loops, tries = tuple(entry["loops"]), tuple(entry.get("tries", ()))
    return Place(parse_path(entry["path"]), loops, tries)


def _inside(then: _Then, place: Place) -> bool:
    """Whether a checkpoint stands in the step at a place."""
    path, loops = then.point or ((), ())
    own = (path[: len(place.path)], loops[: len(place.loops)])
    return own == (place.path, place.loops) and path != place.path


def _own(all_: dict[Path, _Own], path: Path, place: Place) -> _Own:
    """What was bound in a list so far; a new pass or try of it begins with nothing."""
    own = all_.get(path)
    if own is None or own.loops != place.loops or own.tries not in (None, place.tries):
        own = all_[path] = _Own(place.loops, place.tries)
    return own


def _document(path: Path) -> Path:
    """In which document a step stands: that of the innermost sub-sequence around it."""
    last = max((number for number, part in enumerate(path, 1) if part == "run"), default=0)
    return path[:last]


def _position(then: _Then) -> Position:
    """Where it begins again, with what can be seen from there.

    Raises:
        InputError: A value of these was not kept.
    """
    assert then.point is not None  # noqa: S101 - the caller has looked
    path, loops = then.point
    names, variables = (
        {
            (p, own.loops): own.names
            for p, own in owns.items()
            if path[: len(p)] == p
            and loops[: len(own.loops)] == own.loops
            and (own.tries is None or then.tries[: len(own.tries)] == own.tries)
        }
        for owns in (then.names, then.variables)
    )
    for (own, _), bound in (*names.items(), *variables.items()):
        for name, value in bound.items():
            if isinstance(value, NotKept):
                where = f"{path_text(own) or 'the variables'}: the value of {name}"
                raise InputError(f"{where} is not in the journal, as {value.why}")
    return Position(path, loops, names, variables)


def _restored(lists: Iterable[object]) -> dict[Path, _Own]:
    """What an attempt began with."""
    return {path: _Own(loops, None, names) for path, loops, names in _named(lists)}


def _named(lists: Iterable[object]) -> Iterator[tuple[Path, tuple[int, ...], dict[str, object]]]:
    for of in lists:
        path, loops, names = of if isinstance(of, list) else ("", [], {})
        values = exact_value(names)
        if isinstance(values, Mapping):
            yield parse_path(path), tuple(loops), {str(name): v for name, v in values.items()}


def _number(value: object) -> float:
    """A value as `data(…)` gives it."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]  # it was looked at


def visited(lines: Iterable[tuple[Line, Entry]]) -> list[Visited]:
    """Where a run was, in the order in which it first came there, but for finalisers."""
    found: dict[Path, Visited] = {}
    for _, entry in lines:
        if entry["event"] not in ("step_entered", "checkpoint"):
            continue
        place = _place(entry)
        if _LAST.isdisjoint(place.path):
            before = found.get(place.path)
            times = 1 if before is None else before.times + 1
            name = entry.get("name", "checkpoint")
            found[place.path] = Visited(place.path, place.loops, name, times)
    return list(found.values())
