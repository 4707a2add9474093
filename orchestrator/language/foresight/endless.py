"""Loops that no pass can end: nothing that their `while` reads can change while they run."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.nodes import Another, Node, Passes, walk


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
    if isinstance(node.inside, Another) and node.inside.known is None:
        return True  # a Python sequence, or one that is not known yet
    return not wanted.isdisjoint(node.samples)


def is_meant(condition: Operand) -> bool:
    """Whether it is written so that it never changes: `true`, a parameter, or not a parameter."""
    return condition.constant and condition.text.removeprefix("not ").isidentifier()


def bound_inside(condition: Operand, passes: Passes) -> frozenset[str]:
    """Names of a condition that a loop's passes bind, which are gone after each."""
    bound = {passes.variable}
    for node in walk(passes.steps):
        bound.update(name for name, _ in node.binds)
        if isinstance(node.inside, Passes):
            bound.add(node.inside.variable)
    return condition.variables & bound
