"""The runs of a service, in its log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

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
_ANY = 2 * _ALIKE
"""The same of runs that failed for whatever reasons: a client may change what it starts."""


class RunLog:
    """Logs what happens to runs, with the run's id at each line.

    A client may start runs that fail at once as fast as it can: of those only the first are
    logged, and the number of the others.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = structlog.get_logger(__name__)
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=_ALIKE)
        self._any: deque[float] = deque(maxlen=_ANY)
        self._failure = ""
        self._untold: dict[str, RunStarted] = {}
        """Of runs in a flood, by id: told if they end in another way."""
        self._unlogged = 0
        self._varied = False
        """Whether not all of them failed alike."""

    def take(self, event: RunEvent) -> None:
        """Log an event; figures and rows are no news."""
        match event:
            case RunStarted():
                self._begun(event)
            case RunEnded():
                self._ended(event)
            case RunRefused():
                if not self._is_one_of_many(event.reason):
                    self._log.warning("run refused", reason=event.reason, **_lane(event))
            case Told(text, severity):
                log = self._of(event.run_id)
                level = log.warning if severity is not Severity.NO_ALARM else log.info
                level(text, **({} if event.run_id else _lane(event)))
            case Controlled():
                facts = {"by": event.by, "reason": event.reason}
                self._of(event.run_id).info(
                    str(event.verb), **{name: text for name, text in facts.items() if text}
                )
            case StateChanged(state):
                self._of(event.run_id).debug("state", state=state.value)
            case StepStarted():
                path = path_text(event.path)
                self._of(event.run_id).debug("step", path=path, name=event.name)
            case _:
                pass

    def _of(self, run_id: str) -> Any:
        return self._log.bind(run=run_id) if run_id else self._log

    def _begun(self, event: RunStarted) -> None:
        if self._floods:
            self._untold[event.run_id] = event
        else:
            self._tell_begun(event)

    def _tell_begun(self, event: RunStarted) -> None:
        log = self._of(event.run_id)
        log.info("run started", sequence=event.name, owner=event.owner, **_lane(event))

    def _ended(self, event: RunEnded) -> None:
        good = event.status is RunStatus.SUCCESS
        untold, log = self._untold.pop(event.run_id, None), self._of(event.run_id)
        level = log.info if good else log.warning
        if good or not self._is_one_of_many(event.message):
            if untold is not None:
                self._tell_begun(untold)
            facts = {"reason": event.message, "data": event.data_file}
            told = {name: text for name, text in facts.items() if text}
            level("run ended", status=event.status.value, **told, **_lane(event))

    @property
    def _floods(self) -> bool:
        return self._is_full(self._failures) or self._is_full(self._any)

    def _is_full(self, times: deque[float]) -> bool:
        return len(times) == times.maxlen and self._clock() - times[0] < _ALIKE_S

    def _is_one_of_many(self, reason: str) -> bool:
        """Whether it is to be counted only; tells the number of those before, where it is not."""
        alike = reason == self._failure
        if (alike and self._is_full(self._failures)) or self._is_full(self._any):
            self._unlogged += 1
            self._varied = self._varied or not alike
            return True
        if self._unlogged:
            event = "runs that failed" if self._varied else "runs that failed alike"
            self._log.warning(event, not_logged=self._unlogged, reason=self._failure)
        if not alike:
            self._failures.clear()
        self._failure, self._unlogged, self._varied = reason, 0, False
        self._failures.append(self._clock())
        self._any.append(self._clock())
        return False


def _lane(event: RunEvent) -> dict[str, str]:
    """The lane of an event, if it is not the main one."""
    return {"lane": event.lane} if event.lane else {}
