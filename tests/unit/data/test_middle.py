"""Of a very long journal the middle goes, and a run goes on as if it was there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.data.journal import entries
from orchestrator.data.journal.abandoned import AbandonedRun, VisitedSteps
from orchestrator.data.journal.file import file_name
from orchestrator.data.journal.interrupted import interrupted_run
from orchestrator.data.journal.middle import shorten
from orchestrator.data.journal.reader import attempts_of, is_whole, numbered, points_in
from orchestrator.errors import InputError
from orchestrator.language.program.positions import point_at
from orchestrator.ports import PointOf
from orchestrator.types import Place, Reading, RunHeader
from tests.unit.data.random_programs import Let, Loop, beginnings, bindings, steps

HEADER = RunHeader("20261130T160423.423Z-k3", "scan")


class Made:
    """A journal in several files, as a run of a program writes it and one that goes on with it."""

    def __init__(self, folder: FilePath, program: tuple[Let | Loop, ...], seed: int) -> None:
        self.folder = folder
        self.files = self.points = 0
        self._number = 0
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._happened = list(bindings(program))

    def begin(self, length: int, files: int) -> None:
        """So many steps, in so many files."""
        lines = [entries.run_begun(HEADER, {}), *self._lines(self._happened[:length])]
        self._write(lines, files)

    def go_on(self, point_of: PointOf, number: int, length: int, files: int) -> None:
        """Another attempt, from where it would begin by itself."""
        run = AbandonedRun(point_of, by_marks=True).follow(numbered(self.folder)).ended()
        if run.position is None:
            return
        path, loops = run.position.place
        ways = [
            index
            for index, (at, _) in enumerate(self._happened)
            if at.path[: len(path)] == path and at.loops[: len(loops)] == loops
        ]
        lines = [entries.attempt_begun(HEADER, {}, number, run)]
        lines += self._lines(self._happened[ways[0] : ways[0] + length])
        self._write(lines, files)

    def _lines(self, happened: list[tuple[Place, Let]]) -> list[bytes]:
        return [line for at, let in happened for line in self._step(at, let)]

    def _step(self, at: Place, let: Let) -> Iterator[bytes]:
        """A step binds, puts, samples, is left or not, or is marked."""
        self._number = number = self._number + 1
        match self._rng.randrange(7):
            case 0:
                yield entries.step_entered(number, at, f"set {let.name}")
                yield entries.name_bound(at, "$origin", number, variable=False)
                yield entries.put_leaves(number, number, let.name, number, completion=True)
                yield entries.put_ended(number, "completed", "")
                if self._rng.random() < 0.8:
                    yield entries.step_left(number, "done", "")
            case 1:
                read = {let.name: Reading(let.name, float(number), 1.5), "lost": None}
                yield entries.row(self.points, at, read)
                self.points += 1
            case 2 if self._rng.random() < 0.5:
                yield entries.checkpoint_passed(at)
            case 3 if self._rng.random() < 0.3:
                value = np.arange(9000.0) + number  # takes several parts
                yield from entries.parts(
                    entries.name_bound(at, let.name, value, variable=let.variable)
                )
            case _:
                yield entries.name_bound(at, let.name, number, variable=let.variable)

    def _write(self, lines: list[bytes], files: int) -> None:
        cuts = sorted(self._rng.randrange(1, len(lines) + 1) for _ in range(files - 1))
        for start, end in pairwise([0, *cuts, len(lines)]):
            self.files += 1
            (self.folder / file_name(self.files)).write_bytes(b"".join(lines[start:end]))


def recovered(folder: FilePath, point_of: PointOf | None, *, by_marks: bool) -> dict[str, Any]:
    """Where the run would go on, with what."""
    try:
        found = AbandonedRun(point_of, by_marks=by_marks).follow(numbered(folder)).ended()
    except InputError as error:
        return {"refused": str(error)}
    facts = asdict(found)
    facts["data"] = {
        name: list(map(str, values)) for name, values in found.data.items() if len(values)
    }
    return {name: repr(value) for name, value in facts.items()}


@settings(max_examples=40, deadline=None)
@given(
    steps,
    st.lists(st.integers(2, 60), min_size=1, max_size=3),
    st.integers(2, 4),
    st.integers(0, 10**6),
    st.integers(0, 2),
)
def test_a_run_goes_on_as_if_its_middle_was_there(
    program: tuple[Let | Loop, ...], lengths: list[int], files: int, seed: int, depth: int
) -> None:
    with TemporaryDirectory() as made:
        folder, point_of = FilePath(made), beginnings(program, depth)
        run = Made(folder, program, seed)
        run.begin(lengths[0], files)
        for number, length in enumerate(lengths[1:], 2):
            run.go_on(point_of, number, length, files)
        before = all_known(folder, point_of)
        for number in range(2, run.files):
            for _ in shorten(folder, number):
                pass
            assert is_whole(folder)
            assert all_known(folder, point_of) == before
        assert len(list(folder.glob("journal*"))) == 2


def all_known(folder: FilePath, point_of: PointOf) -> list[object]:
    """All that is asked of a journal when its run goes on, or is to be told of."""
    visited = VisitedSteps()
    for _, entry in numbered(folder):
        visited.take(entry)
    return [
        recovered(folder, point_of, by_marks=True),
        recovered(folder, None, by_marks=False),
        visited.steps,
        interrupted_run(folder).text,
        points_in(folder),
        attempts_of(folder),
    ]


@settings(max_examples=20, deadline=None)
@given(steps, st.integers(2, 60), st.integers(3, 4), st.integers(0, 10**6))
def test_it_goes_on_from_each_step_around_as_well(
    program: tuple[Let | Loop, ...], length: int, files: int, seed: int
) -> None:
    happened = list(bindings(program))[:length]
    assume(happened)
    with TemporaryDirectory() as made:
        folder = FilePath(made)
        run = Made(folder, program, seed)
        run.begin(length, files)
        at = happened[-1][0]
        around = [point_at(at.path[:2], at.loops[:count]) for count in range(len(at.loops) + 1)]
        around.append(point_at(at.path, at.loops))
        before = [recovered(folder, point_of, by_marks=False) for point_of in around]
        for number in range(2, files):
            for _ in shorten(folder, number):
                pass
        after = [recovered(folder, point_of, by_marks=False) for point_of in around]
        assert after[0] == before[0]  # around all of it
        for one, other in zip(after, before, strict=True):
            # The last step may have told nothing: where it was then is in the middle, perhaps.
            assert one == other or "middle" in one["refused"]


def test_where_the_run_was_before_that_it_does_not_begin_again(tmp_path: FilePath) -> None:
    run = Made(tmp_path, (Loop(30, (Let("a"),)),), 1)
    run.begin(30, 4)
    for _ in shorten(tmp_path, 2):
        pass
    path, loops = ("steps", 0), (0,)
    abandoned = AbandonedRun(point_at(path, loops), by_marks=False).follow(numbered(tmp_path))
    with pytest.raises(InputError, match=r"middle of the journal is not kept.* --from"):
        abandoned.ended()
