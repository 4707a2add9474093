"""Where in a program a run can begin again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from orchestrator.errors import InputError
from orchestrator.language.names import suggestion
from orchestrator.language.program.nodes import (
    Another,
    Node,
    Passes,
    Runnable,
    Together,
    Walk,
    children,
    walk,
)
from orchestrator.types import Path, Point, path_text


def way_to(program: Runnable, path: Path) -> list[Node]:
    """The steps around a place, outermost first, and the one that stands there.

    They end early where what is inside one is not known before it runs.
    """
    way: list[Node] = []
    nodes: Sequence[Node] = program.steps
    while node := next((node for node in nodes if path[: len(node.path)] == node.path), None):
        way.append(node)
        nodes = children(node)
    return way


def point_of(program: Runnable) -> Callable[[Path, tuple[int, ...]], Point | None]:
    """Says where a run begins again that was at a place: with the pass of its outermost loops.

    Where there is no loop around it that is the step itself; of what runs at the same time no
    step is entered by itself, nor one of a Python sequence.
    """

    @lru_cache(maxsize=10_000)
    def beginning(path: Path) -> tuple[Path, int | None]:
        """The path of the point, and how many indices it has; None = all."""
        way = way_to(program, path)
        for node in way:
            if count := passes(node):
                return node.path, count
            if not enterable(node):
                return node.path, 0
        return (way[-1].path, None) if way else ((), None)

    def point(path: Path, loops: tuple[int, ...]) -> Point | None:
        start, count = beginning(path)
        return (start, loops[:count]) if start else None

    return point


def point_at(path: Path, loops: tuple[int, ...]) -> Callable[[Path, tuple[int, ...]], Point | None]:
    """Says so of one point alone, which was asked for."""

    def point(at: Path, indices: tuple[int, ...]) -> Point | None:
        is_inside = at[: len(path)] == path and indices[: len(loops)] == loops
        return (path, loops) if is_inside else None

    return point


def passes(node: Node) -> int:
    """How many indices the passes of a step have: of no loop 0."""
    match node.inside:
        case Passes():
            return 1
        case Walk(levels):
            return len(levels)
    return 0


def enterable(node: Node) -> bool:
    """Whether a run can begin again at a step inside."""
    match node.inside:
        case Together() | Another(document=None):
            return False
    return True


def check_point(program: Runnable, path: Path, loops: tuple[int, ...]) -> None:
    """Refuse what is no point of a program at which a run can begin again.

    Raises:
        InputError: Says what would be.
    """
    way = way_to(program, path)
    for node in way:
        if not enterable(node) and len(node.path) < len(path):
            at = f"{path_text(node.path)} ({node.label})"
            raise InputError(f"{path_text(path)} can't be entered by itself: go on from {at}")
    known = [inner for inner in way if not _is_open(inner)]
    if not way or (way[-1].path != path and known == way):
        paths = [path_text(node.path) for node in walk(program.steps)]
        hint = suggestion(path_text(path), paths, kind="steps")
        raise InputError(f"there is no step {path_text(path)}{hint}")
    around = sum(passes(node) for node in way if node.path != path)
    if known == way and len(loops) not in {around, around + passes(way[-1])}:
        more = f", or {around + passes(way[-1])} for one of its passes" if passes(way[-1]) else ""
        wanted = f"{around} indices of loops{more}"
        raise InputError(f"{path_text(path)} takes {wanted}, got {len(loops)}")


def _is_open(node: Node) -> bool:
    """Whether its steps are known only when the run comes there."""
    return isinstance(node.inside, Another) and node.inside.program is None


def steps_match(program: Runnable, other: Runnable) -> bool:
    """Whether two programs have the same kinds of steps in the same places."""
    return _kinds(program) == _kinds(other)


def _kinds(program: Runnable) -> list[tuple[Path, type[Node]]]:
    return [(node.path, type(node)) for node in walk(program.steps)]
