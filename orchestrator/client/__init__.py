"""The edge to Channel Access; the only package that uses aioca.

`configure_environment` first, then a `Client`; the functions do one thing with a client of
their own, as caget, caput, camonitor and cainfo do.

Each is imported when it is first asked for: the tests' client, `client_process`, needs none of
them, and a test suite starts hundreds of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.startup import libca  # noqa: F401 - first: before anything imports libca
from orchestrator.startup.deferred import deferred

if TYPE_CHECKING:
    from orchestrator.client.client import Client
    from orchestrator.client.command_line import Answer, get_values, info, monitor, put_values
    from orchestrator.client.libca.ca_variables import configure_environment
    from orchestrator.client.parsing import parse_value

__all__ = [
    "Answer",
    "Client",
    "configure_environment",
    "get_values",
    "info",
    "monitor",
    "parse_value",
    "put_values",
]

__getattr__ = deferred(
    __name__,
    {
        "Answer": "command_line",
        "Client": "client",
        "configure_environment": "libca.ca_variables",
        "get_values": "command_line",
        "info": "command_line",
        "monitor": "command_line",
        "parse_value": "parsing",
        "put_values": "command_line",
    },
)
