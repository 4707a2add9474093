"""A service's PVs as the events of a run, so that one display serves both."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping

from orchestrator.types import (
    Cause,
    Progressed,
    RowTaken,
    RunEnded,
    RunEvent,
    RunStarted,
    RunState,
    RunStatus,
    StateChanged,
    StepStarted,
    Told,
)

FINAL = ("RUN_ID", "STATUS", "message", "STEP", "PROGRESS", "ELAPSED", "DATA:NPTS")
"""What has to be read anew at the end of a run: updates of other PVs may come behind BUSY's."""


_AT_THE_END = ("PAUSE", "STATE", "STATUS")
"""What a service posts between a run's last message and BUSY = 0."""


class Translator:
    """Takes fields as they change, and gives events.

    PVs are updated one by one, those of a run's first moments also in front of its BUSY: an event
    tells what is known by then.
    """

    def __init__(self, take: Callable[[RunEvent], None]) -> None:
        """`take` gets the events."""
        self._take = take
        self._values: dict[str, object] = {}
        self._following = False
        self._started = False
        self._early: list[tuple[str, object]] = []
        self._message = ""
        self.ended = asyncio.Event()
        """The run is over, or the service lost."""

    def begin(self) -> None:
        """The next run is the one to follow."""
        self._following = True

    def take(self, field: str, value: object) -> None:
        """Take an update; what came before `begin` is only remembered."""
        self._values[field] = value
        if self._following:
            self._follow(field, value)

    def _follow(self, field: str, value: object) -> None:
        match field, value:
            case "", False:
                self.ended.set()
            case "BUSY", 1:
                self._started = True
                self._take(self._begun())
                for early in self._early:
                    self._show(*early)
            case "BUSY", 0 if self._started:
                self.ended.set()
            case _ if not self._started:
                self._early.append((field, value))
            case _ if not self.ended.is_set():
                self._show(field, value)

    def _show(self, field: str, value: object) -> None:
        if self._message and field not in _AT_THE_END:
            # Not before: that of the run's end is part of its outcome.
            self._take(Told(self._message, run_id=self._run_id))
            self._message = ""
        match field:
            case "STATE":
                self._take(StateChanged(self._state(), run_id=self._run_id))
            case "STEP_NAME" | "LOOP_INDEX" if self._values.get("STEP_NAME"):
                self._take(self._step())
            case "STEP" | "PROGRESS" | "ELAPSED" | "REMAINING":
                self._take(self._progressed())
            case "DATA:NPTS":
                self._take(self._row())
            case "message" if value:
                self._message = str(value)

    @property
    def _run_id(self) -> str:
        return self._text("RUN_ID")

    def _begun(self) -> RunStarted:
        text = self._text
        steps = int(self._number("NSTEPS"))
        return RunStarted(self._run_id, text("RUN_NAME"), text("OWNER"), 0, steps)

    def _state(self) -> RunState:
        try:
            return RunState(self._text("STATE"))
        except ValueError:  # a later version's
            return RunState.RUNNING

    def _step(self) -> StepStarted:
        path, _, name = self._text("STEP_NAME").partition(" ")
        indices = self._values.get("LOOP_INDEX")
        loops = tuple(int(index) for index in indices) if isinstance(indices, list) else ()
        done = int(self._number("STEP"))
        return StepStarted((path,), name, done, loops, run_id=self._run_id)

    def _row(self) -> RowTaken:
        return RowTaken({}, (), int(self._number("DATA:NPTS")), run_id=self._run_id)

    def _progressed(self) -> Progressed:
        number = self._number
        remaining = self._values.get("REMAINING")
        return Progressed(
            int(number("STEP")),
            number("PROGRESS"),
            number("ELAPSED"),
            remaining if isinstance(remaining, float) else math.nan,
            number("HUNG_SEC"),
            run_id=self._run_id,
        )

    def end(self, final: Mapping[str, object], alarm: int) -> RunEnded:
        """The end of the run, from what the service says of `FINAL` once BUSY is 0.

        Args:
            final: By field.
            alarm: The alarm status of STATUS, which tells the cause (`Cause.alarm`).
        """
        self._values |= {**final, "REMAINING": None}
        self._take(self._progressed())
        self._take(self._row())
        early = (Cause.INPUT, Cause.NOT_CONNECTED)
        cause = next((cause for cause in early if cause.alarm == alarm), Cause.DURING)
        status = RunStatus(str(final["STATUS"]))
        return RunEnded(str(final["RUN_ID"]), status, str(final["message"]), 0, cause)

    def _text(self, field: str) -> str:
        return str(self._values.get(field) or "")

    def _number(self, field: str) -> float:
        value = self._values.get(field)
        return float(value) if isinstance(value, int | float) else 0.0
