"""A timer for deadlines that nearly never come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class DeadlineTimer:
    """One timer of the loop for many deadlines, most of which are called off.

    Setting and cancelling a timer of the loop for each of them costs several µs, with each step.
    This one is only ever moved ahead. Where it rings too early, it is told when to ring next.
    """

    __slots__ = ("_at", "_handle", "_loop", "_ring")

    def __init__(self, ring: Callable[[float], float | None]) -> None:
        """For the loop that runs now.

        Args:
            ring: Acts on the deadlines that are due at this time of the loop's clock, and gives
                the next one; None = there is none.
        """
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def ring_by(self, when: float) -> None:
        """Ring at this time of the loop's clock, or before."""
        if self._handle is not None:
            if self._at <= when:
                return
            self._handle.cancel()
        self._at = when
        self._handle = self._loop.call_at(when, self._rings)

    def close(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle = None
        # The loop may ring early by the resolution of its clock.
        following = self._ring(max(self._at, self._loop.time()))
        if following is not None:
            self.ring_by(following)


def spelt(seconds: float) -> str:
    """A time for people, in s: what is left of a timeout of 5 s is `5`, not `4.99998`."""
    return f"{round(seconds, 1):g}" if seconds >= 100 else f"{float(f'{seconds:.3g}'):g}"
