"""The innermost running step of a branch, as a scope that time or an operator may end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from enum import Enum, auto
from types import TracebackType

import structlog

BRIEFLY = 0.5
"""s for what is begun after a second abort, and would be given up by one: nobody waits longer."""

log = structlog.get_logger(__name__)


class End(Enum):
    """Why a step ended early."""

    TIMEOUT = auto()
    SKIP = auto()
    STOP = auto()
    GIVE_UP = auto()
    """A second abort: outstanding completions are given up."""
    REWIND = auto()
    """The run goes back to its last checkpoint."""


class StopRun(BaseException):
    """STOP took effect at a boundary."""


class RewindRun(BaseException):
    """A suspender that rewinds has cleared: go on from the last checkpoint."""


class SkipStep(BaseException):
    """A step was skipped before it had what it needs, so that nothing of it is done."""


_ended_early: ContextVar[End | None] = ContextVar("ended_early", default=None)


def ended_early() -> End | None:
    """Why a scope that the calling task has left was ended early; asked once, it is forgotten."""
    reason = _ended_early.get()
    if reason is not None:
        _ended_early.set(None)
    return reason


class StepScope:
    """The scope of one step.

    `ended` tells after the scope why it ended early, None if it did not. A deadline counts on the
    run's clock, which stands still while the run is paused.

    An end that was asked for stands, whatever the step makes of it: code that swallows its
    cancellation, or turns it into another exception, is ended all the same.
    """

    __slots__ = (
        "_began",
        "_cancelled",
        "_cancelling",
        "_ending",
        "_enter",
        "_late",
        "_leave",
        "_left",
        "_reason",
        "_task",
        "briefly",
        "deadline",
        "ended",
        "finalising",
        "given_up",
        "moving",
    )

    def __init__(
        self,
        enter: Callable[[StepScope], None],
        leave: Callable[[StepScope], bool],
        moving: bool,
        finalising: bool,
        seconds: float | None,
        given_up: bool = False,
        briefly: bool = False,
    ) -> None:
        """Made by `RunControl.step_scope`; `moving`: in flight, so that a pause waits for its end.

        `leave` tells whether more than this step is being ended. `given_up`: a second abort ends
        it; `briefly`: not before it has had some time.
        """
        self.moving = moving
        self.finalising = finalising
        self.given_up = given_up
        self.briefly = briefly
        self._began = 0.0
        self.ended: End | None = None
        self.deadline: float | None = None
        """When its time is up, by the loop's clock; None: never, or its clock stands still."""
        self._enter = enter
        self._leave = leave
        self._left = seconds
        self._reason: End | None = None
        self._ending: asyncio.Handle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._cancelled = False
        self._task: asyncio.Task[object]
        self._cancelling = 0

    @property
    def reason(self) -> End | None:
        """Why it is being ended, known while its body cleans up; None = from outside."""
        return self._reason

    def end(self, reason: End) -> None:
        """End it early; harmless when it is ending already."""
        if self._reason is None:
            self._reason = reason
            # Not from within the task itself, which would take it for the end of what it does next.
            self._ending = asyncio.get_running_loop().call_soon(self._cancel)

    def give_up(self) -> None:
        """A second abort ends it; what is read has the time for that which later reads have."""
        left = self._began + BRIEFLY - asyncio.get_running_loop().time() if self.briefly else 0.0
        if left > 0:
            self.end_within(left, End.GIVE_UP)
        else:
            self.end(End.GIVE_UP)

    def end_within(self, seconds: float, reason: End) -> None:
        """End it after so many s of the loop's clock, unless it has ended by then."""
        self._late = asyncio.get_running_loop().call_later(seconds, self.end, reason)

    def freeze(self, now: float) -> None:
        """Its clock stands still from here on."""
        if self.deadline is not None:
            self._left = self.deadline - now
            self.deadline = None

    def thaw(self, now: float) -> None:
        """Its clock goes on; who calls sees to it that `expire` is called at its deadline."""
        if self._left is not None:
            self.deadline = now + self._left
            self._left = None

    def expire(self, now: float) -> None:
        """End it if its time is up."""
        if self.deadline is not None and self.deadline <= now:
            self.deadline = None
            self.end(End.TIMEOUT)

    def __enter__(self) -> StepScope:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - steps run in tasks
        self._task, self._cancelling = task, task.cancelling()
        self._began = asyncio.get_running_loop().time()
        self._enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        ends = self._leave(self)
        for handle in (self._ending, self._late):
            if handle is not None:
                handle.cancel()
        if self._cancelled:  # by somebody else as well?
            ends |= self._task.uncancel() > self._cancelling
        elif not ends:
            return False
        misbehaved = kind is None or issubclass(kind, Exception)
        if misbehaved and error is not None:
            log.warning("a step that was ended raised an error", error=repr(error))
        if ends:
            if misbehaved:
                raise asyncio.CancelledError from error
            return False
        if kind is asyncio.CancelledError or misbehaved:
            self.ended = self._reason
            _ended_early.set(self._reason)
            return True
        return False

    @property
    def is_cancelling(self) -> bool:
        """Whether it has ended what its task does."""
        return self._cancelled

    @property
    def task(self) -> asyncio.Task[object]:
        """That which does it; known once it was entered."""
        return self._task

    def _cancel(self) -> None:
        self._cancelled = True
        self._task.cancel()


class OpenScopes:
    """The scopes in which a run is."""

    def __init__(self) -> None:
        self.steps: dict[StepScope, None] = {}
        """Of the innermost steps of its branches."""
        self.timers: dict[StepScope, None] = {}
        """Around many steps, ended only by time."""

    def __iter__(self) -> Iterator[StepScope]:
        """All of them, those of steps first."""
        yield from self.steps
        yield from self.timers

    @property
    def in_flight(self) -> bool:
        """Whether a step moves something, so that a pause waits for its end."""
        return any(scope.moving for scope in self.steps)

    def end(self, reason: End) -> None:
        """End every step."""
        for scope in list(self.steps):
            scope.end(reason)

    def end_waiting(self, reason: End) -> None:
        """End the steps that do not move, but for the finalisers'."""
        for scope in list(self.steps):
            if not (scope.moving or scope.finalising):
                scope.end(reason)

    def give_up(self) -> None:
        """End those that a second abort ends."""
        for scope in list(self.steps):
            if scope.given_up:
                scope.give_up()

    def is_cancelling(self, task: asyncio.Task[object] | None) -> bool:
        """Whether a timer has ended what a task does."""
        return any(timer.is_cancelling for timer in self.timers if timer.task is task)
