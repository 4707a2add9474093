"""Pause, suspend, stop, skip and abort of one run: what is asked, and which clock stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from orchestrator.engine.leaf import End, Leaf
from orchestrator.timers import DeadlineTimer
from orchestrator.types import RunState

_YIELD_EVERY = 20
"""Steps, some 10 µs each where they do not suspend by themselves."""

_finalising: ContextVar[bool] = ContextVar("finalising", default=False)
_cancelled: ContextVar[tuple[asyncio.Task[Any], int] | None] = ContextVar("cancelled", default=None)
"""The task of a Python sequence that cleans up, and how often it had been cancelled then."""


class StopRun(BaseException):
    """STOP took effect at a boundary."""


class RewindRun(BaseException):
    """A suspender that rewinds has cleared: go on from the last checkpoint."""


class SkipStep(BaseException):
    """A step was skipped before it had what it needs, so that nothing of it is done."""


class RunControl:
    """What operators and suspenders have asked of one run, and the clock that stands with it."""

    def __init__(self, on_state: Callable[[RunState], None]) -> None:
        """`on_state` is told each change of the state, requested ones included."""
        self._on_state = on_state
        self._told: RunState | None = None
        self._leaves: dict[Leaf, None] = {}
        self._timers: dict[Leaf, None] = {}
        self._deadlines = DeadlineTimer(self._expire)
        self._opened = asyncio.Event()
        self._paused = False
        self._suspended = False
        self._rewind = False
        self._still = False
        self._still_since = 0.0
        self._still_total = 0.0
        self._passed = 0
        self._body: asyncio.Timeout | None = None
        self._task: asyncio.Task[None] | None = None
        self._finalisers: list[asyncio.Timeout] = []
        self._clock = asyncio.get_running_loop().time
        self.moved = self._clock()
        self.checking = True
        self.in_finally = False
        self.stopped = False
        self.aborts = 0
        self.reason = ""

    # What operators and suspenders ask --------------------------------------------------------

    def pause(self) -> str:
        """Ask for a pause; returns why not, or an empty text."""
        if self.stopped or self.aborts:
            return f"can't pause: the run is {self.state.value.lower()}"
        self._paused = True
        self._changed()
        return ""

    def resume(self) -> None:
        """Go on; harmless when not paused. What suspends the run still does."""
        self._paused = False
        self._changed()

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

    def stop(self) -> None:
        """Finish at the next boundary; waits and delays end at once."""
        self.stopped = True
        self._paused = False
        self._changed()
        if self.checking:
            _expire(self._body)
        else:
            self._end_waiting(End.STOP)

    def skip(self) -> str:
        """End the innermost running step of every branch; returns why not, or an empty text."""
        if self.checking or not self._leaves:
            return "nothing to skip: no step is running"
        for leaf in list(self._leaves):
            leaf.end(End.SKIP)
        return ""

    def abort(self, reason: str = "") -> None:
        """1st: interrupt. 2nd: give up on completions. 3rd: drop the finalisers."""
        self.aborts += 1
        self.reason = self.reason or reason
        self._paused = False
        self._changed()
        _expire(self._body)
        if self.aborts == 2:
            for leaf in list(self._leaves):
                if leaf.given_up:
                    leaf.end(End.GIVE_UP)
        elif self.aborts > 2:
            for scope in self._finalisers:
                _expire(scope)
            if self._task is not None:
                self._task.cancel()  # a Python sequence that cleans up after the first abort

    def _end_waiting(self, reason: End) -> None:
        """End the leaves that do not move, but for the finalisers'."""
        for leaf in list(self._leaves):
            if not (leaf.moving or leaf.finalising):
                leaf.end(reason)

    # What the run asks ------------------------------------------------------------------------

    def body(self) -> asyncio.Timeout:
        """The scope around check and steps; the first abort ends it."""
        self._body = _scope(ended=bool(self.aborts or self.stopped))
        self._task = asyncio.current_task()
        return self._body

    def left_body(self) -> bool:
        """The scope has been left; whether a third abort drops what Python did after the first."""
        task, self._task = self._task, None
        if task is None or self.aborts < 3 or not task.cancelling():
            return False
        while task.cancelling():
            task.uncancel()
        return True

    def begin(self) -> None:
        """The check is over; the steps begin."""
        self.checking = False
        self._changed()

    async def finalise(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run finalisers to their end, whatever is stopped or aborted but for a third abort.

        Cancellations (an abort of the steps around, a timeout, a sibling's failure) are held back
        until they have ended. One of the whole run's finalisers ends them: it is from outside.

        Returns:
            Whether they came to their end.
        """
        outermost = self.in_finally and not self.finalising
        task = asyncio.create_task(self._finalise(work), name="finalisers")
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                if outermost:
                    task.cancel()
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return task.result()

    async def _finalise(self, work: Coroutine[Any, Any, None]) -> bool:
        _finalising.set(True)
        scope = _scope(ended=self.aborts > 2)
        self._finalisers.append(scope)
        try:
            async with scope:
                await work
        except TimeoutError:
            if not scope.expired():
                raise
            return False
        finally:
            work.close()
            self._finalisers.remove(scope)
        return True

    def unwinding(self, way_out: BaseException) -> None:
        """A Python sequence is being left early: what it still does are its finalisers.

        After a cancellation only as long as that lasts: its own `asyncio.timeout` ends as one.
        """
        task = asyncio.current_task()
        if isinstance(way_out, asyncio.CancelledError) and task is not None:
            _cancelled.set((task, task.cancelling()))
        else:
            _finalising.set(True)

    @contextmanager
    def python(self) -> Iterator[None]:
        """Around a Python sequence within a run: what goes on after it is no finaliser of its."""
        was = _finalising.get()
        try:
            yield
        finally:
            _finalising.set(was)

    @property
    def finalising(self) -> bool:
        """Whether the calling task runs finalisers."""
        if _finalising.get():
            return True
        task, cancellations = _cancelled.get() or (None, 0)
        return task is not None and task.cancelling() >= cancellations

    def leaf(
        self, *, moving: bool, seconds: float | None = None, given_up: bool | None = None
    ) -> Leaf:
        """The scope of one step; `seconds` on the run's clock, None = no limit.

        `given_up`: whether a second abort ends it; None = if it is `moving`.
        """
        ends = moving if given_up is None else given_up
        return Leaf(self._enter, self._leave, moving, self.finalising, seconds, ends)

    def timer(self, seconds: float) -> Leaf:
        """A scope around many steps, ended only by time: the document's timeout."""
        return Leaf(self._enter_timer, self._leave_timer, True, self.finalising, seconds)

    async def gate(self) -> None:
        """Stand here before each step: lets other tasks run, waits while paused or suspended.

        Raises:
            StopRun: STOP was asked for, outside the finalisers.
            RewindRun: The steps have to go back to the last checkpoint.
        """
        self._passed += 1
        if self._passed % _YIELD_EVERY == 0:  # trivial steps must not starve the loop
            await asyncio.sleep(0)
        if self.aborts > 2 and self._task is not None:
            raise asyncio.CancelledError  # the clean-up of the steps is dropped, whoever does it
        finalising = self.finalising
        while self._paused or (self._suspended and not finalising and not self.stopped):
            await self._opened.wait()
        if not finalising:
            if self.stopped:
                raise StopRun
            if self._rewind:
                raise RewindRun

    async def resumed(self) -> None:
        """Return when the run is not paused."""
        while self._paused:
            await self._opened.wait()

    def close(self) -> None:
        """The run has ended."""
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

    # Leaves and the clock ---------------------------------------------------------------------

    def _enter(self, leaf: Leaf) -> None:
        self._leaves[leaf] = None
        if self._paused or self._suspended:
            self._changed()
        self._set_clock(leaf, self._clock())

    def _leave(self, leaf: Leaf) -> None:
        del self._leaves[leaf]
        if self._paused or self._suspended:
            self._changed()

    def _enter_timer(self, leaf: Leaf) -> None:
        self._timers[leaf] = None
        self._set_clock(leaf, self._clock())

    def _leave_timer(self, leaf: Leaf) -> None:
        del self._timers[leaf]

    def _changed(self) -> None:
        held = self._paused or self._suspended
        in_flight = self.checking or any(leaf.moving for leaf in self._leaves)
        now = self._clock()
        if self._still != (held and not in_flight):
            self._still = not self._still
            if self._still:
                self._still_since = now
            else:
                self._still_total += now - self._still_since
        for leaf in (*self._leaves, *self._timers):
            self._set_clock(leaf, now)
        opened, self._opened = self._opened, asyncio.Event()
        opened.set()
        if self.state is not self._told:
            self._told = self.state
            self._on_state(self.state)

    def _set_clock(self, leaf: Leaf, now: float) -> None:
        if self._still and (self._paused or not leaf.finalising):
            leaf.freeze(now)
        else:
            leaf.thaw(now)
            if leaf.deadline is not None:
                self._deadlines.ring_by(leaf.deadline)

    def _expire(self, now: float) -> float | None:
        """End the leaves whose time is up; the next deadline."""
        leaves = (*self._leaves, *self._timers)
        for leaf in leaves:
            leaf.expire(now)
        return min((leaf.deadline for leaf in leaves if leaf.deadline is not None), default=None)


def _scope(*, ended: bool) -> asyncio.Timeout:
    return asyncio.timeout_at(asyncio.get_running_loop().time() if ended else None)


def _expire(scope: asyncio.Timeout | None) -> None:
    if scope is None or scope.expired():
        return
    try:
        scope.reschedule(asyncio.get_running_loop().time())
    except RuntimeError:
        return  # it has been left already: nothing to end
