"""How many steps a list of nodes will be, where that is known before the run."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.language.foresight.reach import passes_of
from orchestrator.language.program.nodes import (
    GroupNode,
    IfNode,
    LoopNode,
    NestedNode,
    Node,
    ParallelNode,
    RunNode,
)


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
    match node:
        case LoopNode():
            passes, body = passes_of(node.points), count_steps(node.body)
            own = 0 if node.target is None else 1
            return None if passes is None or body is None else passes * (own + body)
        case NestedNode():
            points, body = node.points, count_steps(node.body)
            return None if points is None or body is None else points * (1 + body)
        case GroupNode():
            return count_steps(node.body)
        case ParallelNode():
            return count_steps(node.branches)
        case RunNode():
            program = node.program
            return None if program is None else count_steps((*program.steps, *program.finally_))
        case IfNode():
            branches = count_steps(node.then), count_steps(node.else_)
            return None if None in branches else max(b for b in branches if b is not None)
        case _:
            return 0
