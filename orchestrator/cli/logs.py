"""The logs: for people on a terminal, JSON lines otherwise; on stderr, ours and the libraries'."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TextIO

import structlog
from structlog.typing import Processor

_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Without the values of variables: an array of a million is one of them."""

_LIBRARY_LEVEL = logging.WARNING
"""caproto and asyncio say nothing below this to a user, unless asked for by -vv."""


def set_up_logs(level: int, stream: TextIO | None = None) -> None:
    """Log from `level` on.

    Args:
        level: As in `logging`.
        stream: Where to; by default whatever `sys.stderr` is at the time of each line, so that
            a live display can keep lines above itself.
    """
    terminal = (stream or sys.stderr).isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_rendering(terminal=terminal)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if level <= logging.DEBUG else max(level, _LIBRARY_LEVEL))
    logging.getLogger("orchestrator").setLevel(level)
    logging.captureWarnings(capture=True)


def level_of(verbose: int, *, quiet: bool = False, normal: int = logging.WARNING) -> int:
    """The level for `-q`, `-v` and `-vv`; `normal` without them."""
    if quiet:
        return logging.ERROR
    return max(normal - 10 * verbose, logging.DEBUG)


def _rendering(*, terminal: bool) -> Sequence[Processor]:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if terminal:
        return [drop, structlog.dev.ConsoleRenderer(pad_event_to=0)]
    return [drop, _TRACEBACKS, structlog.processors.JSONRenderer()]


class _Handler(logging.StreamHandler[TextIO]):
    """Looks up `sys.stderr` at each line."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self._given = stream

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = self._given or sys.stderr
        super().emit(record)
