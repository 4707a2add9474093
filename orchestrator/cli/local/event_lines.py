"""The events of a service's runs as lines of JSON, for programs that follow them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import structlog

from orchestrator.errors import InputError
from orchestrator.line_writer import LineWriter
from orchestrator.types import (
    Automated,
    Progressed,
    QueueChanged,
    RunEvent,
    StepStarted,
    path_text,
)

log = structlog.get_logger(__name__)

_LAST_LINES_S = 2.0
"""s that the last lines may take at the end."""

_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


class EventLines:
    """Writes an event a line, `{"event": "run_started", "at": Unix s, …}`, each at once.

    `run_id` names the run that it is about, where there is one.
    A row's values come in the order of its `sample`, null for what is no number. The figures that
    move all the time and the queue are left out: they are PVs. Where nobody reads (a pipe), a line
    `{"event": "dropped", "at": …, "count": 12}` stands in the place of those that did not fit.
    """

    def __init__(self, offer: Callable[[str], None]) -> None:
        """`offer` takes a line with its end; it must not wait."""
        self._offer = offer

    def take(self, event: RunEvent) -> None:
        """Write one."""
        if isinstance(event, Progressed | QueueChanged | Automated):
            return
        name = _WORDS.sub("_", type(event).__name__).lower()
        self._offer(_line(name, _facts(event)))


@contextmanager
def event_lines(file: Path) -> Iterator[EventLines]:
    """Append the events of runs to a file, by a thread; at the end what waits is written.

    Where that fails (a full disk) the log says so once, and no more is written.

    Raises:
        InputError: The file can't be opened.
    """
    try:
        # A named pipe for reading too: to write only, one would wait here for somebody who reads.
        access = os.O_RDWR if file.is_fifo() else os.O_WRONLY
        fd = os.open(file, access | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"--events {file}: {error.strerror}") from error

    def failed(error: OSError) -> None:  # a run must not end for it
        reason = error.strerror
        log.error("the events of runs are no longer written", file=str(file), error=reason)

    writer = LineWriter(fd, lambda count: _line("dropped", {"count": count}), failed)
    try:
        yield EventLines(writer.offer)
    finally:
        if writer.close(_LAST_LINES_S):
            os.close(fd)
        else:
            log.warning("the last events of runs were not written: nobody reads", file=str(file))


def _line(name: str, facts: Mapping[str, object]) -> str:
    return json.dumps({"event": name, "at": time.time(), **facts}, allow_nan=False) + "\n"


def _facts(event: RunEvent) -> Mapping[str, object]:
    facts = {field.name: _plain(getattr(event, field.name)) for field in _told(event)}
    if not facts.get("run_id", True):  # it is about none
        del facts["run_id"]
    return facts | ({"path": path_text(event.path)} if isinstance(event, StepStarted) else {})


def _told(event: RunEvent) -> Iterator[dataclasses.Field[Any]]:
    """Its fields, without the service's own count, and columns that grow with each row."""
    return (f for f in dataclasses.fields(event) if f.name not in ("request", "columns"))


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.name if isinstance(value, int) else value.value
        case float() if not math.isfinite(value):
            return None
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value
