"""The logs: for people on a terminal, JSON lines otherwise; on stderr, ours and the libraries'."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import Processor

from orchestrator.line_writer import LineWriter, spare
from orchestrator.task_context import add_place
from orchestrator.types import Access, fields

_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Without the values of variables: an array of a million is one of them."""

PACKETS = logging.DEBUG - 5
"""For -vv: caproto's packets too, one by one. Below it caproto and asyncio tell of trouble only."""

_GROUPS = ("orchestrator.transports.ca.stats", "orchestrator.transports.ca.pvs")
"""caproto logs each write of a group's PV, the heartbeat's too, by the group's module and name."""

_CIRCUITS = logging.getLogger("caproto.circ")
_COMMANDS = tuple(field.name for field in fields.ALL if field.access is Access.ASK)
_REFUSALS = 20
"""Refused puts that are logged in a minute."""

_LAST_LINES_S = 2.0
"""s that the last lines may take at the end."""


@contextmanager
def background_logs(level: int) -> Iterator[None]:
    """Log from `level` on to stderr, by a thread: a reader who stands still holds nothing up.

    At the end of the block what waits is written, for a bounded time. If its reader has not come
    back by then, the process may end all the same: what it would still write there vanishes.
    """
    stderr = sys.stderr.fileno()
    writer = LineWriter(stderr, _dropped)
    set_up_logs(level)
    handler = _Background(writer)
    root = logging.getLogger()
    handler.setFormatter(root.handlers[0].formatter)
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        if not writer.close(_LAST_LINES_S):
            spare(stderr)
            spare(sys.stdout.fileno())
        set_up_logs(level)


def _dropped(count: int) -> str:
    """A line of the log as it would have been formatted, of what could not be kept for it."""
    record = logging.LogRecord(__name__, logging.WARNING, "", 0, "", None, None)
    lines = "1 line" if count == 1 else f"{count:,} lines"
    record.msg = f"{lines} dropped here: nobody read the log"
    formatter = logging.getLogger().handlers[0].formatter
    return f"{formatter.format(record) if formatter else record.msg}\n"


def set_up_logs(level: int, stream: TextIO | None = None) -> None:
    """Log from `level` on.

    Args:
        level: As in `logging`; `PACKETS` has the libraries tell all that they can.
        stream: Where to; by default whatever `sys.stderr` is at the time of each line, so that
            a live display can keep lines above itself.
    """
    terminal = (stream or sys.stderr).isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_place,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(max(level, logging.DEBUG)),
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
    root.setLevel(_library_level(level))
    logging.getLogger("orchestrator").setLevel(max(level, logging.DEBUG))
    _CIRCUITS.setLevel(logging.INFO if level == logging.INFO else logging.NOTSET)
    _CIRCUITS.filters[:] = [f for f in _CIRCUITS.filters if not isinstance(f, _RefusedPuts)]
    if level == logging.INFO:
        _CIRCUITS.addFilter(_RefusedPuts())
    for group in _GROUPS:
        logging.getLogger(group).setLevel(_library_level(level))
    logging.captureWarnings(capture=True)


def _library_level(level: int) -> int:
    if level <= PACKETS:
        return logging.DEBUG
    return logging.INFO if level <= logging.DEBUG else max(level, logging.WARNING)


_FOR_COMMANDS = [logging.WARNING, logging.INFO, PACKETS]
"""Without, with -v, with -vv."""


def level_of(verbose: int, *, quiet: bool = False, normal: int = logging.WARNING) -> int:
    """The level for `-q`, `-v` and `-vv`; `normal` without them."""
    if quiet:
        return logging.ERROR
    steps = [normal, logging.DEBUG, PACKETS] if normal < logging.WARNING else _FOR_COMMANDS
    return steps[min(verbose, len(steps) - 1)]


def _rendering(*, terminal: bool) -> Sequence[Processor]:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if terminal:
        return [drop, structlog.dev.ConsoleRenderer(pad_event_to=0)]
    return [drop, _TRACEBACKS, structlog.processors.JSONRenderer()]


class _RefusedPuts(logging.Filter):
    """Of what the circuits tell below a warning, lets pass the puts that were refused, a few.

    What is refused as a command is told with its reason by the device, and a run that fails, by
    its end.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._minute = 0.0
        self._passed = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is a line of the log; called by logging."""
        if record.levelno >= logging.WARNING:
            return True
        if not record.getMessage().startswith("put of ") or self._is_of_a_command(record):
            return False
        if self._clock() - self._minute >= 60:
            self._minute, self._passed = self._clock(), 0
        self._passed += 1
        return self._passed <= _REFUSALS

    @staticmethod
    def _is_of_a_command(record: logging.LogRecord) -> bool:
        names = record.args if isinstance(record.args, tuple) else ()
        return bool(names) and str(names[0]).endswith(_COMMANDS)


class _Background(logging.Handler):
    """Hands each line to a writer."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.offer(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - as logging's own handlers: it must not reach who logs
            self.handleError(record)


class _Handler(logging.StreamHandler[TextIO]):
    """Looks up `sys.stderr` at each line."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self._given = stream

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = self._given or sys.stderr
        super().emit(record)
