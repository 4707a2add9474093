"""How many unanswered puts there may be, of one client and of all."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from orchestrator.types import ClientLimits

_ALWAYS = 10
"""Unanswered puts that a client may have, however many all have."""

SIGN_OF_LIFE_S = 2.0
"""s after which a client that waits is told that we are there; libca asks after EPICS_CA_CONN_TMO,
and gives a server up that does not answer within 5 s."""


class PutRoom:
    """Lets a put in when there is room for it; its client is not read on until then."""

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._unanswered: Counter[object] = Counter()
        self._all = 0
        self._waiting: deque[tuple[object, asyncio.Future[None]]] = deque()

    def unanswered(self, client: object) -> int:
        """Puts of a client that have not ended."""
        return self._unanswered[client]

    def full(self, client: object) -> str:
        """The limit that keeps a client's next put waiting; empty if there is room for it."""
        own, limits = self._unanswered[client], self._limits
        if own >= limits.puts:
            return f"puts = {limits.puts}"
        if self._all >= limits.all_puts and own >= _ALWAYS:
            return f"all_puts = {limits.all_puts}"
        return ""

    async def enter(self, client: object, sign_of_life: Callable[[], Awaitable[None]]) -> None:
        """Return when there is room for one more; `leave` follows when it has ended.

        Args:
            client: Whose put it is.
            sign_of_life: Called each `SIGN_OF_LIFE_S` until then.
        """
        while self.full(client):
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((client, room))
            while not (await asyncio.wait({room}, timeout=SIGN_OF_LIFE_S))[0]:
                await sign_of_life()
        self._unanswered[client] += 1
        self._all += 1

    def leave(self, client: object) -> None:
        """A put has ended and its client been told."""
        self._all -= 1
        self._unanswered[client] -= 1
        if not self._unanswered[client]:
            del self._unanswered[client]
        still = [(other, room) for other, room in self._waiting if not self._let_in(other, room)]
        self._waiting = deque(still)

    def _let_in(self, client: object, room: asyncio.Future[None]) -> bool:
        if not room.done() and not self.full(client):
            room.set_result(None)
        return room.done()
