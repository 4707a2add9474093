"""What this process has to tell goes into the service's log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.web.service_link import ServiceLink

_MOST = 20_000
"""Characters of a traceback: its end."""


class LogLines(logging.Handler):
    """Sends records to the service."""

    def __init__(self, link: ServiceLink) -> None:
        """`link`: to it."""
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        details = {"logger": record.name}
        if record.exc_info:
            formatter = self.formatter or logging.Formatter()
            details["traceback"] = formatter.formatException(record.exc_info)[-_MOST:]
        level = "ERROR" if record.levelno >= logging.ERROR else "WARNING"
        self._link.tell({"log": level, "text": record.getMessage(), "details": details})
