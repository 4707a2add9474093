"""PVs that two servers have: which of them a run would read and write is chance."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import told_at
from orchestrator.language.foresight.checks import Finding, Level
from orchestrator.language.program.nodes import (
    LoopNode,
    NestedNode,
    Node,
    Program,
    SampleNode,
    SetNode,
    Target,
    TrajectoriesNode,
    WaitNode,
    walk,
)
from orchestrator.types import path_text


def two_servers(name: str, pv: str, servers: tuple[str, str]) -> str:
    """What is told of a channel whose PV two servers have."""
    here, other = servers
    return f"{name}: two servers have the PV {pv}, {here} and {other}; stop one"


def at_its_step(program: Program, name: str, text: str) -> Finding:
    """An error of a channel, at the first step that names it."""
    user = next(_users(program, name), None)
    if user is None:
        return Finding(Level.ERROR, program.origin, (), text)
    step = f"{path_text(user.path)} {user.label}"
    return Finding(Level.ERROR, user.where, user.path, told_at(step, text))


def _users(program: Program, channel: str) -> Iterator[Node]:
    """The steps that name a channel."""
    for node in walk(program.steps + program.finally_):
        if channel in _named(node):
            yield node


def _named(node: Node) -> set[str | None]:
    match node:
        case SetNode():
            return {name for target in node.targets for name in (target.pv, target.readback)}
        case LoopNode(target=Target(pv=pv, readback=readback)):
            return {pv, readback}
        case WaitNode():
            until = frozenset() if node.until is None else node.until.channels
            return {*until, None if node.comparison is None else node.comparison.pv}
        case SampleNode():
            return set(node.channels)
        case TrajectoriesNode():
            return {name for server, _ in node.loads for name in server.all}
        case NestedNode():
            return {name for level in node.levels for name in level.server.all}
        case _:
            return set()
