"""Steps that lead elsewhere than to the next one: out of loops, sequences, into failure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.language.program.nodes import (
    Either,
    Handler,
    InOrder,
    Node,
    Passes,
    Walk,
    walk,
)
from orchestrator.language.program.parts import Abort, Leaves


def may_leave(nodes: Iterable[Node]) -> bool:
    """Whether a step in the passes of a loop may end it: `break`, `end` or `fail`."""
    nodes = tuple(nodes)
    return _breaks(nodes) or any(
        node.leaves in (Leaves.SEQUENCE, Leaves.FAILING) for node in walk(nodes)
    )


def _breaks(nodes: Iterable[Node]) -> bool:
    """Whether a `break` in these leads out of them: it is not in a loop of its own."""
    for node in nodes:
        inside = () if isinstance(node.inside, Passes | Walk) else node.inside.steps
        handler = node.on_error.body if isinstance(node.on_error, Handler) else ()
        if node.leaves is Leaves.LOOP or _breaks(inside) or _breaks(handler):
            return True
    return False


def leads_away(nodes: Iterable[Node]) -> bool:
    """Whether what comes after these steps is never reached, whatever channels hold."""
    return any(_leads_away(node) for node in nodes)


def _leads_away(node: Node) -> bool:
    if not isinstance(node.on_error, Abort):
        return False
    match node.inside:
        case InOrder(body):
            return node.leaves is not None or leads_away(body)
        case Either(then=then, else_=else_):
            return leads_away(then) and leads_away(else_)
        case _:
            return False
