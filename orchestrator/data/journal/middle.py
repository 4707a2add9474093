"""The middle of a very long journal: what a run needs of it that goes on stays, and the rest goes.

A file in the middle is replaced by one that has the samples of its rows, and what all lines up to
its end have led to. When the next one is replaced only the samples stay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.data.journal import entries
from orchestrator.data.journal.abandoned import AbandonedRun, VisitedSteps
from orchestrator.data.journal.file import file_name
from orchestrator.data.journal.held import (
    Held,
    Then,
    exact,
    owns_told,
    place_told,
    point_told,
    then_of,
)
from orchestrator.data.journal.interrupted import UnderWay
from orchestrator.data.journal.reader import Entry, Line, middle_name, middle_numbers, numbered
from orchestrator.types import Place, Point, path_text

_AT_ONCE = 20
"""Lines that are read in one piece of work: a millisecond."""
_MOST_SINCE = 10_000
"""Values that steps had found which are kept; before the first of them no run begins again."""


def shorten(folder: Path, number: int) -> Iterator[None]:
    """Put in the place of a file of a journal what is needed of it; all before it are already.

    It is done when it is exhausted.

    Raises:
        OSError: It can't be read, or the disk is full.
        InputError: It is no journal.
    """
    path, short = folder / file_name(number), folder / middle_name(number)
    if short.exists():  # a process was killed between the two
        path.unlink(missing_ok=True)
        return
    run, visited, under_way, parts = EveryPoint(), VisitedSteps(), UnderWay(), list[Entry]()
    first = max((n for n in middle_numbers(folder) if n < number), default=1)
    for count, (line, entry) in enumerate(numbered(folder, first, number, parts)):
        if count % _AT_ONCE == 0:
            yield
        run.take(line, entry, is_last=line[0] == number)
        visited.take(entry)
        under_way.take(entry)
    lines = [run.samples, entries.snapshot(run.told(), under_way.told(), visited.told())]
    lines += [json.dumps(part).encode("ascii") + b"\n" for part in parts]
    _write(short, b"".join(lines))
    path.unlink()
    _forget_snapshots(folder, number)


def _forget_snapshots(folder: Path, number: int) -> None:
    """Of files in the middle before that one only the samples are needed."""
    for before in middle_numbers(folder):
        path = folder / middle_name(before)
        if before >= number:
            continue
        with path.open("rb") as file:
            line = file.readline()
            has_more = bool(file.read(1))
        if json.loads(line)["event"] != "samples":
            path.unlink()
        elif has_more:
            _write(path, line)


def _write(path: Path, text: bytes) -> None:
    """Write it as a whole, or not at all."""
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


class EveryPoint(AbandonedRun):
    """Remembers for each point that is around the run what held where it began.

    At which of them it begins again is asked when nothing of this can be read any more.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        super().__init__(None, by_marks=True)
        self._starts: dict[Point, Then | None] = {}
        """By that point; None: what held there is not known."""
        self._last: Point | None = None
        self._in_last_file = False
        self._before: dict[str, int] = {}
        """Samples of each channel that there were before that file."""

    def take(self, line: Line, entry: Entry, *, is_last: bool) -> None:
        """Take the next line; `is_last`: of the file of which the samples are wanted."""
        if is_last and not self._in_last_file:
            self._in_last_file = True
            self._data.forget(self._data.lengths)
            self._before = self._data.lengths
        self.follow([(line, entry)])

    @property
    def samples(self) -> bytes:
        """The line that tells of those in the last file; empty: there are none."""
        if not self._in_last_file:
            return b""
        told = self._data.told()
        return entries.samples_kept(told) if told["data"] or told["keep"] != self._before else b""

    def told(self) -> dict[str, object]:
        """What is known, as JSON."""
        held = Held()
        starts = [[point_told(point), held.number(then)] for point, then in self._starts.items()]
        marks = [[point_told(then.point), held.number(then)] for then in self._marks.values()]
        stated = None
        if self._stated is not None:
            name, state, then = self._stated
            stated = [name, state, held.number(then)]
        began = self._found and [point_told(self._found.point), held.number(self._found)]
        return {
            "rows": self._rows,
            "points": self._points,
            "attempt": self._attempt,
            "finalised": self._finalised,
            "entered": self._has_entered,
            "names": owns_told(self._names),
            "variables": owns_told(self._variables),
            "lengths": self._data.lengths,
            "left": self._left,
            "way": point_told(self._way),
            "open": [[*key, place_told(place)] for key, place in self._open.items()],
            "gone": [place_told(place) for place in self._gone],
            "since": list(self._since_told()),
            "marks": marks,
            "starts": starts,
            "began": began,
            "stated": stated,
            "last": point_told(self._last),
            "held": held.told,
        }

    def _since_told(self) -> Iterator[list[object]]:
        for at, (path, loops), name, value in self._since:
            yield [at, path_text(path), loops, name, exact(value)]

    def _came_to(self, place: Place, line: Line) -> None:
        point = (place.path, place.loops)
        if point == self._last:
            return
        then: Then | None = None
        starts: dict[Point, Then | None] = {}
        for around in _around(point):
            if around in self._starts:
                starts[around] = self._starts[around]
            else:
                then = starts[around] = then or self._then(None, line, place.tries)
        self._starts, self._last = starts, point
        self._forget_old()

    def _forget_old(self) -> None:
        """What steps had found before anything at which the run could begin again is not needed."""
        if len(self._since) <= _MOST_SINCE:
            return
        known = [*self._starts.values(), *self._marks.values(), self._found]
        first = min(then.at for then in known if then is not None)
        self._since = [found for found in self._since if found[0] >= first]
        if len(self._since) <= _MOST_SINCE:
            return
        del self._since[: -_MOST_SINCE // 2]
        first = self._since[0][0]
        for point, then in self._starts.items():
            if then is not None and then.at < first:
                self._starts[point] = None
        if any(then.at < first for then in self._marks.values()):
            self._marks.clear()
        self._found = None

    def _rewound(self, line: Line, entry: Entry) -> None:
        way = self._way
        super()._rewound(line, entry)
        if self._way is not way:
            self._starts, self._last = {}, None

    def _begun_again(self, line: Line, entry: Entry) -> None:
        super()._begun_again(line, entry)
        if entry["how"] == "finalise":
            return
        start, after = self._way, (entry["after"][0], entry["after"][1])
        self._last = start
        if start is None:
            self._starts = {}
            return
        # Where the pass around began, of which it goes on in the midst, may not be known.
        known = {
            point: then
            for point, then in self._starts.items()
            if then is not None and then.at <= after
        }
        starts = {point: known.get(point) for point in _around(start)}
        self._starts = {**starts, start: known.get(start) or self._found}

    def _restored(self, line: Line, entry: Entry) -> None:
        super()._restored(line, entry)
        self._data.forget(entry["recovery"]["lengths"])

    def _restored_at(
        self,
        last: Point | None,
        starts: Mapping[Point, Mapping[str, Any] | None],
        began: Then | None,
    ) -> None:
        self._last, self._found = last, began
        self._starts = {p: None if told is None else then_of(told, p) for p, told in starts.items()}


def _around(point: Point) -> Iterator[Point]:
    """The point itself and those around it: steps, each with some of the indices."""
    path, loops = point
    for length, part in enumerate(path, 1):
        if isinstance(part, int):
            for count in range(len(loops) + 1):
                yield path[:length], loops[:count]
