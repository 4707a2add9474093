"""A queue between threads and the event loop: merged or bounded, and counted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

from orchestrator.queues import Merged, QueueFigures

T = TypeVar("T")


def _nobody() -> None:
    """Nobody to wake."""


class ThreadQueue(Merged[T]):
    """A queue that any thread may offer to and take from.

    `offer` never waits, and wakes the taker once a batch, not once an item: only the item that
    ends an empty queue does.

    >>> from orchestrator.ioc import ThreadQueue
    >>> queue = ThreadQueue(lambda item: item[0])
    >>> for item in [("x", 1), ("y", 5), ("x", 2)]:
    ...     queue.offer(item)
    >>> queue.take()
    [('y', 5), ('x', 2)]
    """

    def __init__(self, key: Callable[[T], Hashable | None]) -> None:
        """`key` gives what an item may be merged by; None = never merged."""
        super().__init__(key)
        self._lock = threading.Lock()
        self._taken = threading.Condition(self._lock)
        self._wake: Callable[[], None] = _nobody

    def on_first(self, wake: Callable[[], None]) -> None:
        """Call `wake` when an item comes into the empty queue; in the thread that offers it.

        Called at once if something waits already.
        """
        with self._lock:
            self._wake = wake
            waiting = bool(self._items)
        if waiting:
            self._wake()

    def offer(self, item: T) -> None:
        """Take an item at once; from any thread."""
        with self._lock:
            first = not self._items
            self._add(item)
        if first:
            self._wake()

    def offer_or_refuse(self, item: T, most: int) -> bool:
        """Take an item unless `most` wait already; whether it was taken."""
        with self._lock:
            if len(self._items) >= most:
                return False
            first = not self._items
            self._add(item)
        if first:
            self._wake()
        return True

    def wait_for_room(self, most: int, given_up: Callable[[], bool]) -> None:
        """Wait until fewer than `most` items wait, or `given_up`; see `look_again`."""
        with self._taken:
            self._taken.wait_for(lambda: len(self._items) < most or given_up())

    def look_again(self) -> None:
        """Make who waits for room look whether to give up."""
        with self._taken:
            self._taken.notify_all()

    def take(self, limit: int | None = None) -> list[T]:
        """The oldest items, oldest first; at once, so perhaps none."""
        with self._taken:
            items = self._oldest(sys.maxsize if limit is None else limit)
            self._taken.notify_all()
        return items

    @property
    def figures(self) -> QueueFigures:
        """Statistics since the start."""
        with self._lock:
            return super().figures
