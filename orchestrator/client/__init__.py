"""The edge to Channel Access; the only package that uses aioca.

`configure_environment` first, then a `Client`; the functions do one thing with a client of
their own, as caget, caput, camonitor and cainfo do.
"""

from orchestrator import quick_libca  # noqa: F401 - first: before anything imports libca

# isort: split
from orchestrator.client.client import Client
from orchestrator.client.commands import Answer, get_values, info, monitor, put_values
from orchestrator.client.environment import configure_environment
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
