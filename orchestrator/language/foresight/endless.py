"""Loops that no pass can end: nothing that their `while` reads can change while they run."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.nodes import (
    CallNode,
    LetNode,
    LoopNode,
    Node,
    RunNode,
    SampleNode,
    walk,
)


def can_change(condition: Operand, meanwhile: Iterable[Node]) -> bool:
    """Whether a condition may be another one after a pass.

    Channels are changed by others too, and time goes by. A name is bound once for the rest of its
    list, and what a body binds is gone after the pass. Samples are taken by steps alone.

    Args:
        condition: Of a `while`.
        meanwhile: All steps that may run between two looks at it.
    """
    if condition.channels or condition.links or condition.timed:
        return True
    return bool(condition.data) and any(_samples(node, condition.data) for node in meanwhile)


def _samples(node: Node, wanted: frozenset[str]) -> bool:
    match node:
        case SampleNode():
            return not wanted.isdisjoint(node.channels)
        case RunNode(known=None):
            return True  # a Python sequence, or one that is not known yet
        case _:
            return False


def is_meant(condition: Operand) -> bool:
    """Whether it is written so that it never changes: `true`, a parameter, or not a parameter."""
    return condition.constant and condition.text.removeprefix("not ").isidentifier()


def bound_inside(condition: Operand, loop: LoopNode) -> frozenset[str]:
    """Names of a condition that the loop's body binds, for the rest of each pass only."""
    bound: set[str] = set()
    for node in walk(loop.body):
        match node:
            case LetNode():
                bound.update(name for name, _ in node.bindings)
            case CallNode(variable=str(name)):
                bound.add(name)
            case LoopNode(variable=str(name)):
                bound.add(name)
            case _:
                pass
    if loop.variable is not None:
        bound.add(loop.variable)
    return condition.variables & bound
