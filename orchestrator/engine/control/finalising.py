"""Finalisers: run to their end whatever is asked meanwhile, but for a third abort."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from orchestrator.engine.control.cancelling import until_done

_finalising: ContextVar[bool] = ContextVar("finalising", default=False)


def is_finalising() -> bool:
    """Whether the calling task runs finalisers."""
    return _finalising.get()


@contextmanager
def cleaning_up(does: bool = True) -> Iterator[None]:
    """Around what are finalisers: the clean-up of a Python sequence; not if not `does`."""
    token = _finalising.set(True) if does else None
    try:
        yield
    finally:
        if token is not None:
            _finalising.reset(token)


class Finalisers:
    """Runs the finalisers of one run and of its sub-sequences."""

    def __init__(self) -> None:
        self.in_finally = False
        """Whether the run has come to its own; set by who runs it."""
        self.dropped: list[str] = []
        """What a third abort has kept from its end, for the outcome."""
        self._timeouts: list[asyncio.Timeout] = []
        self._is_dropping = False

    def drop(self) -> None:
        """End those under way, and run no others; asked for by a third abort."""
        self._is_dropping = True
        for timeout in self._timeouts:
            _expire(timeout)

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
        outermost = self.in_finally and not is_finalising()
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
        self._timeouts.append(timeout)
        try:
            if self._is_dropping:
                return False
            async with timeout:
                await work
        except (TimeoutError, asyncio.CancelledError):
            if not self._is_dropping:
                raise
            return False
        finally:
            work.close()
            self._timeouts.remove(timeout)
        return True


def _expire(timeout: asyncio.Timeout | None) -> None:
    if timeout is None or timeout.expired():
        return
    try:
        timeout.reschedule(asyncio.get_running_loop().time())
    except RuntimeError:
        return  # it has been left already: nothing to end
