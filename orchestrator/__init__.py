"""Runs sequences across several EPICS IOCs, served as process variables.

The names here are what sequences in Python are written with; they are imported when they are
first asked for, so that the command line starts quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.engine.machine import State, When
    from orchestrator.engine.python import Run
    from orchestrator.engine.registry import function, sequence

__all__ = ["Run", "State", "When", "function", "sequence"]

_HOMES = {
    "Run": "orchestrator.engine.python",
    "State": "orchestrator.engine.machine",
    "When": "orchestrator.engine.machine",
    "function": "orchestrator.engine.registry",
    "sequence": "orchestrator.engine.registry",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
