"""What the events of a run amount to, for whoever shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.types import (
    Progressed,
    RowTaken,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    RunState,
    StateChanged,
    StepStarted,
    Told,
    path_text,
)

Columns: TypeAlias = Mapping[str, npt.NDArray[np.float64]]
"""Sampled values by channel, shape (n_points,)."""


@dataclass(slots=True)
class RunProgress:
    """One run as far as its events have told."""

    name: str = ""
    run_id: str = ""
    state: RunState = RunState.IDLE
    step: str = ""
    """Path and name of the current step."""
    loops: tuple[int, ...] = ()
    """Indices of the loops around it, outermost first, from 0."""
    done: int = 0
    steps: int = 0
    """Steps known, 0 = not known."""
    elapsed: float = 0.0
    """s."""
    remaining: float = math.nan
    """s, NaN = not known."""
    percent: float = 0.0
    message: str = ""
    """The last thing told."""
    question: bool = False
    """A step `ask` waits for its answer."""
    points: int = 0
    columns: Columns = field(default_factory=dict)
    end: RunEnded | RunRefused | None = None

    def take(self, event: RunEvent) -> None:
        """Note an event."""
        match event:
            case RunStarted():
                self.name, self.run_id, self.steps = event.name, event.run_id, event.steps
            case StateChanged(state):
                self.state = state
                self.question = self.question and state in (RunState.PAUSING, RunState.PAUSED)
            case StepStarted():
                self.step = f"{path_text(event.path)} {event.name}".strip()
                self.done, self.loops = event.done, event.loops
            case Progressed():
                self.done, self.percent = event.done, event.percent
                self.elapsed, self.remaining = event.elapsed, event.remaining
            case RowTaken():
                self.points, self.columns = event.points, event.columns
            case Told():
                self.message = event.text
                self.question = self.question or event.question
            case RunEnded() | RunRefused():
                self.end = event
                self.question = False

    @property
    def counted(self) -> str:
        """`13 of 25 steps`, or what is known of it."""
        return f"{self.done} of {self.steps} steps" if self.steps else f"{self.done} steps"

    @property
    def timing(self) -> str:
        """`12 s, 9 s left`, or what is known of it."""
        left = "" if math.isnan(self.remaining) else f", {duration(self.remaining)} left"
        return duration(self.elapsed) + left

    @property
    def position(self) -> str:
        """The step and where its loops are: `steps[3].do[1] sample det.counts (index 7)`."""
        if not self.loops:
            return self.step
        return f"{self.step} (index {', '.join(map(str, self.loops))})"


def duration(seconds: float) -> str:
    """A time as people write it: `3.2 s`, `1:05`, `1:02:03`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
