"""What one listener has subscribed to, kept for it until it takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from orchestrator.queues import MergeQueue, QueueFigures, push_queue
from orchestrator.types import MirrorOpened, Published, Reply, Update

Item: TypeAlias = Published | Reply
"""What a listener is told: values, events of runs, and the answers to what it has asked."""

MOST_WAITING = 10_000
"""Items kept for a listener that does not say how many."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a listener wants to be told of.

    >>> from orchestrator import Filter
    >>> Filter(channels=True, events=False)
    Filter(fields=True, channels=True, events=False, lane=None, named=None)
    """

    fields: bool = True
    """Values of the service's own fields (`Update` without a key)."""
    channels: bool = False
    """Mirrors of channels and what is computed of them (`Update` with a key, `MirrorOpened`)."""
    events: bool = True
    """What happens to runs (`RunEvent`)."""
    lane: str | None = None
    """Of which lane, where each has its own; empty = the main one, None = of all."""
    named: frozenset[str] | None = None
    """Of the fields, those; None = all."""

    def wants(self, item: Published) -> bool:
        """Whether an item is among it."""
        match item:
            case Update():
                return (self.channels if item.key else self.fields) and self._wants(item)
            case MirrorOpened():
                return self.channels
            case _:
                return self.events and self.lane in (None, item.lane)

    def _wants(self, item: Update) -> bool:
        if self.named is not None and item.field not in self.named:
            return False
        return self.lane in (None, item.lane) or not (item.lane or item.field.of_lane)


EVENTS = Filter(fields=False)
"""What happens to runs, and nothing else."""


class Subscription:
    """One listener's queue; made by `Api.subscribe`.

    It delays nobody: where the listener does not take its items, newer ones replace older ones as
    far as they can be merged (`queues.push_queue`), and beyond `most` the oldest are dropped and
    counted. Reading it ends when it, or the service, is closed and all has been taken.

    >>> import asyncio
    >>> from orchestrator import EVENTS, Config, ServerConfig, open_service
    >>> config = Config(server=ServerConfig(port=0, interfaces=("127.0.0.1",)))
    >>> async def main() -> None:
    ...     async with open_service(config) as service:
    ...         with service.api.subscribe(EVENTS) as events:
    ...             await service.run(text="steps: [log: Hello]")
    ...         kinds = [type(event).__name__ async for event in events]
    ...         print(kinds[0], "…", kinds[-1])
    >>> asyncio.run(main())
    RunStarted … RunEnded
    """

    def __init__(
        self,
        wanted: Filter,
        keep_all: frozenset[str],
        most: int | None,
        ended: Callable[[Subscription], None],
    ) -> None:
        """Called by `Api.subscribe`; `ended` is told when it is closed."""
        self.wanted = wanted
        self.lost = 0
        """Items dropped because it was not read."""
        self._queue: MergeQueue[Item | None] = push_queue(keep_all)
        self._most = most
        self._ended = ended
        self._closed = False

    def offer(self, item: Item) -> None:
        """Keep an item; called by `Api`. At once."""
        self._queue.offer(item)
        if self._most is not None and len(self._queue) > self._most:
            # A tenth at once: dict finds its first item slowly where many before it are gone.
            self.lost += self._queue.drop(1 + self._most // 10)

    @property
    def figures(self) -> QueueFigures:
        """How many items wait, and what became of the others."""
        return self._queue.figures

    async def batch(self, limit: int = 1000) -> list[Item]:
        """The oldest items, at most so many; waits for one. Empty once it is closed."""
        items = await self._queue.batch(limit)
        if items[-1] is None:  # of `close`, behind all others
            self._queue.offer(None)
        return [item for item in items if item is not None]

    async def __aiter__(self) -> AsyncIterator[Item]:
        """The items, oldest first, until it is closed."""
        while items := await self.batch():
            for item in items:
                yield item

    async def idle(self) -> None:
        """Return when all has been taken, and its listener waits for more."""
        if not self._closed:
            await self._queue.idle()

    def close(self) -> None:
        """End it: nothing more comes, what waits can still be taken."""
        if not self._closed:
            self._closed = True
            self._ended(self)
            self._queue.offer(None)

    def __enter__(self) -> Self:
        """For the time of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
