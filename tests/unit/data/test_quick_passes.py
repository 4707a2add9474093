"""Of passes that follow each other quickly a journal tells what a run needs that goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.journal import entries
from orchestrator.data.journal.abandoned import AbandonedRun
from orchestrator.data.journal.quick_passes import QuickPasses
from orchestrator.types import Abandoned, Path, Place, Point


@dataclass(frozen=True)
class Let:
    """A step that binds one of three names, or variables."""

    name: str
    variable: bool = False


@dataclass(frozen=True)
class Loop:
    """So many passes of steps; with two levels each pass has two indices."""

    passes: int
    steps: tuple[Let | Loop, ...]
    levels: int = 1


lets = st.builds(Let, st.sampled_from("abc"), st.booleans())
steps = st.recursive(
    st.lists(lets, min_size=1, max_size=3).map(tuple),
    lambda inner: st.lists(
        st.one_of(lets, st.builds(Loop, st.integers(0, 4), inner, st.sampled_from([1, 2]))),
        min_size=1,
        max_size=3,
    ).map(tuple),
    max_leaves=12,
)


def bindings(
    nodes: tuple[Let | Loop, ...], path: Path = ("steps",), loops: tuple[int, ...] = ()
) -> Iterator[tuple[Place, Let]]:
    """What happens in a run of steps, in order."""
    for number, node in enumerate(nodes):
        here = (*path, number)
        if isinstance(node, Let):
            yield Place(here, loops), node
            continue
        for index in range(node.passes):
            inner = (index,) if node.levels == 1 else (index // 2, index % 2)
            yield from bindings(node.steps, (*here, "do"), (*loops, *inner))


def points(nodes: tuple[Let | Loop, ...], way: tuple[Path, int] | None = None) -> dict[Path, int]:
    """The loops: how many indices a pass has of each, with those around."""
    path, around = way or (("steps",), 0)
    found: dict[Path, int] = {}
    for number, node in enumerate(nodes):
        if isinstance(node, Loop):
            here, count = (*path, number), around + node.levels
            found |= {here: count} | points(node.steps, ((*here, "do"), count))
    return found


def told(happened: list[tuple[Place, Let]], stops: set[int], *, quick: bool) -> list[bytes]:
    """The lines of a run that is at an end, or puts something, after so many bindings."""
    lines: list[bytes] = []
    # The clock stands: what is more than is told in a second is told because of what follows.
    passes = QuickPasses(lines.append, lambda: 0.0, listed=0 if quick else len(happened))
    for number, (at, let) in enumerate(happened):
        passes.bound(at, let.name, number, variable=let.variable)
        if number in stops:
            passes.flush()
            lines.append(entries.put_ended(1, "written", ""))
    passes.flush()
    return lines


def recovered(lines: list[bytes], program: tuple[Let | Loop, ...], depth: int) -> Abandoned:
    """Where the run would go on: the pass under way of the loops that so many are around."""
    loops = points(program)

    def point_of(path: Path, indices: tuple[int, ...]) -> Point | None:
        around = [p for p in loops if path[: len(p)] == p]
        start = sorted(around, key=len)[depth] if len(around) > depth else path
        return start, indices[: loops.get(start, len(indices))]

    told = [((1, n), json.loads(line)) for n, line in enumerate(lines)]
    return AbandonedRun(point_of, by_marks=True).follow(told).ended()


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 60), st.sets(st.integers(0, 60), max_size=2), st.integers(0, 2))
def test_a_run_goes_on_as_if_each_value_had_been_told(
    program: tuple[Let | Loop, ...], length: int, stops: set[int], depth: int
) -> None:
    happened = list(bindings(program))[:length]
    of_all, of_some = (
        recovered(told(happened, stops, quick=quick), program, depth) for quick in (False, True)
    )
    assert of_some.position == of_all.position
    assert of_some.entered == of_all.entered


def test_each_second_a_few_are_told_at_once_and_the_newest_of_all_others() -> None:
    now, lines = 0.0, list[bytes]()
    passes = QuickPasses(lines.append, lambda: now)
    for number in range(200_000):
        now = number / 100_000
        at = Place(("steps", 0, "do", 0), (number,))
        passes.bound(at, "a", number, variable=False)
    passes.flush()
    found = [json.loads(line) for line in lines]
    assert [entry.get("value") for entry in found] == [
        *range(100), None, 99_998, 99_999, *range(100_000, 100_100), None, 199_998, 199_999,
    ]  # fmt: skip
    assert [entry["bound"] for entry in found if entry["event"] == "passes"] == [99_898, 99_898]
    assert len(b"".join(lines)) < 40_000


def test_a_value_that_is_changed_later_is_told_as_it_was() -> None:
    lines = list[bytes]()
    passes, at, grows = QuickPasses(lines.append, lambda: 0.0, listed=0), Place(("steps", 0)), [1]
    passes.bound(at, "a", grows, variable=False)
    grows.append(2)
    passes.flush()
    assert json.loads(lines[0])["value"] == [1]
