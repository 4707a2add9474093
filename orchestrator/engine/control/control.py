"""One run under control: where its steps stand still, what ends them, and what may still leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from orchestrator.engine.control.cancelling import StepsTask, is_any_ended, is_ended
from orchestrator.engine.control.finalising import Finalisers, is_finalising
from orchestrator.engine.control.run_clock import RunClock
from orchestrator.engine.control.run_requests import RunRequests
from orchestrator.engine.control.step_scope import (
    BRIEFLY,
    End,
    OpenScopes,
    RewindRun,
    StepScope,
    StopRun,
)
from orchestrator.errors import PutError
from orchestrator.types import RunState

_YIELD_EVERY = 20
"""Steps, some 10 µs each where they do not suspend by themselves."""


class RunControl:
    """What was asked of one run, its clock, its finalisers, and the scopes of its steps."""

    def __init__(self, on_state: Callable[[RunState], None]) -> None:
        """`on_state` is told each change of the state, requested ones included."""
        self.run_id = ""
        """Of the run; known once that has been loaded."""
        self._scopes = OpenScopes()
        self._task = StepsTask()
        self._passed = 0
        self._closed = False
        self.clock = RunClock(self._scopes)
        self.finalisers = Finalisers()
        self.requests = RunRequests(self._scopes, self.clock, self.finalisers, self._task, on_state)

    def body(self) -> AbstractContextManager[None]:
        """Around check and steps, which STOP (while it checks) and ABORT end.

        What was asked before does so by `check_ended` and `gate`.

        Raises:
            CancelledError: They were cancelled by somebody else, as where the service ends.
            StepsEndedError: They have ended themselves by a cancellation that nobody asked for.
        """
        return self._task.under_way(lambda: bool(self.requests.aborts or self.requests.stopped))

    def step_scope(
        self,
        *,
        moving: bool,
        seconds: float | None = None,
        given_up: bool | None = None,
        briefly: bool = False,
    ) -> StepScope:
        """The scope of one step; `seconds` on the run's clock, None = no limit.

        `given_up`: whether a second abort ends it; None = if it is `moving`. `briefly`: it has as
        long as what begins after that.
        """
        ends = moving if given_up is None else given_up
        finalising = is_finalising()
        return StepScope(self._enter, self._leave, moving, finalising, seconds, ends, briefly)

    def timer(self, seconds: float) -> StepScope:
        """A scope around many steps, ended only by time: the document's timeout."""
        return StepScope(self._enter_timer, self._leave_timer, True, is_finalising(), seconds)

    async def gate(self) -> None:
        """Stand here before each step: lets other tasks run, waits while paused or suspended.

        Raises:
            CancelledError: The steps are ended, though nothing has reached this task yet.
            StopRun: STOP was asked for, outside the finalisers.
            RewindRun: The steps have to go back to the last checkpoint.
        """
        self._passed += 1
        if self._passed % _YIELD_EVERY == 0:  # trivial steps must not starve the loop
            await asyncio.sleep(0)
        finalising = is_finalising()
        requests = self.requests
        while (
            requests.paused or (requests.suspended and not finalising and not requests.stopped)
        ) and not self._is_ended(finalising):
            await requests.until_changed()
        self.check_ended(finalising=finalising)
        if not finalising:
            if requests.stopped:
                raise StopRun
            if requests.rewind:
                raise RewindRun

    def _is_ending(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task of the steps has been asked to end, as far as that is known here."""
        return self._task.is_cancelled(task) or is_ended(task) or self._scopes.is_cancelling(task)

    def _is_ended(self, finalising: bool) -> bool:
        if self.requests.aborts > 2 or self._closed:
            return True
        if finalising:
            return False
        if self.requests.aborts:
            return True
        # Who it is that asks takes longer to find out than whether there is anything to ask.
        may_end = is_any_ended() or self._task.cancels or self._scopes.timers
        return bool(may_end) and self._is_ending(asyncio.current_task())

    def check_ended(self, *, finalising: bool | None = None) -> None:
        """Where the steps go on after an error or a wait: an end that was asked for stands.

        Raises:
            CancelledError: An abort, another branch's failure or a timeout ends them.
        """
        if self._is_ended(is_finalising() if finalising is None else finalising):
            raise asyncio.CancelledError

    def check_begins(self) -> None:
        """Before the check: what was asked for while the run was loaded ends it.

        Raises:
            CancelledError: An abort.
            StopRun: STOP.
        """
        self.check_ended()
        if self.requests.stopped:
            raise StopRun

    def permit(
        self, name: str, *, step: StepScope | None = None, stops: bool = False
    ) -> Callable[[], None]:
        """What is asked at the moment at which a put leaves, in whatever task that is.

        Args:
            name: The channel, for messages.
            step: What it belongs to.
            stops: It stops what moves, which is done at every moment of a run.

        Returns:
            A function that raises CancelledError where the step or all steps are ended, PutError
            where the run has ended already.
        """
        finalising, task = is_finalising(), asyncio.current_task()

        def look() -> None:
            if self._closed:
                raise PutError(f"{name}: not put, as the run has ended")
            if stops:
                return
            ended = step is not None and step.reason is not None
            body = not finalising and (self.requests.aborts or self._is_ending(task))
            if ended or self.requests.aborts > 2 or body:
                raise asyncio.CancelledError

        return look

    def close(self) -> None:
        """The run has ended: nothing of it may act any more."""
        self._closed = True
        self.clock.close()

    # Scopes -----------------------------------------------------------------------------------

    def _enter(self, scope: StepScope) -> None:
        self._scopes.steps[scope] = None
        if self.requests.is_held:
            self.requests.changed()
        self.clock.begin(scope)
        self._ends_at_once(scope)

    def _ends_at_once(self, scope: StepScope) -> None:
        """What was asked before it began holds for it too."""
        if self.requests.gives_up and scope.given_up:
            scope.end_within(BRIEFLY, End.GIVE_UP)
        if scope.moving or scope.finalising:
            return
        if self.requests.stopped:
            scope.end(End.STOP)
        elif self.requests.rewind:
            scope.end(End.REWIND)

    def _leave(self, scope: StepScope) -> bool:
        """A step is left; whether more than that is being ended."""
        del self._scopes.steps[scope]
        if self.requests.is_held:
            self.requests.changed()
        return self._is_ended(scope.finalising)

    def _enter_timer(self, scope: StepScope) -> None:
        self._scopes.timers[scope] = None
        self.clock.begin(scope)

    def _leave_timer(self, scope: StepScope) -> bool:
        del self._scopes.timers[scope]
        return self._is_ended(scope.finalising)
