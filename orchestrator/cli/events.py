"""The events of a service's runs as lines of JSON, for programs that follow them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import TextIO

import structlog

from orchestrator.types import Progressed, QueueChanged, RowTaken, RunEvent, StepStarted, path_text

log = structlog.get_logger(__name__)

_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


class EventLines:
    """Writes an event a line, `{"event": "run_started", "at": Unix s, …}`, each at once.

    A row's values come in the order of its `sample`, null for what is no number. The figures that
    move all the time and the queue are left out: they are PVs.
    """

    def __init__(self, file: TextIO) -> None:
        self._file: TextIO | None = file

    def take(self, event: RunEvent) -> None:
        """Write one; where that fails (a full disk) it says so once, and writes no more."""
        if self._file is None or isinstance(event, Progressed | QueueChanged):
            return
        name = _WORDS.sub("_", type(event).__name__).lower()
        line = {"event": name, "at": time.time(), **_facts(event)}
        try:
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:  # a run must not end for it
            name, reason = self._file.name, error.strerror
            log.error("the events of runs are no longer written", file=name, error=reason)
            with suppress(OSError):  # it tries to write once more
                self._file.close()
            self._file = None


def _facts(event: RunEvent) -> Mapping[str, object]:
    if isinstance(event, RowTaken):
        return {"points": event.points, "row": _plain(event.row)}
    facts = {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}
    facts.pop("request", None)  # the service's own count
    return facts | ({"path": path_text(event.path)} if isinstance(event, StepStarted) else {})


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
