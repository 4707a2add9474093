"""Telling what changes all the time: at once where it is rare, else once a second, with a count."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PERIOD = 1.0
"""s between two that are told: a line of the log each."""


class _Seldom:
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._last = -math.inf
        self._held: str | None = None
        self._between = 0
        self._timer: asyncio.TimerHandle | None = None

    def say(self, text: str) -> None:
        if self._timer is None and self._loop.time() - self._last >= PERIOD:
            self._say(text)
            return
        self._between += self._held is not None
        self._held = text
        if self._timer is None:
            self._timer = self._loop.call_at(self._last + PERIOD, self.catch_up)

    def catch_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held is not None:
            more = f" ({self._between} more before it)" if self._between else ""
            self._say(f"{self._held}{more}")

    def _say(self, text: str) -> None:
        self._last, self._held, self._between = self._loop.time(), None, 0
        self._tell(text)


@contextmanager
def seldom(tell: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """A function that tells texts of which the newest counts, at most one a `PERIOD`.

    One that comes too soon waits, is replaced by the next one, and is told with how many were; at
    the end of the block at once. So the last one told is always the one that holds.
    """
    one = _Seldom(tell)
    try:
        yield one.say
    finally:
        one.catch_up()
