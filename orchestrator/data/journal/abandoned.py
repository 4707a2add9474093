"""Reads out of a journal where a run can begin again, and what holds there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from orchestrator.data.journal.exact import NotKept, exact_value
from orchestrator.data.journal.held import (
    Own,
    Samples,
    Then,
    owns_of,
    place_of_told,
    point_of_told,
    then_of,
)
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
    Recovered,
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


class AbandonedRun:
    """Follows a journal from its first line to its last.

    It keeps what held where the run can begin again: at the last checkpoint, and where it last
    came to a point that `point_of` says.
    """

    def __init__(self, point_of: PointOf | None, *, by_marks: bool) -> None:
        """See `ports.Store.abandoned`."""
        self._point_of = point_of
        self._by_marks = by_marks
        self._names: dict[Path, Own] = {}
        self._variables: dict[Path, Own] = {}
        self._data = Samples()
        self._rows = self._points = self._attempt = 0
        self._left: dict[str, object] = {}
        self._open: dict[tuple[int, int], Place] = {}
        self._current: Point | None = None
        self._way: Point | None = None
        self._found: Then | None = None
        self._marks: dict[Path, Then] = {}
        self._gone: list[Place] = []
        self._finalised = self._has_entered = False
        self._stated: tuple[str, Any, Then] | None = None
        """The last checkpoint of a Python sequence, its state, and what held there."""
        self._since: list[tuple[Line, Point, str, object]] = []
        self._is_short = False
        """Whether what was told in the middle is known by what followed from it only."""
        self._takes: Mapping[str, Callable[[Line, Entry], object]] = {
            "step_entered": self._entered,
            "step_left": self._step_left,
            "bound": self._bound,
            "checkpoint": self._passed,
            "row": self._row,
            "put_leaves": self._put,
            "rewound": self._rewound,
            "attempt": self._begun_again,
            "finalised": self._ran_finalisers,
            "samples": lambda _line, entry: self._data.take(entry),
            "snapshot": self._restored,
        }

    def follow(self, lines: Iterable[tuple[Line, Entry]]) -> AbandonedRun:
        """Take all lines; gives itself."""
        for line, entry in lines:
            take = self._takes.get(entry["event"])
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
            _check_kept(is_short=self._is_short, entered=self._has_entered)
            return Abandoned(
                None,
                points=self._points,
                open=_opened(self._open),
                finalised=self._finalised,
                as_it_was=_as_it_was(self._since, (0, 0), ((), ())),
            )
        return Abandoned(
            _position(then),
            then.at,
            self._data.first(then.lengths),
            then.rows,
            self._points,
            then.points,
            then.left,
            self._has_entered,
            _opened(self._open),
            self._finalised,
            as_it_was=_as_it_was(self._since, then.at, then.point),
        )

    def _at_the_end(self) -> Abandoned:
        names, variables = (
            {(path, own.loops): own.names for path, own in owns.items()}
            for owns in (self._names, self._variables)
        )
        position = Position((), (), names, variables)
        last = Abandoned(
            position,
            points=self._points,
            rows=self._rows,
            entered=self._has_entered,
            open=_opened(self._open),
            finalised=self._finalised,
        )
        if self._stated is None:
            return last
        name, state, then = self._stated
        recovered = _of_python(name, state, then)
        data, points = self._data.first(then.lengths), then.points
        return replace(last, data=data, rows=then.rows, superseded=points, recovered=recovered)

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
        self._came_to(place, line)
        return place

    def _came_to(self, place: Place, line: Line) -> None:
        point = self._point_of(place.path, place.loops) if self._point_of is not None else None
        if point != self._current:
            self._current = point
            if point is not None:
                self._found = self._then(point, line, place.tries)
                if not self._marks:  # else it may begin again at one
                    self._since.clear()

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
                own = self._variables.setdefault(document, Own((), ()))
        else:
            own = _own(self._names, place.path[:-1], place)
        own.names[name] = value

    def _passed(self, line: Line, entry: Entry) -> None:
        if "state" in entry:
            self._stated = entry["name"], entry["state"], self._then(None, line, ())
            return
        place = self._at(line, entry)
        self._marks.pop(place.path, None)
        self._marks[place.path] = self._then((place.path, place.loops), line, place.tries)

    def _row(self, line: Line, entry: Entry) -> None:
        self._at(line, entry)
        for name, reading in entry["channels"].items():
            value = None if reading is None else reading["value"]
            self._data.append(name, _number(value))
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

    def _begun_again(self, line: Line, entry: Entry) -> None:
        self._attempt = entry["attempt"]
        if entry["how"] == "finalise":
            return
        self._finalised = False
        self._marks.clear()
        self._gone.clear()
        self._names = _begun(entry.get("names", ()))
        self._variables = _begun(entry.get("variables", ()))
        self._rows, self._left = entry["rows"], dict(entry["left"])
        self._data.cut(entry["data"])
        if "state" in entry:
            self._stated = entry["checkpoint"], entry["state"], self._then(None, line, ())
        start = (parse_path(entry["path"]), tuple(entry["loops"])) if "path" in entry else None
        self._way = start
        # What it goes on with is no new beginning of what it goes on in.
        point_of = self._point_of
        self._current = None if start is None or point_of is None else point_of(*start)
        after, found = (entry["after"][0], entry["after"][1]), self._found
        if found is None or found.at > after or (self._by_marks and found.point != self._current):
            known = self._by_marks or start == self._current
            self._found = self._then(start, after, ()) if known and start is not None else None

    def _restored(self, _line: Line, entry: Entry) -> None:
        """What held behind lines that are not kept; samples stand by themselves."""
        of = entry["recovery"]
        thens = of["held"]
        self._is_short = True
        self._rows, self._points, self._attempt = of["rows"], of["points"], of["attempt"]
        self._finalised, self._has_entered = of["finalised"], of["entered"]
        self._names, self._variables = owns_of(of["names"]), owns_of(of["variables"])
        self._left, self._way = dict(of["left"]), point_of_told(of["way"])
        self._open = {(attempt, step): place_of_told(place) for attempt, step, place in of["open"]}
        self._gone = [place_of_told(place) for place in of["gone"]]
        self._since = [
            ((at[0], at[1]), (parse_path(path), tuple(loops)), name, exact_value(value))
            for at, path, loops, name, value in of["since"]
        ]
        marks = ((point_of_told(point), thens[number]) for point, number in of["marks"])
        self._marks = {point[0]: then_of(told, point) for point, told in marks if point}
        if of["stated"] is not None:
            name, state, number = of["stated"]
            self._stated = name, state, then_of(thens[number], None)
        starts = {
            (parse_path(path), tuple(loops)): None if number is None else thens[number]
            for (path, loops), number in of["starts"]
        }
        began = of["began"]
        fallback = None if began is None else then_of(thens[began[1]], point_of_told(began[0]))
        self._restored_at(point_of_told(of["last"]), starts, fallback)

    def _restored_at(
        self,
        last: Point | None,
        starts: Mapping[Point, Mapping[str, Any] | None],
        began: Then | None,
    ) -> None:
        """Where the run was; `starts`: what held where the points around that began.

        `began`: where the last attempt went on.
        """
        if last is None or self._point_of is None:
            return
        self._current = self._point_of(*last)
        told = None if self._current is None else starts.get(self._current)
        if told is not None:
            self._found = then_of(told, self._current)
            return
        point = None if began is None else began.point
        is_in = self._by_marks and point is not None and self._point_of(*point) == self._current
        self._found = began if is_in else None

    def _ran_finalisers(self, _line: Line, entry: Entry) -> None:
        self._finalised = not entry["failed"]
        if self._finalised:
            self._open.clear()

    def _then(self, point: Point | None, at: Line, tries: tuple[int, ...]) -> Then:
        return Then(
            point,
            at,
            tries,
            {path: own.copied() for path, own in self._names.items()},
            {path: own.copied() for path, own in self._variables.items()},
            self._data.lengths,
            self._rows,
            self._points,
            dict(self._left),
        )


def _of_python(name: str, state: Any, then: Then) -> Recovered:
    """What a Python sequence is offered of its checkpoint."""
    values: Any = exact_value(state)
    lost = [key for key, value in values.items() if isinstance(value, NotKept)]
    if lost:
        raise InputError(f"the state {lost[0]!r} of the checkpoint {name!r} was not kept")
    return Recovered(name, values, then.rows)


def _check_kept(*, is_short: bool, entered: bool) -> None:
    if is_short and entered:
        text = "of so long a run the middle of the journal is not kept, and with it what held there"
        raise InputError(f"{text}: go on --from a step at which it was last (--list)")


def _opened(places: Mapping[tuple[int, int], Place]) -> tuple[Place, ...]:
    return tuple(sorted(places.values(), key=lambda place: len(place.path)))


def _as_it_was(since: Iterable[tuple[Line, Point, str, object]], at: Line, point: Point) -> Named:
    """What was found when steps were entered that will be entered anew; the first counts."""
    found: dict[Point, dict[str, object]] = {}
    for line, place, name, value in since:
        if line >= at and (name.startswith(_ALWAYS) or place == point):
            found.setdefault(place, {}).setdefault(name, value)
    return found


def _place(entry: Entry) -> Place:
    loops, tries = tuple(entry["loops"]), tuple(entry.get("tries", ()))
    return Place(_path(entry["path"]), loops, tries)


_path = lru_cache(10_000)(parse_path)


def _inside(then: Then, place: Place) -> bool:
    """Whether a checkpoint stands in the step at a place."""
    path, loops = then.point or ((), ())
    own = (path[: len(place.path)], loops[: len(place.loops)])
    return own == (place.path, place.loops) and path != place.path


def _own(all_: dict[Path, Own], path: Path, place: Place) -> Own:
    """What was bound in a list so far; a new pass or try of it begins with nothing."""
    own = all_.get(path)
    if own is None or own.loops != place.loops or own.tries not in (None, place.tries):
        own = all_[path] = Own(place.loops, place.tries)
    return own


def _document(path: Path) -> Path:
    """In which document a step stands: that of the innermost sub-sequence around it."""
    last = max((number for number, part in enumerate(path, 1) if part == "run"), default=0)
    return path[:last]


def _position(then: Then) -> Position:
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


def _begun(lists: Iterable[object]) -> dict[Path, Own]:
    """What an attempt began with."""
    return {path: Own(loops, None, names) for path, loops, names in _named(lists)}


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


class VisitedSteps:
    """Where a run was, in the order in which it first came there, but for finalisers."""

    def __init__(self) -> None:
        """Nowhere yet."""
        self._found: dict[Path, Visited] = {}

    @property
    def steps(self) -> list[Visited]:
        """All of them."""
        return list(self._found.values())

    def take(self, entry: Entry) -> None:
        """Take the next line."""
        if entry["event"] == "snapshot":
            steps = ((parse_path(path), tuple(loops), *of) for path, loops, *of in entry["visited"])
            self._found = {step[0]: Visited(*step) for step in steps}
        if entry["event"] not in ("step_entered", "checkpoint"):
            return
        place = _place(entry)
        if _LAST.isdisjoint(place.path):
            before = self._found.get(place.path)
            times = 1 if before is None else before.times + 1
            name = entry.get("name", "checkpoint")
            self._found[place.path] = Visited(place.path, place.loops, name, times)

    def told(self) -> list[object]:
        """The same as JSON."""
        return [[path_text(step.path), step.loops, step.name, step.times] for step in self.steps]
