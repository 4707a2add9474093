"""A run that has ended, and is to go on: what is looked up and checked before it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from orchestrator.engine.runs.run_header import Loaded, load
from orchestrator.engine.sequences.library import Library
from orchestrator.errors import InputError
from orchestrator.language.program.nodes import Runnable
from orchestrator.language.program.positions import (
    check_point,
    enterable,
    point_at,
    point_of,
    steps_match,
    way_to,
)
from orchestrator.ports import Store
from orchestrator.types import (
    Abandoned,
    FormerRun,
    Point,
    Position,
    Recovery,
    RunRequest,
    RunStatus,
    Visited,
    parse_path,
    path_text,
)

_MOST_NAMED = 10
"""Channels that are named in one message; more are counted."""


@dataclass(frozen=True, slots=True)
class GoingOn:
    """What is known of a run that is to go on."""

    wanted: Recovery
    before: FormerRun
    abandoned: Abandoned
    loaded: Loaded
    """Its program."""
    library: Library
    """With the documents that it runs."""

    @property
    def position(self) -> Position | None:
        """Where it begins again; None = from its beginning."""
        return self.abandoned.position

    def points(self, visited: Iterable[Visited]) -> list[dict[str, object]]:
        """Where it could go on, of the steps at which it was, with what there is to say of each."""
        start = None if self.position is None else self.position.place
        return [self._point(step, start) for step in visited]

    def _point(self, step: Visited, start: Point | None) -> dict[str, object]:
        way = way_to(self.loaded.program, step.path)
        closed = next((node for node in way[:-1] if not enterable(node)), None)
        note = "it does so by itself" if (step.path, step.loops) == start else ""
        if closed is not None:
            note = f"not by itself: {path_text(closed.path)} begins anew as a whole"
        point = point_text((step.path, step.loops))
        return {"point": point, "name": step.name, "times": step.times, "note": note}

    def told(self) -> Iterator[str]:
        """What an operator should know of it."""
        position, again = self.position, self.abandoned
        where = "its beginning" if position is None else point_text(position.place)
        superseded = again.points - again.superseded
        rows = f"; {superseded} rows are superseded" if superseded else ""
        yield f"goes on from {where}, attempt {self.before.attempts + 1}{rows}"
        if position is not None and (left := self._not_put_again(position)):
            named = [f"{name} = {value}" for name, value in left.items()][-_MOST_NAMED:]
            more = len(left) - len(named)
            text = ", ".join(named) + (f" and {more} more" if more else "")
            yield f"not put again, as it stands before that: {text}"

    def _not_put_again(self, position: Position) -> Mapping[str, object]:
        way = way_to(self.loaded.program, position.path)
        again = {put.pv for node in way for put in node.puts}
        return {name: value for name, value in self.abandoned.left.items() if name not in again}


def point_text(point: Point) -> str:
    """A point as it is asked for: `steps[3].do[0] 7 2`."""
    path, loops = point
    return " ".join((path_text(path), *map(str, loops)))


def look_up(
    store: Store, library: Library, request: RunRequest, wanted: Recovery, configuration: str
) -> GoingOn:
    """Find a run that is to go on, and where. Reads files and computes: not for the event loop.

    Raises:
        InputError: There is none, it can't go on, or not from there.
    """
    before = store.former(wanted.run_id)
    if before.status == RunStatus.SUCCESS:
        raise InputError(f"{wanted.run_id} has succeeded: there is nothing to go on with")
    loaded, kept = _program(before, library, request, wanted, configuration)
    program = loaded.program
    if not program.is_known:
        raise InputError(_of_python(before, wanted))
    if wanted.finalise:
        abandoned = store.abandoned(wanted.run_id, None, by_marks=False)
        if abandoned.finalised:
            raise InputError(f"the finalisers of {wanted.run_id} have run already")
        return GoingOn(wanted, before, abandoned, loaded, kept)
    abandoned = _abandoned(store, program, wanted)
    if abandoned.position is not None:
        check_point(program, *abandoned.position.place)
    return GoingOn(wanted, before, abandoned, loaded, kept)


def _abandoned(store: Store, program: Runnable, wanted: Recovery) -> Abandoned:
    if not wanted.start:
        return store.abandoned(wanted.run_id, point_of(program), by_marks=True)
    path = parse_path(wanted.start)
    check_point(program, path, wanted.loops)
    abandoned = store.abandoned(wanted.run_id, point_at(path, wanted.loops), by_marks=False)
    if abandoned.position is None:
        at = point_text((path, wanted.loops))
        raise InputError(f"{wanted.run_id} has not come to {at}: --list tells where it was")
    return abandoned


def _program(
    before: FormerRun,
    library: Library,
    request: RunRequest,
    wanted: Recovery,
    configuration: str,
) -> tuple[Loaded, Library]:
    """The program of a run as it was, or as it is today where that is wanted and matches."""
    header = before.header
    if not header.sources:
        raise InputError(f"{wanted.run_id} was refused before it began: start it anew")
    own, kept = header.sources[0], library.as_kept(header.sources)
    asked = replace(request, args=header.arguments, recovery=None)
    if own.module:
        return load(kept, replace(asked, name=own.name), configuration), kept
    as_it_was = replace(asked, name=own.name, text=own.text, origin=own.origin)
    loaded = load(kept, as_it_was, configuration)
    if not wanted.current:
        return loaded, kept
    text, origin = _of_today(library, own.name, own.origin)
    today = load(library, replace(asked, name=own.name, text=text, origin=origin), configuration)
    if not steps_match(loaded.program, today.program):
        text = "its steps are others than those that the run was started with"
        raise InputError(f"{origin or own.name}: {text}: go on without --current")
    return today, library


def _of_today(library: Library, name: str, origin: str) -> tuple[str, str]:
    if name in library.files():
        return library.source(name)
    try:
        return FilePath(origin).read_text(encoding="utf-8"), origin
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{origin or name}: the document of today can't be read: {error}"
        ) from error


def _of_python(before: FormerRun, wanted: Recovery) -> str:
    name = before.header.name
    if wanted.finalise:
        return f"{name} is a Python sequence: its clean-up is code that can't be run by itself"
    return f"{name} is a Python sequence, which can't be entered in its midst"
