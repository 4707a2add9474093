"""Cancellations that stand: who was asked to end, and what ends before it takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from orchestrator.errors import OrchestratorError

T = TypeVar("T")

_asked: set[asyncio.Task[Any]] = set()
# Not by `Task.cancelling`: up to Python 3.12 a TaskGroup in a user's code may leave one too many
# (python/cpython#133747).
# No WeakSet: it is asked four times a step, and a look into one takes as long as a step's check.


def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task, for good: `is_ended` tells so even where its code swallows that."""
    if not task.done():
        _asked.add(task)
        task.add_done_callback(_asked.discard)
        task.cancel()


def forget(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """These will never be done, as their loop is closed."""
    _asked.difference_update(tasks)


def is_any_ended() -> bool:
    """Whether any task at all was asked to end and has not done so yet: mostly none, known fast."""
    return bool(_asked)


def is_ended(task: asyncio.Task[Any] | None) -> bool:
    """Whether a task was asked to end."""
    return task in _asked


async def until_done(
    tasks: Iterable[asyncio.Task[Any]], cancelled: Callable[[], None] = lambda: None
) -> None:
    """Wait until all of these have ended, whatever happens to who waits.

    Args:
        tasks: What is waited for.
        cancelled: Called with each cancellation of the one who waits.

    Raises:
        CancelledError: Behind their end, where the one who waits was cancelled meanwhile.
    """
    waiting = list(tasks)
    told: asyncio.CancelledError | None = None
    while any(not task.done() for task in waiting):
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            told = error
            cancelled()
    if told is not None:
        raise told


async def until_any(*works: Coroutine[Any, Any, None], name: str) -> None:
    """Return when one of these has; the others are ended."""
    waiting = [asyncio.create_task(work, name=name) for work in works]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await until_done(waiting)


async def unbroken(work: Coroutine[Any, Any, T], name: str) -> T:
    """Do something to its end; a cancellation that comes meanwhile is raised behind it."""
    task = asyncio.create_task(work, name=name)
    try:
        await until_done([task])
    finally:
        if task.done() and not task.cancelled():
            task.exception()  # retrieved, where a cancellation is raised in its place
    return task.result()


class StepsEndedError(OrchestratorError):
    """The steps have ended by a cancellation of their own making."""


class StepsTask:
    """The task of a run's check and steps, which STOP (while it checks) and ABORT cancel."""

    def __init__(self) -> None:
        self.cancels = 0
        """How often we have cancelled it."""
        self._task: asyncio.Task[Any] | None = None
        """While it is under way."""
        self._cancelled_before = 0
        """How often it had been cancelled before."""

    def is_cancelled(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task is this one, and we have cancelled it."""
        return bool(self.cancels) and task is self._task

    def cancel(self) -> None:
        """Cancel it, if it is under way."""
        if self._task is not None:
            if not self.cancels:  # a TaskGroup in a user's code may have left one too many
                self._cancelled_before = self._task.cancelling()
            self.cancels += 1
            self._task.cancel()

    @contextmanager
    def under_way(self, is_asked: Callable[[], bool]) -> Iterator[None]:
        """Around check and steps; our own cancellation ends here.

        Args:
            is_asked: Whether somebody has asked for their end.

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
            if task.cancelling() - self.cancels > self._cancelled_before:
                raise
            if not is_asked():
                raise StepsEndedError("cancelled, though nobody has asked for that") from error
        finally:
            self._task = None
            for _ in range(self.cancels):
                task.uncancel()
