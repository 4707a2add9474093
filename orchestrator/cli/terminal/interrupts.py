"""SIGINT, SIGTERM and SIGHUP as questions to the program, each harder than the one before."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE = 3
"""Signals that are passed on; the next one is Python's own KeyboardInterrupt, or the end."""

PRESSED = (
    "aborting: finalisers run (Ctrl-C again gives up on outstanding completions)",
    "giving up on outstanding completions (Ctrl-C again drops the finalisers)",
    "dropping the finalisers",
)
"""What is told on the first, second and third Ctrl-C."""


_undoing: list[Callable[[], None]] = []


@contextmanager
def dying(undo: Callable[[], None]) -> Iterator[None]:
    """Have `undo` called, within the block, before a signal ends the process at once.

    That is SIGQUIT, or a SIGTERM or SIGHUP after `PATIENCE` others.
    """
    former = signal.signal(signal.SIGQUIT, _die)
    _undoing.append(undo)
    try:
        yield
    finally:
        _undoing.remove(undo)
        signal.signal(signal.SIGQUIT, former)


def _die(number: int, _frame: FrameType | None) -> None:
    for undo in _undoing:
        undo()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def raise_interrupts() -> None:
    """From now on there is something to undo: Ctrl-C is a KeyboardInterrupt.

    Until then each of the signals ends the process, with exit code 3.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            ours = number is signal.SIGINT
            signal.signal(number, signal.default_int_handler if ours else signal.SIG_DFL)


@contextmanager
def interrupts(pressed: Callable[[int, str], None]) -> Iterator[None]:
    """Call `pressed` with 1, 2, 3 and the signal's name as they come, in the loop that runs now."""
    loop = asyncio.get_running_loop()
    count = 0

    def take(number: signal.Signals) -> None:
        nonlocal count
        count += 1
        if count >= PATIENCE:
            restore()
        pressed(count, "Ctrl-C" if number is signal.SIGINT else number.name)

    def restore() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            if _undoing and number is not signal.SIGINT:
                signal.signal(number, _die)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells have it
            loop.add_signal_handler(number, take, number)
    try:
        yield
    finally:
        restore()
