"""caproto's log lines: one line each, and none at all for what is a client's own matter."""

from __future__ import annotations

import logging

_CIRCUITS = logging.getLogger("caproto.circ")


_CLIENTS_MATTERS = (
    "Invalid write request",  # the client is told
    "High load",  # it reads more slowly than its PVs change; a C IOC says nothing either
    "Critically high",
)
"""Messages that begin so are for -v."""


def one_line_logs() -> None:
    """Make a refused put a line for -v instead of a traceback."""
    if _quieten not in _CIRCUITS.filters:
        _CIRCUITS.addFilter(_quieten)


def _quieten(record: logging.LogRecord) -> bool:
    if record.exc_info and not _CIRCUITS.isEnabledFor(logging.DEBUG):
        record.msg = f"{record.getMessage()}: {record.exc_info[1]}"
        record.args = ()
        record.exc_info = None
    if str(record.msg).startswith(_CLIENTS_MATTERS):
        record.levelno, record.levelname = logging.INFO, "INFO"
        return _CIRCUITS.isEnabledFor(logging.INFO)
    return True
