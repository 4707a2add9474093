"""PVs that two servers have: which of them a run would read and write is chance."""

from __future__ import annotations

from orchestrator.errors import told_at
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.program.nodes import Runnable, walk
from orchestrator.types import path_text


def two_servers(name: str, pv: str, servers: tuple[str, str]) -> str:
    """What is told of a channel whose PV two servers have."""
    here, other = servers
    return f"{name}: two servers have the PV {pv}, {here} and {other}; stop one"


def at_its_step(program: Runnable, name: str, text: str) -> Finding:
    """An error of a channel, at the first step that names it."""
    nodes = walk(program.all_steps)
    user = next((node for node in nodes if name in node.names), None)
    if user is None:
        return Finding(Level.ERROR, program.origin, (), text)
    step = f"{path_text(user.path)} {user.label}"
    return Finding(Level.ERROR, user.where, user.path, told_at(step, text))
