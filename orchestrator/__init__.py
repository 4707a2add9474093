"""Runs sequences across several EPICS IOCs, served as process variables.

The names here are what sequences in Python are written with; they are imported when they are
first asked for, so that the command line starts quickly.
"""

from __future__ import annotations

from orchestrator.startup.deferred import deferred

TYPE_CHECKING = False  # typing takes as long as all else before a command hears of Ctrl-C

if TYPE_CHECKING:
    from orchestrator.engine.python.decorators import function, sequence
    from orchestrator.engine.python.machine import State, When
    from orchestrator.engine.python.run import Run

__all__ = ["Run", "State", "When", "function", "sequence"]

__getattr__ = deferred(
    __name__,
    {
        "Run": "engine.python.run",
        "State": "engine.python.machine",
        "When": "engine.python.machine",
        "function": "engine.python.decorators",
        "sequence": "engine.python.decorators",
    },
)
