"""Plain Python behind PVs: the queues between it and the event loop, and the thread it runs in."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

MOST_WAITING = 1_000
"""Requests that wait in `io_get_queue` for a system that does not take them; the oldest go."""


class System(Protocol):
    """What stands behind a sequence server.

    The server gives it two attributes before anything else happens:

    - `io_put_queue`, from the system to the PVs: it puts `{pv_name: value}` there, from any
      thread, and the PVs show it.
    - `io_get_queue`, from the PVs to the system: `{"CMD": text}` for each trajectory that was
      loaded, `{"INDEX": [seq, index]}` for each index before it is moved to. It need not be read.

    They are its `io_push_queue` and `io_pull_queue` too, as some systems call them.
    """

    def io_execute(self, pv_name: str, value: Any) -> object:
        """Move there; returns when it has arrived, raises if it can't.

        Called in a thread of its own, always the same, one call at a time. `pv_name` is the
        server's `target`, and `value` the item of the trajectory.

        A system that compares `pv_name` with `CMD` or `Nested_Indices` is given these instead, as
        they came, and acknowledges them: by `io_put_queue.put({"ACK": 1})` if it ever puts ACK,
        else by returning.
        """


class IoQueue(queue.Queue[Mapping[str, Any]]):
    """A `queue.Queue` of dicts by PV name that an event loop can wait for.

    `async_put` and `async_get` are those of caproto's `ThreadsafeQueue`.
    """

    def __init__(self, maxsize: int = 0) -> None:
        """With a `maxsize`, `offer` drops the oldest."""
        super().__init__(maxsize)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()

    def _put(self, item: Mapping[str, Any]) -> None:
        super()._put(item)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(self._filled.set)

    def offer(self, item: Mapping[str, Any]) -> None:
        """Put it without ever waiting."""
        while True:
            try:
                self.put_nowait(item)
            except queue.Full:
                with suppress(queue.Empty):
                    self.get_nowait()
            else:
                return

    async def async_put(self, item: Mapping[str, Any]) -> None:
        """`put` from the event loop; never waits, as `offer`."""
        self.offer(item)

    async def async_get(self) -> Mapping[str, Any]:
        """`get` from the event loop."""
        while True:
            await self.filled()
            with suppress(queue.Empty):  # somebody else was faster
                return self.get_nowait()

    def taken(self) -> list[Mapping[str, Any]]:
        """All that waits, oldest first."""
        items = []
        with suppress(queue.Empty):
            while True:
                items.append(self.get_nowait())
        return items

    async def filled(self) -> None:
        """Return when something waits."""
        self._loop = asyncio.get_running_loop()
        while self.empty():
            self._filled.clear()
            if self.empty():
                await self._filled.wait()


class SystemThread:
    """A thread that does one thing after the other; a daemon, so that a stuck one ends with us."""

    def __init__(self, name: str) -> None:
        """`name` of the thread."""
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns or raises there."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # without an error it is a T

        def work() -> None:
            result, failure = None, None
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                failure = _passable(error)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result, failure)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._work.put(work)
        return await done

    def _run(self) -> None:
        while True:
            self._work.get()()


def _passable(error: BaseException) -> BaseException:
    """An exception that a future can carry, and that ends no event loop.

    One that is given a StopIteration is never done (python/cpython#112182).
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
