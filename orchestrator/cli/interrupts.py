"""SIGINT, SIGTERM and SIGHUP as questions to the program, each harder than the one before."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE = 3
"""Signals that are passed on; the next one is Python's own KeyboardInterrupt, or the end."""

PRESSED = (
    "aborting: finalisers run (Ctrl-C again gives up on outstanding completions)",
    "giving up on outstanding completions (Ctrl-C again drops the finalisers)",
    "dropping the finalisers",
)
"""What is told on the first, second and third Ctrl-C."""


@contextmanager
def interrupts(pressed: Callable[[int], None]) -> Iterator[None]:
    """Call `pressed` with 1, 2, 3 as signals come, in the loop that runs now."""
    loop = asyncio.get_running_loop()
    count = 0

    def take() -> None:
        nonlocal count
        count += 1
        if count >= PATIENCE:
            restore()
        pressed(count)

    def restore() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells have it
            loop.add_signal_handler(number, take)
    try:
        yield
    finally:
        restore()
