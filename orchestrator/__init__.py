"""Runs sequences across several EPICS IOCs, served as process variables.

For sequences in Python: `Run`, `sequence`, `function`, `State`, `When`. For a service inside
another program: `load_config`, `open_service` and what goes with them. The names are imported when
they are first asked for, so that the command line starts quickly.
"""

from __future__ import annotations

from orchestrator.startup.deferred import deferred

TYPE_CHECKING = False  # typing takes as long as all else before a command hears of Ctrl-C

if TYPE_CHECKING:
    from orchestrator.api import EVENTS, Api, Caller, Filter, Subscription
    from orchestrator.config import Config, ServerConfig, load_config
    from orchestrator.engine.python.decorators import function, sequence
    from orchestrator.engine.python.machine import State, When
    from orchestrator.engine.python.python_run import Run
    from orchestrator.language.names import Channel
    from orchestrator.language.text.table_text import Table, rows
    from orchestrator.service import Service, open_service

__all__ = [
    "EVENTS",
    "Api",
    "Caller",
    "Channel",
    "Config",
    "Filter",
    "Run",
    "ServerConfig",
    "Service",
    "State",
    "Subscription",
    "Table",
    "When",
    "function",
    "load_config",
    "open_service",
    "rows",
    "sequence",
]

__getattr__ = deferred(
    __name__,
    {
        "EVENTS": "api",
        "Api": "api",
        "Caller": "api",
        "Channel": "language.names",
        "Config": "config",
        "Filter": "api",
        "Run": "engine.python.python_run",
        "ServerConfig": "config",
        "Service": "service",
        "State": "engine.python.machine",
        "Subscription": "api",
        "Table": "language.text.table_text",
        "When": "engine.python.machine",
        "function": "engine.python.decorators",
        "load_config": "config",
        "open_service": "service",
        "rows": "language.text.table_text",
        "sequence": "engine.python.decorators",
    },
)
