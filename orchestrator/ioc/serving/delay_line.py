"""What a circuit sends, held back for a while: an IOC that answers late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

MOST_HELD_BYTES = 16_000_000
"""Held for one client; whoever would send more to it waits, as for one that does not read."""


class DelayLine:
    """Passes bytes on in their order, each `seconds` after it was given.

    Without a delay they pass straight through.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]], seconds: float = 0.0) -> None:
        """Hold nothing.

        Args:
            send: Called with each piece when its time has come, one at a time.
            seconds: The delay.
        """
        self._send = send
        self._seconds = seconds
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Condition()

    @property
    def seconds(self) -> float:
        """The delay; what is held already obeys a new one too."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed.set()

    async def put(self, data: bytes) -> None:
        """Send it when its time has come; returns at once while anything is held."""
        if not self._seconds and not self._held:
            await self._send(data)
            return
        async with self._room:
            await self._room.wait_for(lambda: self._held_bytes < MOST_HELD_BYTES)
        self._held.append((asyncio.get_running_loop().time(), data))
        self._held_bytes += len(data)
        self._changed.set()

    async def run(self) -> None:
        """Send what is held, each in its time, until cancelled or `send` fails."""
        while True:
            self._changed.clear()
            if not self._held:
                await self._changed.wait()
                continue
            given, data = self._held[0]
            if await self._due(given):
                await self._send(data)
                self._held.popleft()  # only now: what comes meanwhile has to wait behind it
                await self._make_room(len(data))

    async def _due(self, given: float) -> bool:
        """Whether its time has come; False after a change, when it has to be looked at anew."""
        left = given + self._seconds - asyncio.get_running_loop().time()
        if left <= 0:
            return True
        try:
            async with asyncio.timeout(left):
                await self._changed.wait()
        except TimeoutError:
            return True
        return False

    async def _make_room(self, size: int) -> None:
        async with self._room:
            self._held_bytes -= size
            self._room.notify_all()
