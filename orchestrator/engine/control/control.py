"""Pause, suspend, stop, skip and abort of one run: what is asked, and which clock stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from orchestrator.engine.control.cancelling import is_any_ended, is_ended, until_done
from orchestrator.engine.control.step_scope import End, StepScope
from orchestrator.errors import OrchestratorError, PutError
from orchestrator.timers import DeadlineTimer
from orchestrator.types import RunState

_YIELD_EVERY = 20
"""Steps, some 10 µs each where they do not suspend by themselves."""

_BRIEFLY = 0.5
"""s for what is begun after a second abort, and would be given up by one: nobody waits longer."""

_finalising: ContextVar[bool] = ContextVar("finalising", default=False)


class StopRun(BaseException):
    """STOP took effect at a boundary."""


class RewindRun(BaseException):
    """A suspender that rewinds has cleared: go on from the last checkpoint."""


class SkipStep(BaseException):
    """A step was skipped before it had what it needs, so that nothing of it is done."""


class StepsEndedError(OrchestratorError):
    """The steps have ended by a cancellation of their own making."""


class RunControl:
    """What operators and suspenders have asked of one run, and the clock that stands with it."""

    def __init__(self, on_state: Callable[[RunState], None]) -> None:
        """`on_state` is told each change of the state, requested ones included."""
        self.run_id = ""
        """Of the run; known once that has been loaded."""
        self._on_state = on_state
        self.on_suspended_resume: Callable[[str, bool], None] = lambda _by, _only: None
        """Told who resumes a run that is suspended, and whether only that; of `Suspenders`."""
        self._told: RunState | None = None
        self._scopes: dict[StepScope, None] = {}
        self._timers: dict[StepScope, None] = {}
        self._deadlines = DeadlineTimer(self._expire)
        self._opened = asyncio.Event()
        self._paused = False
        self._suspended = False
        self._rewind = False
        self._still = False
        self._still_since = 0.0
        self._still_total = 0.0
        self._passed = 0
        self._task: asyncio.Task[Any] | None = None
        """That of the check and the steps, while they are under way."""
        self._cancels = 0
        """How often we have cancelled it."""
        self._cancelled_before = 0
        """How often it had been cancelled before."""
        self._finalisers: list[asyncio.Timeout] = []
        self._closed = False
        self.dropped: list[str] = []
        """What a third abort has kept from its end, for the outcome."""
        self._clock = asyncio.get_running_loop().time
        self.moved = self._clock()
        self.checking = True
        self.in_finally = False
        self.stopped = False
        self.aborts = 0
        self.aborted_by = self.stopped_by = self.resumed_by = ""
        """Why and by whom the first time, or the last, as it follows the word in a text."""

    # What operators and suspenders ask --------------------------------------------------------

    def pause(self) -> str:
        """Ask for a pause; returns why not, or an empty text."""
        if self.stopped or self.aborts:
            return f"can't pause: the run is {self.state.value.lower()}"
        self._paused = True
        self._changed()
        return ""

    def resume(self, by: str = "") -> None:
        """Go on; harmless when not paused. What suspends the run still does, see `Suspenders`."""
        paused, self._paused = self._paused, False
        self.resumed_by = f" by {by}" if by else ""
        self._changed()
        if self._suspended:
            self.on_suspended_resume(by, not paused)

    def suspend(self) -> None:
        """Hold the run as a pause does, but for its finalisers."""
        self._suspended = True
        self._changed()

    def release(self, *, rewind: bool) -> None:
        """End the suspension; `rewind`: the run goes on from its last checkpoint."""
        self._suspended = False
        if rewind and not self.in_finally:
            self._rewind = True
            self._end_waiting(End.REWIND)
        self._changed()

    def stop(self, by: str = "") -> None:
        """Finish at the next boundary; waits and delays end at once."""
        if by and not self.stopped:
            self.stopped_by = f" by {by}"
        self.stopped = True
        self._paused = False
        self._changed()
        if self.checking:
            self._cancel_body()
        else:
            self._end_waiting(End.STOP)

    def skip(self) -> str:
        """End the innermost running step of every branch; returns why not, or an empty text."""
        if self.checking or not self._scopes:
            return "nothing to skip: no step is running"
        for scope in list(self._scopes):
            scope.end(End.SKIP)
        return ""

    def abort(self, reason: str = "", by: str = "") -> None:
        """1st: interrupt. 2nd: give up on completions. 3rd: drop the finalisers."""
        self.aborts += 1
        if not self.aborted_by:
            self.aborted_by = f"{f': {reason}' if reason else ''}{f' by {by}' if by else ''}"
        self._paused = False
        self._changed()
        if self.aborts == 1 or self.aborts > 2:  # the third for what Python does after the first
            self._cancel_body()
        if self.aborts == 2:
            for scope in list(self._scopes):
                if scope.given_up:
                    scope.end(End.GIVE_UP)
        elif self.aborts > 2:
            for timeout in self._finalisers:
                _expire(timeout)

    def _cancel_body(self) -> None:
        if self._task is not None:
            if not self._cancels:  # a TaskGroup in a user's code may have left one too many
                self._cancelled_before = self._task.cancelling()
            self._cancels += 1
            self._task.cancel()

    def _end_waiting(self, reason: End) -> None:
        """End the steps that do not move, but for the finalisers'."""
        for scope in list(self._scopes):
            if not (scope.moving or scope.finalising):
                scope.end(reason)

    # What the run asks ------------------------------------------------------------------------

    @contextmanager
    def body(self) -> Iterator[None]:
        """Around check and steps, which STOP (while it checks) and ABORT end.

        What was asked before does so by `check_ended` and `gate`.

        Raises:
            CancelledError: They were cancelled by somebody else, as where the service ends.
            StepsEndedError: They have ended themselves by a cancellation that nobody asked for.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - runs are tasks
        self._task, self._cancelled_before = task, task.cancelling()
        try:
            yield
        except asyncio.CancelledError as error:
            if task.cancelling() - self._cancels > self._cancelled_before:
                raise
            if not (self.aborts or self.stopped):
                raise StepsEndedError("cancelled, though nobody has asked for that") from error
        finally:
            self._task = None
            for _ in range(self._cancels):
                task.uncancel()

    def begin(self) -> None:
        """The check is over; the steps begin."""
        self.checking = False
        self._changed()

    async def finalise(self, work: Coroutine[Any, Any, None], what: str = "the finalisers") -> bool:
        """Run finalisers to their end, whatever is stopped or aborted but for a third abort.

        Cancellations (an abort of the steps around, a timeout, a sibling's failure) are held back
        until they have ended. One of the whole run's finalisers ends them: it is from outside.

        Args:
            work: Runs them.
            what: How they are named where they are dropped, which is noted in `dropped`.

        Returns:
            Whether they came to their end.
        """
        outermost = self.in_finally and not self.finalising
        task = asyncio.create_task(self._finalise(work), name="finalisers")

        def cancelled() -> None:
            if outermost:
                task.cancel()

        try:
            await until_done([task], cancelled)
        finally:
            # Noted, or retrieved, also where a cancellation is raised in its place.
            if task.cancelled() or (task.exception() is None and not task.result()):
                self.dropped.append(f"{what} were dropped")
        return task.result()

    async def _finalise(self, work: Coroutine[Any, Any, None]) -> bool:
        _finalising.set(True)
        timeout = asyncio.timeout(None)
        self._finalisers.append(timeout)
        try:
            if self.aborts > 2:
                return False
            async with timeout:
                await work
        except (TimeoutError, asyncio.CancelledError):
            if self.aborts <= 2:
                raise
            return False
        finally:
            work.close()
            self._finalisers.remove(timeout)
        return True

    @contextmanager
    def cleaning_up(self, does: bool = True) -> Iterator[None]:
        """Around what are finalisers: the clean-up of a Python sequence; not if not `does`."""
        token = _finalising.set(True) if does else None
        try:
            yield
        finally:
            if token is not None:
                _finalising.reset(token)

    @property
    def finalising(self) -> bool:
        """Whether the calling task runs finalisers."""
        return _finalising.get()

    def step_scope(
        self, *, moving: bool, seconds: float | None = None, given_up: bool | None = None
    ) -> StepScope:
        """The scope of one step; `seconds` on the run's clock, None = no limit.

        `given_up`: whether a second abort ends it; None = if it is `moving`.
        """
        ends = moving if given_up is None else given_up
        return StepScope(self._enter, self._leave, moving, self.finalising, seconds, ends)

    def timer(self, seconds: float) -> StepScope:
        """A scope around many steps, ended only by time: the document's timeout."""
        return StepScope(self._enter_timer, self._leave_timer, True, self.finalising, seconds)

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
        finalising = self.finalising
        while (
            self._paused or (self._suspended and not finalising and not self.stopped)
        ) and not self._is_ended(finalising):
            await self._opened.wait()
        self.check_ended(finalising=finalising)
        if not finalising:
            if self.stopped:
                raise StopRun
            if self._rewind:
                raise RewindRun

    def _is_ending(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task of the steps has been asked to end, as far as that is known here."""
        if task is self._task and self._cancels:
            return True
        if is_ended(task):
            return True
        return bool(self._timers) and any(t.is_cancelling for t in self._timers if t.task is task)

    def _is_ended(self, finalising: bool) -> bool:
        if self.aborts > 2 or self._closed:
            return True
        if finalising:
            return False
        if self.aborts:
            return True
        # Who it is that asks takes longer to find out than whether there is anything to ask.
        may_end = is_any_ended() or self._cancels or self._timers
        return bool(may_end) and self._is_ending(asyncio.current_task())

    def check_ended(self, *, finalising: bool | None = None) -> None:
        """Where the steps go on after an error or a wait: an end that was asked for stands.

        Raises:
            CancelledError: An abort, another branch's failure or a timeout ends them.
        """
        if self._is_ended(self.finalising if finalising is None else finalising):
            raise asyncio.CancelledError

    def check_begins(self) -> None:
        """Before the check: what was asked for while the run was loaded ends it.

        Raises:
            CancelledError: An abort.
            StopRun: STOP.
        """
        self.check_ended()
        if self.stopped:
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
        finalising, task = self.finalising, asyncio.current_task()

        def look() -> None:
            if self._closed:
                raise PutError(f"{name}: not put, as the run has ended")
            if stops:
                return
            ended = step is not None and step.reason is not None
            body = not finalising and (self.aborts or self._is_ending(task))
            if ended or self.aborts > 2 or body:
                raise asyncio.CancelledError

        return look

    async def resumed(self) -> None:
        """Return when the run is not paused."""
        while self._paused:
            await self._opened.wait()

    def close(self) -> None:
        """The run has ended: nothing of it may act any more."""
        self._closed = True
        self._deadlines.close()

    def rewound(self) -> None:
        """The steps have gone back."""
        self._rewind = False

    @property
    def gives_up(self) -> bool:
        """Whether outstanding completions are no longer waited for."""
        return self.aborts > 1

    @property
    def stood_still(self) -> float:
        """Seconds for which the run's clock has stood still so far."""
        if not self._still:
            return self._still_total
        return self._still_total + self._clock() - self._still_since

    @property
    def clock(self) -> float:
        """S on the run's clock, from some beginning."""
        return self._clock() - self.stood_still

    def touch(self) -> None:
        """Something moved: the run is not hung."""
        self.moved = self._clock()

    @property
    def state(self) -> RunState:
        """The state to be shown."""
        if self.aborts:
            return RunState.ABORTING
        if self.stopped:
            return RunState.STOPPING
        if self._paused:
            return RunState.PAUSED if self._still else RunState.PAUSING
        if self._suspended:
            return RunState.SUSPENDED
        return RunState.CHECKING if self.checking else RunState.RUNNING

    # Scopes and the clock ---------------------------------------------------------------------

    def _enter(self, scope: StepScope) -> None:
        self._scopes[scope] = None
        if self._paused or self._suspended:
            self._changed()
        self._set_clock(scope, self._clock())
        self._ends_at_once(scope)

    def _ends_at_once(self, scope: StepScope) -> None:
        """What was asked before it began holds for it too."""
        if self.gives_up and scope.given_up:
            scope.end_within(_BRIEFLY, End.GIVE_UP)
        if scope.moving or scope.finalising:
            return
        if self.stopped:
            scope.end(End.STOP)
        elif self._rewind:
            scope.end(End.REWIND)

    def _leave(self, scope: StepScope) -> bool:
        """A step is left; whether more than that is being ended."""
        del self._scopes[scope]
        if self._paused or self._suspended:
            self._changed()
        return self._is_ended(scope.finalising)

    def _enter_timer(self, scope: StepScope) -> None:
        self._timers[scope] = None
        self._set_clock(scope, self._clock())

    def _leave_timer(self, scope: StepScope) -> bool:
        del self._timers[scope]
        return self._is_ended(scope.finalising)

    def _changed(self) -> None:
        held = self._paused or self._suspended
        in_flight = self.checking or any(scope.moving for scope in self._scopes)
        now = self._clock()
        if self._still != (held and not in_flight):
            self._still = not self._still
            if self._still:
                self._still_since = now
            else:
                self._still_total += now - self._still_since
        for scope in (*self._scopes, *self._timers):
            self._set_clock(scope, now)
        opened, self._opened = self._opened, asyncio.Event()
        opened.set()
        if self.state is not self._told:
            self._told = self.state
            self._on_state(self.state)

    def _set_clock(self, scope: StepScope, now: float) -> None:
        if self._still and (self._paused or not scope.finalising):
            scope.freeze(now)
        else:
            scope.thaw(now)
            if scope.deadline is not None:
                self._deadlines.ring_by(scope.deadline)

    def _expire(self, now: float) -> float | None:
        """End what has no time left; the next deadline."""
        scopes = (*self._scopes, *self._timers)
        for scope in scopes:
            scope.expire(now)
        return min((scope.deadline for scope in scopes if scope.deadline is not None), default=None)


def _expire(timeout: asyncio.Timeout | None) -> None:
    if timeout is None or timeout.expired():
        return
    try:
        timeout.reschedule(asyncio.get_running_loop().time())
    except RuntimeError:
        return  # it has been left already: nothing to end
