"""What libca's threads report, on its way to the event loop: in order, one wake-up a batch."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_A_TURN = 500
"""Reports taken before other tasks have their turn; some 5 µs each."""

_A_TURN_S = 0.002
"""s after which they have it in any case: a first value costs more than a later one."""


class Arrivals:
    """Hands calls from libca's threads to the loop.

    aioca wakes the loop for each reply, and for updates may miss a wake-up: it looks whether one
    is due after it has emptied its queue. Here the flag is raised before the queue is emptied, so
    that what comes meanwhile wakes the loop once more, in vain at worst.
    """

    __slots__ = ("_asleep", "_calls", "_clock", "loop")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """For the loop that runs now; `clock` measures its turns."""
        self.loop = asyncio.get_running_loop()
        """Where the calls are made."""
        self._clock = clock
        self._calls: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._asleep = True

    def report(self, call: Callable[[Any], None], value: Any) -> None:
        """Have `call(value)` called in the loop, soon; from any thread."""
        self._calls.append((call, value))
        if self._asleep:
            self._asleep = False
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self.loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._asleep = True
        calls, clock = self._calls, self._clock
        until = clock() + _A_TURN_S
        try:
            for _ in range(min(len(calls), _A_TURN)):
                call, value = calls.popleft()
                call(value)
                if clock() > until:
                    break
        finally:  # the loop tells what was raised; what came with it must not wait for more
            if calls and self._asleep:
                self._asleep = False
                self.loop.call_soon(self._take)
