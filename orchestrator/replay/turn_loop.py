"""An event loop without a clock and without I/O of its own: it runs when it is told to."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ROUNDS = 20
"""Rounds of a turn; what is still ready then goes on in the next, so that the host's loop, and
with it STOP and ABORT, is never kept waiting by a sequence that never waits."""

_SWEEP = 200
"""Cancelled timers that may lie around."""

Job = Callable[[], Any]


class TurnLoop(asyncio.AbstractEventLoop):
    """Runs the device and the engine in turns.

    The time stands still within a turn, and nothing comes from outside but between two turns. So
    what happens in it is a function of what was handed in before each turn, and of its time: the
    same again when the same is handed in again. It opens no sockets and has no threads; a job for
    a thread is handed to `jobs`, which answers between two turns as well.
    """

    def __init__(
        self,
        jobs: Callable[[Job], asyncio.Future[Any]],
        complain: Callable[[dict[str, Any]], None],
    ) -> None:
        """`complain` takes what an event loop tells its exception handler."""
        self._jobs = jobs
        self._complain = complain
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[asyncio.TimerHandle] = []
        self._cancelled = 0
        self._now = 0.0
        self._running = False

    # Turns --------------------------------------------------------------------------------------

    def turn(self, now: float, rounds: int = ROUNDS) -> int:
        """Run what is ready and due at `now`, at most so many rounds; gives how many it took."""
        self._now = now
        host = asyncio._get_running_loop()  # noqa: SLF001 - made for event loops
        asyncio._set_running_loop(self)  # noqa: SLF001 - as above
        self._running = True
        try:
            for number in range(rounds):
                self._take_due()
                if not self._ready:
                    return number
                for _ in range(len(self._ready)):
                    handle = self._ready.popleft()
                    if not handle.cancelled():
                        handle._run()  # noqa: SLF001 - a loop's part
        finally:
            self._running = False
            asyncio._set_running_loop(host)  # noqa: SLF001 - as above
        return rounds

    @property
    def is_ready(self) -> bool:
        """Whether something could run without time going on."""
        return bool(self._ready)

    @property
    def deadline(self) -> float | None:
        """When the next timer is due; None = no timer is set."""
        self._sweep()
        return self._timers[0].when() if self._timers else None

    def _take_due(self) -> None:
        while self._timers and (self._timers[0].cancelled() or self._timers[0].when() <= self._now):
            handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self._ready.append(handle)

    def _sweep(self) -> None:
        while self._timers and self._timers[0].cancelled():
            heapq.heappop(self._timers)
        if self._cancelled > _SWEEP:
            self._timers = [timer for timer in self._timers if not timer.cancelled()]
            heapq.heapify(self._timers)
            self._cancelled = 0

    # What asyncio asks of a loop ----------------------------------------------------------------

    def time(self) -> float:
        """The time of this turn."""
        return self._now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As every loop; also between two turns."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As every loop."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As every loop."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        del handle
        self._cancelled += 1

    def create_future(self) -> asyncio.Future[Any]:
        """As every loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # its further arguments differ by Python's version
        self, coro: Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        """As every loop."""
        return asyncio.Task(coro, loop=self, **options)

    def run_in_executor(  # type: ignore[override]  # the stub's type can't be spelled
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """A job for a thread, which is somebody else's."""
        del executor
        return self._jobs(lambda: func(*args))

    def is_running(self) -> bool:
        """Whether a turn is under way."""
        return self._running

    def is_closed(self) -> bool:
        """Never: there is nothing to close."""
        return False

    def get_debug(self) -> bool:
        """Never: what is slow is told by the host's loop."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Pass it on."""
        self._complain(context)


def make_turn_loop(
    jobs: Callable[[Job], asyncio.Future[Any]], complain: Callable[[dict[str, Any]], None]
) -> TurnLoop:
    """Make one: what `TurnLoop` is made with."""
    return TurnLoop(jobs, complain)  # type: ignore[abstract] # it has no I/O, on purpose
