"""Turns of the event loop: who asks for much waits for its turn, who asks for little does not."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

A_TURN_S = 0.0003
"""What one client's requests, or its updates, may take before all others have had a turn."""

A_PASS_S = 0.001
"""What those may take together, in one pass of the event loop, who have not waited for a turn."""

_PACE_S = 0.1
"""The time in which things are counted."""


class Turns:
    """Gives turns one after the other, one in a pass of the event loop.

    So a pass takes no longer for a hundred clients that flood than for one, and whoever asks for
    little meanwhile waits for one turn of theirs at most.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` measures what is taken; the loop's own would stand still within a turn."""
        self.clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._giving = False
        self._until: float | None = None

    def at_once(self) -> float:
        """S that somebody may take who has waited for something else, without a turn.

        None any more in a pass of the loop in which others have taken enough.
        """
        now = self.clock()
        if self._until is None:
            self._until = now + A_PASS_S
            asyncio.get_running_loop().call_soon(self._begin_pass)
        return A_TURN_S if now < self._until else 0.0

    def _begin_pass(self) -> None:
        self._until = None

    async def next(self) -> None:
        """Return when it is the caller's turn; suspends."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._giving:
            self._giving = True
            loop.call_soon(self._give)
        await turn

    def _give(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else cancelled meanwhile
                turn.set_result(None)
                break
        self._giving = bool(self._waiting)
        if self._giving:
            asyncio.get_running_loop().call_soon(self._give)


class Budget:
    """The time that one task may take in a turn.

    >>> budget = Budget(Turns())
    >>> budget.is_spent
    False
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._until = turns.clock() + A_TURN_S

    def renew(self) -> None:
        """Begin anew: the task has waited for something else meanwhile."""
        self._until = self._turns.clock() + self._turns.at_once()

    def charge(self, seconds: float) -> None:
        """Count what the task has let others do in its stead."""
        self._until -= seconds

    @property
    def is_spent(self) -> bool:
        """Whether the task has had its turn."""
        return self._turns.clock() >= self._until

    async def turn(self) -> None:
        """Return at once while there is time left, else in the task's next turn."""
        if self.is_spent:
            await self._turns.next()
            self._until = self._turns.clock() + A_TURN_S


class Pace:
    """Counts what is done, and tells how long to wait where it is too fast."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1, int(per_second * _PACE_S))
        self._clock = clock
        self._begun = clock()
        self._count = 0

    def count(self) -> float:
        """Count one; the s to wait before the next."""
        self._count += 1
        if self._count < self._most:
            return 0.0
        early = max(0.0, self._begun + _PACE_S - self._clock())
        self._begun = self._clock() + early
        self._count = 0
        return early
