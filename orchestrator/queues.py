"""The pull, push and request queues: hand-over at once, batches out, merge rules, statistics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Hashable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from orchestrator.types import (
    Progressed,
    PullItem,
    Reading,
    RowTaken,
    StepStarted,
    Update,
    fields,
)

T = TypeVar("T")

EDGE_FIELDS = frozenset(field for field in fields.ALL if field.edge)
"""Fields of which clients wait for the edges: never merged."""

_LATEST = (StepStarted, RowTaken, Progressed)
"""Events of which the newest of a run tells all that those before it did."""

_CHANNELS = (fields.MON, fields.OWN)

_MOST_KEPT = 100_000
"""Items in the push queue from which on nothing is kept that can be merged."""


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """What a queue has seen since it was made."""

    waiting: int
    """Items waiting now."""
    most: int
    """The most that ever waited at once."""
    merged: int
    """Items replaced by a newer one before anybody took them."""
    total: int
    """Items offered."""
    merged_mirrors: int = 0
    """Of those merged, the values of mirrors: the others are our own figures and texts."""


class Merged(Generic[T]):
    """Items in their order, of which a newer one may replace an older one of the same key.

    The newer one stands at the back, so that it never overtakes what came in between (a newer
    Reading never overtakes its own disconnection).
    """

    def __init__(self, key: Callable[[T], Hashable | None]) -> None:
        """`key` gives what an item may be merged by; None = never merged."""
        self._key = key
        self._items: dict[Hashable, T] = {}
        self._merged = 0
        self._total = 0
        self._most = 0
        self._merged_mirrors = 0

    def __len__(self) -> int:
        return len(self._items)

    def _add(self, item: T) -> None:
        key = self._key(item)
        self._total += 1
        if key is None:
            key = self._total  # an int is nobody's merge key
        elif key in self._items:
            del self._items[key]
            self._merged += 1
            if isinstance(item, Update) and item.field == fields.MON:
                self._merged_mirrors += 1
        self._items[key] = item
        if len(self._items) > self._most:
            self._most = len(self._items)

    def _oldest(self, limit: int) -> list[T]:
        """At most so many, oldest first, which wait no longer."""
        if len(self._items) <= limit:
            items = list(self._items.values())
            self._items.clear()
            return items
        return [self._items.pop(key) for key in list(islice(self._items, limit))]

    @property
    def figures(self) -> QueueFigures:
        """Statistics since the start."""
        merged, mirrors = self._merged, self._merged_mirrors
        return QueueFigures(len(self._items), self._most, merged, self._total, mirrors)


class MergeQueue(Merged[T]):
    """An unbounded queue inside the event loop; `ioc.ThreadQueue` is the one for threads."""

    def __init__(self, key: Callable[[T], Hashable | None]) -> None:
        """See `Merged`."""
        super().__init__(key)
        self._waiter: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()

    def offer(self, item: T) -> None:
        """Take an item at once; never raises, never waits."""
        self._add(item)
        if self._waiter is not None and not self._waiter.done():
            self._idle.clear()
            self._waiter.set_result(None)

    async def batch(self, limit: int = 1000) -> list[T]:
        """The oldest items, at least one and at most `limit`, oldest first.

        Suspends at every call, even when items wait, so that a loop over it starves nobody.
        """
        if self._items:
            await asyncio.sleep(0)
        while not self._items:
            self._idle.set()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._oldest(limit)

    def drop(self, count: int) -> int:
        """Throw away so many of the oldest items, or all there are; how many these were."""
        return len(self._oldest(count))

    async def idle(self) -> None:
        """Return when all that was offered has been taken, and whoever took it wants more."""
        while self._items or not self._idle.is_set():
            self._idle.clear()
            await self._idle.wait()


def pull_queue(keep_all: Container[str] = frozenset()) -> MergeQueue[PullItem]:
    """The queue in front of the device. Readings merge by channel, but for those in `keep_all`.

    Which these are may change at any time.
    """

    def key(item: PullItem) -> Hashable | None:
        if isinstance(item, Reading) and item.channel not in keep_all:
            return item.channel
        return None

    return MergeQueue(key)


def push_queue(keep_all: frozenset[str] = frozenset()) -> MergeQueue[Any]:
    """The queue in front of one listener, who may be the server.

    Updates merge by field, key and lane, but not those of `EDGE_FIELDS`. Of a run's steps, rows and
    figures the newest is kept; all other events, and the answers, are.

    Values of the mirrors of channels in `keep_all` are kept, up to a bound: a channel that is
    faster than its mirror can be served would fill the memory. Beyond they merge, and count.
    """

    def key(item: object) -> Hashable | None:
        if not isinstance(item, Update):
            return (type(item), item.run_id) if isinstance(item, _LATEST) else None
        if item.field in EDGE_FIELDS:
            return None
        if item.field in _CHANNELS and item.key in keep_all and len(queue) < _MOST_KEPT:
            return None
        return (item.field, item.key, item.lane)

    queue: MergeQueue[Any] = MergeQueue(key)
    return queue


def request_queue() -> MergeQueue[T]:
    """The queue in front of the engine: nothing is ever merged."""
    return MergeQueue(lambda _item: None)
