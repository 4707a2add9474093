"""How many steps a list of nodes will be, where that is known before the run."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.language.foresight.reach import passes_of
from orchestrator.language.program.nodes import Another, Either, Node, Passes, Walk


def count_steps(nodes: Iterable[Node]) -> int | None:
    """Steps of these nodes, each pass of a loop counted; None = not known before the run."""
    total = 0
    for node in nodes:
        inner = _inner(node)
        if inner is None:
            return None
        total += 1 + inner
    return total


def _inner(node: Node) -> int | None:
    inside = node.inside
    match inside:
        case Passes():
            passes, body = passes_of(inside.points), count_steps(inside.steps)
            own = bool(node.puts)  # all at once: one step
            return None if passes is None or body is None else passes * (own + body)
        case Walk():
            points, body = inside.points, count_steps(inside.steps)
            return None if points is None or body is None else points * (1 + body)
        case Another(program=None):
            return None
        case Either():
            branches = count_steps(inside.then), count_steps(inside.else_)
            return None if None in branches else max(b for b in branches if b is not None)
        case _:
            return count_steps(inside.steps)
