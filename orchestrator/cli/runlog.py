"""The runs of a service, in its log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import structlog

from orchestrator.types import (
    Controlled,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    RunStatus,
    Severity,
    StateChanged,
    StepStarted,
    Told,
    path_text,
)

_ALIKE = 20
_ALIKE_S = 60.0
"""Runs that failed alike, so many in such a time, are a flood: those after them are counted."""


class RunLog:
    """Logs what happens to runs, with the run's id at each line.

    A client may start runs that fail at once as fast as it can: of those only the first are
    logged, and the number of the others.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = structlog.get_logger(__name__)
        self._run = self._log
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=_ALIKE)
        self._failure = ""
        self._started: RunStarted | None = None
        self._unlogged = 0

    def take(self, event: RunEvent) -> None:
        """Log an event; figures and rows are no news."""
        match event:
            case RunStarted():
                self._begun(event)
            case RunEnded():
                self._ended(event)
            case RunRefused():
                if not self._is_one_of_many(event.reason):
                    self._log.warning("run refused", reason=event.reason)
            case Told(text, severity):
                (self._run.warning if severity is not Severity.NO_ALARM else self._run.info)(text)
            case Controlled():
                facts = {"by": event.by, "reason": event.reason}
                self._run.info(
                    str(event.verb), **{name: text for name, text in facts.items() if text}
                )
            case StateChanged(state):
                self._run.debug("state", state=state.value)
            case StepStarted():
                self._run.debug("step", path=path_text(event.path), name=event.name)
            case _:
                pass

    def _begun(self, event: RunStarted) -> None:
        self._run = self._log.bind(run=event.run_id)
        if self._floods:
            self._started = event  # told if it ends in another way
        else:
            self._run.info("run started", sequence=event.name, owner=event.owner)

    def _ended(self, event: RunEnded) -> None:
        good = event.status is RunStatus.SUCCESS
        level = self._run.info if good else self._run.warning
        if good or not self._is_one_of_many(event.message):
            if self._started is not None:
                self._run.info(
                    "run started", sequence=self._started.name, owner=self._started.owner
                )
            facts = {"reason": event.message, "data": event.data_file}
            told = {name: text for name, text in facts.items() if text}
            level("run ended", status=event.status.value, **told)
        self._run, self._started = self._log, None

    @property
    def _floods(self) -> bool:
        failures = self._failures
        return len(failures) == _ALIKE and self._clock() - failures[0] < _ALIKE_S

    def _is_one_of_many(self, reason: str) -> bool:
        """Whether it is to be counted only; tells the number of those before, where it is not."""
        if reason == self._failure and self._floods:
            self._unlogged += 1
            return True
        if self._unlogged:
            self._log.warning(
                "runs that failed alike", not_logged=self._unlogged, reason=self._failure
            )
        if reason != self._failure:
            self._failures.clear()
        self._failure, self._unlogged = reason, 0
        self._failures.append(self._clock())
        return False
