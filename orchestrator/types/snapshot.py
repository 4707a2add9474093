"""One run as far as its events have told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orchestrator.types.events import (
    Answered,
    Asked,
    Controlled,
    FileMade,
    IndicesSet,
    Progressed,
    RowTaken,
    RunEnded,
    RunEvent,
    RunInterrupted,
    RunStarted,
    StateChanged,
    StepStarted,
    Told,
)
from orchestrator.types.runs import STATUS_SEVERITY, Cause, RunState, RunStatus
from orchestrator.types.values import Alarm, Severity, path_text

_NO_FIGURES = Progressed(0, 0.0, 0.0, math.nan, 0.0)


class Message(NamedTuple):
    """A text for an operator, and how bad it is."""

    text: str = ""
    severity: Severity = Severity.NO_ALARM
    status: Alarm = Alarm.NO_ALARM


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A run at one moment; the default is what there is before the first one.

    `reduce` makes one of the one before and the next event. It keeps events as they came, and what
    follows from them is computed by who asks.
    """

    started: RunStarted | None = None
    """What it began with; None before the first run."""
    state: RunState = RunState.IDLE
    """The engine's; it changes before the run has started, too, while it is loaded."""
    step: StepStarted | None = None
    """The step that was told last."""
    done: int = 0
    """Steps done."""
    figures: Progressed = _NO_FIGURES
    """Those that were told last."""
    row: RowTaken | None = None
    """Its last row; has those before as well."""
    told: Told | Asked | Controlled | RunEnded | None = None
    """What has given `message`."""
    question: Asked | None = None
    """What a step `ask` waits for; None = for nothing."""
    answered: Answered | None = None
    """The answer to its last question."""
    indices: str = ""
    """The index object that was shown last, by this run or one before."""
    ended: RunEnded | None = None
    """How it ended; None = it is under way, or there was none yet."""
    file: str = ""
    """With its rows; empty before the first, and where some of them are lost in the end."""

    @property
    def run_id(self) -> str:
        """Which run it is."""
        return "" if self.started is None else self.started.run_id

    @property
    def name(self) -> str:
        """Of its sequence."""
        return "" if self.started is None else self.started.name

    @property
    def owner(self) -> str:
        """Who asked for it."""
        return "" if self.started is None else self.started.owner

    @property
    def steps(self) -> int:
        """Steps known, 0 = not known."""
        return 0 if self.started is None else self.started.steps

    @property
    def is_running(self) -> bool:
        """Whether it is under way."""
        return self.started is not None and self.ended is None

    @property
    def is_paused(self) -> bool:
        """Whether it is paused, or about to be."""
        return _is_pause(self.state)

    @property
    def status(self) -> RunStatus:
        """How it ended; Undefined until then."""
        return RunStatus.UNDEFINED if self.ended is None else self.ended.status

    @property
    def severity(self) -> Severity:
        """How bad its outcome is."""
        return STATUS_SEVERITY[self.status]

    @property
    def alarm(self) -> Alarm:
        """The alarm status of its outcome, which tells the cause."""
        if self.ended is None or not self.severity:
            return Alarm.NO_ALARM
        return self.ended.cause.alarm

    @property
    def outcome(self) -> Message:
        """Why it ended as it did; nothing until then, and where a success has nothing to add."""
        return Message("" if self.ended is None else self.ended.message, self.severity, self.alarm)

    @property
    def message(self) -> Message:
        """The last thing that it told; at its end the outcome, if that says anything."""
        match self.told:
            case None:
                return Message()
            case Told(text, severity):
                return Message(text, severity, Alarm.STATE if severity else Alarm.NO_ALARM)
            case Asked() as question:
                return Message(question.text)
            case Controlled() as asked:
                return Message(asked.text)
            case RunEnded():
                return self.outcome

    @property
    def step_text(self) -> str:
        """Path and name of the step that was told last."""
        return "" if self.step is None else f"{path_text(self.step.path)} {self.step.name}"

    @property
    def loops(self) -> tuple[int, ...]:
        """Indices of the loops around it, outermost first, from 0."""
        return () if self.step is None else self.step.loops

    @property
    def points(self) -> int:
        """Rows so far."""
        return 0 if self.row is None else self.row.points

    @property
    def columns(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """Sampled values by channel, shape (n_points,)."""
        return {} if self.row is None else self.row.columns


def reduce(run: RunSnapshot, event: RunEvent) -> RunSnapshot:
    """The snapshot after an event: of the same run, or of the next one, which `RunStarted` begins.

    Plain and pure. It looks into no event further than it must, so that it takes any.
    """
    match event:
        case RowTaken():  # there may be thousands a second: `replace` takes three times as long
            return RunSnapshot(
                run.started,
                run.state,
                run.step,
                run.done,
                run.figures,
                event,
                run.told,
                run.question,
                run.answered,
                run.indices,
                run.ended,
                run.file,
            )
        case StepStarted():
            return replace(run, step=event, done=event.done)
        case Progressed():
            return replace(run, figures=event, done=event.done)
        case StateChanged(state):
            return replace(run, state=state)
        case FileMade(file):
            return replace(run, file=file) if event.run_id == run.run_id else run
        case Asked():
            return replace(run, told=event, question=event, answered=None)
        case Answered():
            return replace(run, question=None, answered=event)
        case Told() | Controlled():
            return replace(run, told=event)
        case IndicesSet(text):
            return replace(run, indices=text)
        case RunStarted():
            return RunSnapshot(event, run.state, indices=run.indices)
        case RunEnded(status=RunStatus.SUCCESS, message=""):
            file = event.data_file
            return replace(run, state=RunState.IDLE, question=None, ended=event, file=file)
        case RunEnded():
            success = reduce(run, replace(event, status=RunStatus.SUCCESS, message=""))
            return replace(success, ended=event, told=event)
        case RunInterrupted():
            return _interrupted(run, event)
        case _:  # of no run
            return run


def _interrupted(run: RunSnapshot, event: RunInterrupted) -> RunSnapshot:
    """It is the last run, as long as none was begun since."""
    if run.started is not None:
        return replace(run, told=Told(event.message, Severity.MAJOR, run_id=event.run_id))
    started = RunStarted(event.run_id, event.name, event.owner, 0, 0)
    status, cause = RunStatus.INTERRUPTED, Cause.DURING
    ended = RunEnded(event.run_id, status, event.message, 0, cause)
    return RunSnapshot(started, run.state, told=ended, indices=run.indices, ended=ended)


def _is_pause(state: RunState) -> bool:
    return state is RunState.PAUSING or state is RunState.PAUSED
