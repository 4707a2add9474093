"""uvloop's event loop with a clock as exact as asyncio's. Imported only where uvloop is there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

import uvloop

Ts = TypeVarTuple("Ts")

_later = uvloop.Loop.call_later
_now = time.monotonic


class FastLoop(uvloop.Loop):
    """Times are exact and timers are never early.

    uvloop's own clock counts whole milliseconds (MagicStack/uvloop#359): what came before a put
    and what came after it could have one time. Its timers are early by up to one (#739).
    """

    time = time.monotonic  # a builtin needs no frame, and every reading asks for the time

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], Any],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """As every loop: not before the delay is over."""
        return _later(self, _whole(delay), callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], Any],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """As every loop: not before that time."""
        return _later(self, _whole(when - _now()), callback, *args, context=context)


def _whole(delay: float) -> float:
    """The delay that uvloop makes no shorter.

    One millisecond more than it takes, as uvloop begins to count at its last whole one.
    """
    if 0 < delay < math.inf:
        return (math.ceil(delay * 1000) + 1) / 1000
    return delay
