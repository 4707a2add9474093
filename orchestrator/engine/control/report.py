"""What the engine tells of a run's progress: often enough to be live, not once a step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.engine.control.control import RunControl
from orchestrator.ports import RunEvents
from orchestrator.task_context import enter_step
from orchestrator.types import Path, Progressed, Severity, StepStarted, Told, path_text

_STEP_PERIOD = 0.05
"""s between two steps told; a step in between is told if it still runs then."""
_PROGRESS_PERIOD = 0.25
"""s between two reports of progress."""


class Reporter:
    """Counts the steps of one run and tells of them."""

    def __init__(
        self, events: RunEvents, control: RunControl, steps: int, look: Callable[[], None]
    ) -> None:
        """`steps`: how many there will be, 0 = not known; `look` is called from time to time."""
        self._events = events
        self._control = control
        self._steps = steps
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._told = 0.0
        self._untold: tuple[Path, str, tuple[int, ...]] | None = None
        self._path: Path = ()
        self._label = ""
        self.done = 0
        self._look = look

    @property
    def where(self) -> str:
        """The step that was entered last."""
        return f"{path_text(self._path)} {self._label}"

    def step(self, path: Path, name: str, loops: tuple[int, ...]) -> None:
        """A step is entered."""
        now = self._clock()
        self._control.clock.touch()
        self._untold = (path, name, loops)
        self._path, self._label = path, name
        enter_step((path, name))
        if now - self._told >= _STEP_PERIOD:
            self._tell_step(now)

    def finished(self, count: int = 1) -> None:
        """A step is done (or `count` that need not be run)."""
        self.done += count
        self._control.clock.touch()

    def tell(self, text: str, severity: Severity = Severity.NO_ALARM) -> None:
        """Tell the operator."""
        self._events.offer(Told(text, severity, run_id=self._control.run_id))

    def progress(self) -> Progressed:
        """The figures as they are now."""
        now = self._clock()
        worked = now - self._started - self._control.clock.stood_still
        if self._steps and self.done:
            percent = min(100.0 * self.done / self._steps, 100.0)
            remaining = max(worked / self.done * (self._steps - self.done), 0.0)
        else:
            percent, remaining = 0.0, float("nan")
        hung, run_id = now - self._control.clock.moved, self._control.run_id
        return Progressed(self.done, percent, worked, remaining, hung, run_id=run_id)

    def last(self) -> None:
        """The final figures, at the end of the run."""
        if self._untold is not None:
            self._tell_step(self._clock())
        self._events.offer(self.progress())

    async def run(self) -> None:
        """Tell what was held back, and the figures, until cancelled."""
        while True:
            await asyncio.sleep(_PROGRESS_PERIOD)
            if self._untold is not None:
                self._tell_step(self._clock())
            self._events.offer(self.progress())
            self._look()

    def _tell_step(self, now: float) -> None:
        assert self._untold is not None  # noqa: S101 - asked only then
        path, name, loops = self._untold
        self._untold, self._told = None, now
        run_id = self._control.run_id
        self._events.offer(StepStarted(path, name, self.done, loops, run_id=run_id))
