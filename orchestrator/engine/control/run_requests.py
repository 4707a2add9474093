"""What operators and suspenders ask of one run: pause, suspend, stop, skip, abort."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.engine.control.cancelling import StepsTask
from orchestrator.engine.control.finalising import Finalisers
from orchestrator.engine.control.run_clock import RunClock
from orchestrator.engine.control.step_scope import End, OpenScopes
from orchestrator.types import RunState


class RunRequests:
    """What has been asked of one run; made by `RunControl`.

    It is obeyed at once where steps are under way, else at the next `RunControl.gate`.
    """

    def __init__(
        self,
        scopes: OpenScopes,
        clock: RunClock,
        finalisers: Finalisers,
        task: StepsTask,
        on_state: Callable[[RunState], None],
    ) -> None:
        """`on_state` is told each change of the state, requested ones included."""
        self._scopes = scopes
        self._clock = clock
        self._finalisers = finalisers
        self._task = task
        self._on_state = on_state
        self.on_suspended_resume: Callable[[str, bool], None] = lambda _by, _only: None
        """Told who resumes a run that is suspended, and whether only that; of `Suspenders`."""
        self.on_answer: Callable[[int, str, str], str] = _nothing_asked
        """Given the number of a question, an answer and who it is from: why not, or empty."""
        self._told: RunState | None = None
        self._opened = asyncio.Event()
        self.paused = False
        self.suspended = False
        self.rewind = False
        """The run is to go back to its last checkpoint."""
        self.checking = True
        """The check before the run is not over."""
        self.stopped = False
        self.aborts = 0
        self.aborted_by = self.stopped_by = self.resumed_by = ""
        """Why and by whom the first time, or the last, as it follows the word in a text."""

    def pause(self) -> str:
        """Ask for a pause; returns why not, or an empty text."""
        if self.stopped or self.aborts:
            return f"can't pause: the run is {self.state.value.lower()}"
        self.paused = True
        self.changed()
        return ""

    def resume(self, by: str = "") -> None:
        """Go on; harmless when not paused. What suspends the run still does, see `Suspenders`."""
        paused, self.paused = self.paused, False
        self.resumed_by = f" by {by}" if by else ""
        self.changed()
        if self.suspended:
            self.on_suspended_resume(by, not paused)

    def suspend(self) -> None:
        """Hold the run as a pause does, but for its finalisers."""
        self.suspended = True
        self.changed()

    def release(self, *, rewind: bool) -> None:
        """End the suspension; `rewind`: the run goes on from its last checkpoint."""
        self.suspended = False
        if rewind and not self._finalisers.in_finally:
            self.rewind = True
            self._scopes.end_waiting(End.REWIND)
        self.changed()

    def stop(self, by: str = "") -> None:
        """Finish at the next boundary; waits and delays end at once."""
        if by and not self.stopped:
            self.stopped_by = f" by {by}"
        self.stopped = True
        self.paused = False
        self.changed()
        if self.checking:
            self._task.cancel()
        else:
            self._scopes.end_waiting(End.STOP)

    def skip(self) -> str:
        """End the innermost running step of every branch; returns why not, or an empty text."""
        if self.checking or not self._scopes.steps:
            return "nothing to skip: no step is running"
        self._scopes.end(End.SKIP)
        return ""

    def abort(self, reason: str = "", by: str = "") -> None:
        """1st: interrupt. 2nd: give up on completions. 3rd: drop the finalisers."""
        self.aborts += 1
        if not self.aborted_by:
            self.aborted_by = f"{f': {reason}' if reason else ''}{f' by {by}' if by else ''}"
        self.paused = False
        self.changed()
        if self.aborts == 1 or self.aborts > 2:  # the third for what Python does after the first
            self._task.cancel()
        if self.aborts == 2:
            self._scopes.give_up()
        elif self.aborts > 2:
            self._finalisers.drop()

    # What becomes of it -----------------------------------------------------------------------

    def begun(self) -> None:
        """The check is over; the steps begin."""
        self.checking = False
        self.changed()

    def rewound(self) -> None:
        """The steps have gone back."""
        self.rewind = False

    def changed(self) -> None:
        """Something was asked, or a step was entered or left while the run is held."""
        held = self.paused or self.suspended
        in_flight = self.checking or self._scopes.in_flight
        self._clock.hold(held and not in_flight, for_all=self.paused)
        opened, self._opened = self._opened, asyncio.Event()
        opened.set()
        if self.state is not self._told:
            self._told = self.state
            self._on_state(self.state)

    async def until_changed(self) -> None:
        """Return when something was asked."""
        await self._opened.wait()

    async def resumed(self) -> None:
        """Return when the run is not paused."""
        while self.paused:
            await self._opened.wait()

    @property
    def is_held(self) -> bool:
        """Whether the run is paused or suspended."""
        return self.paused or self.suspended

    @property
    def gives_up(self) -> bool:
        """Whether outstanding completions are no longer waited for."""
        return self.aborts > 1

    @property
    def state(self) -> RunState:
        """The state to be shown."""
        if self.aborts:
            return RunState.ABORTING
        if self.stopped:
            return RunState.STOPPING
        if self.paused:
            return RunState.PAUSED if self._clock.is_still else RunState.PAUSING
        if self.suspended:
            return RunState.SUSPENDED
        return RunState.CHECKING if self.checking else RunState.RUNNING


def _nothing_asked(_number: int, _text: str, _by: str) -> str:
    return "nothing is asked that could be answered"
