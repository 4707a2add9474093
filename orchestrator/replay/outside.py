"""What the device and the engine are given of the outside: as it is, or through a recording."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orchestrator.config import Config, names_of
from orchestrator.engine import Library, Rooms
from orchestrator.engine.sequences.registry import Registry
from orchestrator.ports import Channels, Offer, Store
from orchestrator.queues import MergeQueue
from orchestrator.replay.record import Recording
from orchestrator.types import PullItem, PushItem, RunEvent

T = TypeVar("T")


class Outside(Protocol):
    """All that crosses the ports of the device and the engine passes here.

    Nobody who builds or runs them needs to know whether it is written down on its way.
    """

    @property
    def path(self) -> Path | None:
        """The recording that is written; None = none."""

    @property
    def channels(self) -> Channels:
        """What the engine puts to and reads from."""

    @property
    def store(self) -> Store:
        """Where the engine keeps the data of runs."""

    @property
    def library(self) -> Library:
        """Where the engine finds sequences and functions."""

    @property
    def rooms(self) -> Rooms:
        """Where user code runs."""

    @property
    def pull(self) -> MergeQueue[PullItem]:
        """What the device examines."""

    def wall(self) -> datetime:
        """The local time."""

    def watched(self, push: Offer[PushItem]) -> Offer[PushItem]:
        """The near end of the queue that the device publishes by."""

    def event(self, item: RunEvent) -> None:
        """The engine tells something: the device is to examine it."""

    async def host(self, name: str, work: Coroutine[Any, Any, T], why: str = "") -> T:
        """Run a part of the device or the engine to its end; `why` is written down as well."""

    async def feed(self, pull: MergeQueue[PullItem]) -> None:
        """Hand over what reaches the service, where that is not the queue that is examined."""

    async def close(self) -> None:
        """Called last."""


class Unrecorded:
    """Implements `Outside`: nothing stands between."""

    path = None

    def __init__(
        self,
        pull: MergeQueue[PullItem],
        config: Config,
        registry: Registry,
        channels: Channels,
        store: Store,
    ) -> None:
        """Made on the running loop, which is that of the device and the engine."""
        self.pull = pull
        self.channels = channels
        self.store = store
        self.library = Library(config.sequences, names_of(config), registry)
        self.rooms = Rooms(threads=True)

    def wall(self) -> datetime:
        """See `Outside.wall`."""
        return datetime.now().astimezone()

    def watched(self, push: Offer[PushItem]) -> Offer[PushItem]:
        """See `Outside.watched`."""
        return push

    def event(self, item: RunEvent) -> None:
        """See `Outside.event`."""
        self.pull.offer(item)

    async def host(self, name: str, work: Coroutine[Any, Any, T], why: str = "") -> T:
        """See `Outside.host`."""
        del name, why
        return await work

    async def feed(self, pull: MergeQueue[PullItem]) -> None:
        """See `Outside.feed`."""
        del pull

    async def close(self) -> None:
        """See `Outside.close`."""


def outside(
    record: Path | None,
    pull: MergeQueue[PullItem],
    config: Config,
    registry: Registry,
    channels: Channels,
    store: Store,
) -> Outside:
    """What a service gives to its device and engine; all of it is written to `record`, if given.

    Raises:
        RecordingError: The file can't be made.
    """
    if record is None:
        return Unrecorded(pull, config, registry, channels, store)
    return Recording(record, config, registry, channels, store)
