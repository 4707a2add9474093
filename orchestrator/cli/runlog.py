"""The runs of a service, in its log."""

from __future__ import annotations

import structlog

from orchestrator.types import (
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


class RunLog:
    """Logs what happens to runs, with the run's id at each line."""

    def __init__(self) -> None:
        self._log = structlog.get_logger(__name__)
        self._run = self._log

    def take(self, event: RunEvent) -> None:
        """Log an event; figures and rows are no news."""
        match event:
            case RunStarted():
                self._run = self._log.bind(run=event.run_id)
                self._run.info("run started", sequence=event.name, owner=event.owner)
            case RunEnded():
                self._ended(event)
            case RunRefused():
                self._log.warning("run refused", reason=event.reason)
            case Told(text, severity):
                (self._run.warning if severity is not Severity.NO_ALARM else self._run.info)(text)
            case StateChanged(state):
                self._run.debug("state", state=state.value)
            case StepStarted():
                self._run.debug("step", path=path_text(event.path), name=event.name)
            case _:
                pass

    def _ended(self, event: RunEnded) -> None:
        level = self._run.info if event.status is RunStatus.SUCCESS else self._run.warning
        facts = {"reason": event.message, "data": event.data_file}
        told = {name: text for name, text in facts.items() if text}
        level("run ended", status=event.status.value, **told)
        self._run = self._log
