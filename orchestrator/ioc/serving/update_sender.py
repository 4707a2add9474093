"""The way of a client's updates to it: in turns, and told when they are on it."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import proxy

from orchestrator.ioc.serving.outbox import Feed, Outbox
from orchestrator.ioc.serving.turns import Budget

_SLOW_CLIENT_S = 1.0

_PATIENCE = 50
"""Turns of the event loop without an update taken that make a circuit stuck."""


class UpdateSender:
    """Sends what is in a client's outbox, and lets others wait for it."""

    def __init__(self, circuit: Any, outbox: Outbox) -> None:
        """`circuit` owns it; no more is kept of it than that it can be asked."""
        self._circuit = proxy(circuit)
        self._outbox = outbox
        self._sent = 0
        self._blocked = False
        self._behind = False
        self._updates = asyncio.Event()
        self._progress = asyncio.Event()

    def wake(self) -> None:
        """There is something in the outbox."""
        self._updates.set()

    def tell_waiting(self) -> None:
        """Something has changed for who waits for its updates to be sent."""
        self._progress.set()

    def hold(self, held: bool) -> None:
        """The client wants no updates for now (EventsOff), or again."""
        self._outbox.hold(held)
        (self._progress if held else self._updates).set()

    async def run(self) -> None:
        """Send the updates, without end."""
        budget = Budget(self._circuit.context.turns)
        while True:
            if not self._outbox.is_ready:
                self._updates.clear()
                self._behind = False
                await self._updates.wait()
                budget.renew()
                await budget.turn()
            if messages := self._outbox.encode(budget):
                self._blocked = True
                await self._circuit.delay.put(messages)
                self._blocked = False
            self._sent += 1
            self._progress.set()
            await budget.turn()

    async def make_room(self, feed: Feed) -> None:
        """Let the client have its turns before one of its updates is dropped; bounded.

        Not while it is its reading that is waited for, while it wants none (EventsOff), nor once it
        has stayed behind.
        """
        patience = _PATIENCE
        while (
            self._outbox.is_full(feed)
            and patience
            and self._outbox.is_ready
            and not (self._blocked or self._behind)
        ):
            patience -= 1
            await asyncio.sleep(0)
        self._behind = self._behind or not patience

    async def caught_up(self) -> None:
        """Return when it has taken all updates that wait for it, or is stuck: bounded."""
        seen, patience = self._sent, _PATIENCE
        while patience and self._outbox.is_ready:
            await asyncio.sleep(0)
            patience = _PATIENCE if self._sent != seen else patience - 1
            seen = self._sent

    async def all_sent(self) -> None:
        """Return when what was posted before is on its way, or its client too slow for it."""
        try:
            async with asyncio.timeout(_SLOW_CLIENT_S):
                await self._circuit.context.handed_out()
                behind = self._outbox.put_so_far
                # A client that wants none for now (EventsOff) is not waited for.
                while self._owes(behind):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            self._circuit.complain(
                "client reads too slowly to see the updates before the completion"
            )

    def _owes(self, updates: int) -> bool:
        """Whether some of its first so many updates are still to be sent."""
        sent = self._outbox.put_so_far - len(self._outbox)
        return self._circuit.connected and self._outbox.is_ready and sent < updates
