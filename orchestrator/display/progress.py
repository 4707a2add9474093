"""What the events of a run amount to, as people read it."""

from __future__ import annotations

import math

from orchestrator.types import RunEvent, RunSnapshot, reduce


class RunProgress:
    """One run as far as its events have told."""

    def __init__(self, run: RunSnapshot | None = None) -> None:
        """Nothing was told of it yet, or all that `run` has."""
        self.run = run or RunSnapshot()

    def take(self, event: RunEvent) -> None:
        """Note an event."""
        self.run = reduce(self.run, event)

    @property
    def counted(self) -> str:
        """`13 of 25 steps`, or what is known of it."""
        run = self.run
        return f"{run.done} of {run.steps} steps" if run.steps else f"{run.done} steps"

    @property
    def timing(self) -> str:
        """`12 s, 9 s left`, or what is known of it."""
        elapsed, remaining = self.run.figures.elapsed, self.run.figures.remaining
        left = "" if math.isnan(remaining) else f", {duration(remaining)} left"
        return duration(elapsed) + left

    @property
    def position(self) -> str:
        """The step and where its loops are: `steps[3].do[1] sample det.counts (index 7)`."""
        step, loops = self.run.step_text.strip(), self.run.loops
        return f"{step} (index {', '.join(map(str, loops))})" if loops else step


def duration(seconds: float) -> str:
    """A time as people write it: `3.2 s`, `1:05`, `1:02:03`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
