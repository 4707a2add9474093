"""Random programs of nested loops, and what happens in a run of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import strategies as st

from orchestrator.ports import PointOf
from orchestrator.types import Path, Place, Point


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


def beginnings(nodes: tuple[Let | Loop, ...], depth: int) -> PointOf:
    """Says where a run goes on: at the pass of the loop that so many are around."""
    loops = points(nodes)

    def point_of(path: Path, indices: tuple[int, ...]) -> Point | None:
        around = [p for p in loops if path[: len(p)] == p]
        start = sorted(around, key=len)[depth] if len(around) > depth else path
        return start, indices[: loops.get(start, len(indices))]

    return point_of
