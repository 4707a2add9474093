"""The view of the world: every channel as the device has examined it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.buffers import CircularBuffer
from orchestrator.ports import ChannelView
from orchestrator.types import LinkChange, Metadata, Reading

Watcher = Callable[[ChannelView], None]


class ChannelState:
    """One channel. Written by the device only."""

    __slots__ = (
        *("buffer", "connected", "every", "links", "metadata", "name", "reading", "watchers"),
    )

    def __init__(self, name: str, buffer: int = 0) -> None:
        """`buffer`: points of the circular buffer, 0 = none."""
        self.name = name
        self.connected = False
        self.metadata: Metadata | None = None
        self.reading: Reading | None = None
        self.links = 0
        self.buffer = CircularBuffer(buffer) if buffer else None
        self.watchers: tuple[Watcher, ...] = ()
        self.every = 0
        """How many of these have to see every update."""


class ChannelTable:
    """Implements `ports.View`; `take_reading` and `take_link` are the device's alone."""

    def __init__(self, keep_all: Iterable[str] = ()) -> None:
        """`keep_all`: channels of which each update is examined in any case."""
        self._channels: dict[str, ChannelState] = {}
        self._always = frozenset(keep_all)
        self.kept = set(self._always)
        """Channels of which each update has to be examined now; changes as they are watched."""

    def channel(self, name: str) -> ChannelState:
        """The channel of this name; made, disconnected, when first asked for."""
        state = self._channels.get(name)
        if state is None:
            state = self._channels[name] = ChannelState(name)
        return state

    def known(self, name: str) -> ChannelState | None:
        """The channel of this name, if anybody has asked for it, and it is not forgotten."""
        return self._channels.get(name)

    def add(self, name: str, buffer: int) -> None:
        """Declare a channel with a circular buffer of `buffer` points."""
        self._channels[name] = ChannelState(name, buffer)

    def watch(
        self, names: Iterable[str], changed: Watcher, *, every: bool = False
    ) -> Callable[[], None]:
        """See `ports.View.watch`."""
        states = [self.channel(name) for name in dict.fromkeys(names)]
        for state in states:
            state.watchers = (*state.watchers, changed)
            state.every += every
            if every:
                self.kept.add(state.name)

        def unwatch() -> None:
            for state in states:
                if changed in state.watchers:
                    state.watchers = tuple(w for w in state.watchers if w is not changed)
                    state.every -= every
                    if not state.every and state.name not in self._always:
                        self.kept.discard(state.name)

        return unwatch

    def take_reading(self, reading: Reading) -> ChannelState:
        """Make a reading the channel's last one."""
        state = self.channel(reading.channel)
        state.reading = reading
        return state

    def take_link(self, change: LinkChange) -> ChannelState:
        """Note a connection, a loss, or new metadata."""
        state = self.channel(change.channel)
        if change.connected and not state.connected:
            state.links += 1
            state.reading = None  # of the connection before; it would count until a value comes
        state.connected = change.connected
        if change.metadata is not None:
            state.metadata = change.metadata
        if change.forgotten and not state.watchers and state.buffer is None:
            del self._channels[change.channel]
        return state
