"""What is published of the chained channels: mirrors, buffers, the state of the chain."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from orchestrator.config import Config
from orchestrator.device.channel_table import ChannelState, ChannelTable
from orchestrator.types import (
    Alarm,
    IocStatus,
    LinkChange,
    MirrorOpened,
    PushItem,
    Reading,
    Severity,
    Tick,
    Update,
    fields,
)

_NAMES_LENGTH = 60_000
"""Characters of CHAIN:DISCONNECTED, whose PV holds 65,535; the rest is counted."""

_NAMED_AT_ONCE = 100
"""Channels that CHAIN:DISCONNECTED names with the change; more wait for the pulse, as thousands
that go together would each have the list of all."""


class Mirrors:
    """Turns readings and link changes into updates of `MON:*` and `CHAIN:*`."""

    def __init__(self, config: Config, table: ChannelTable) -> None:
        """Only channels of the config are mirrored and counted."""
        self._table = table
        self._channels = config.remote_channels
        self._monitored = [c.name for c in self._channels.values() if c.monitor]
        self._ioc = {name: ioc.name for ioc in config.chain.values() for name in ioc.channels}
        self._sizes = dict.fromkeys(config.chain, 0)
        for name in self._monitored:
            self._sizes[self._ioc[name]] += 1
        self._up = dict.fromkeys(config.chain, 0)
        self._most_up = dict.fromkeys(config.chain, 0)
        self._reconnects = dict.fromkeys(config.chain, 0)
        self._was_lost: set[str] = set()
        self._down = dict.fromkeys(self._monitored)
        self._down_changed = True
        # A sequence server of the older kind has none: its IOC is whole without.
        self._absent = {
            name: ioc.server.index for name, ioc in config.chain.items() if ioc.server is not None
        }
        self._shown_as = dict.fromkeys(config.own, fields.OWN)
        self._buffered = [c.name for c in self._channels.values() if c.buffer]
        self._buffers_changed: dict[str, int] = {}

    def first_updates(self) -> Iterator[PushItem]:
        """The chain before anything has connected."""
        yield Update(fields.CHAIN_COUNT, len(self._monitored))
        yield Update(fields.CHAIN_CONNECTED, 0)
        for ioc in self._sizes:
            yield self._ioc_status(ioc)

    # For those who tell of the chain ------------------------------------------------------------

    @property
    def iocs(self) -> tuple[str, ...]:
        """The chained IOCs that have a monitored channel."""
        return tuple(ioc for ioc, size in self._sizes.items() if size)

    def size(self, ioc: str) -> int:
        """Monitored channels of an IOC."""
        return self._sizes[ioc]

    def up(self, ioc: str) -> int:
        """Those of them that are connected."""
        return self._up[ioc]

    def down(self, ioc: str) -> list[str]:
        """The names of those that are not."""
        return [name for name in self._down if self._ioc[name] == ioc]

    def reconnects(self, ioc: str) -> int:
        """Times that it came back."""
        return self._reconnects[ioc]

    # Readings -----------------------------------------------------------------------------------

    def take_reading(self, reading: Reading) -> list[PushItem]:
        """Pass it on to its mirror, and into its buffer."""
        state = self._table.take_reading(reading)
        if state.buffer is not None and isinstance(reading.value, float | int):
            state.buffer.append(reading.value)
            self._buffers_changed[reading.channel] = (
                self._buffers_changed.get(reading.channel, 0) + 1
            )
        field = self._shown_as.get(reading.channel)
        if field is None:
            return []
        return [
            Update(
                field,
                reading.value,
                reading.channel,
                reading.severity,
                reading.status,
                reading.timestamp,
                reading.nanoseconds,
            )
        ]

    # Links --------------------------------------------------------------------------------------

    def take_link(self, change: LinkChange) -> list[PushItem]:
        """Open the mirror, or show it as lost; keep the chain's figures."""
        was_connected = self._table.channel(change.channel).connected
        state = self._table.take_link(change)
        config = self._channels.get(change.channel)
        if config is None:
            return []
        decisions: list[PushItem] = []
        if config.mirror and config.monitor:
            decisions += self._mirror(change, state)
        if config.monitor and was_connected != change.connected:
            decisions += self._chain(self._ioc[change.channel], change)
        return decisions

    def _mirror(self, change: LinkChange, state: ChannelState) -> Iterator[PushItem]:
        if change.connected and change.metadata is not None:
            self._shown_as[change.channel] = fields.MON
            yield MirrorOpened(change.channel, change.metadata)
        elif not change.connected and state.reading is not None:
            lost = Severity.INVALID, Alarm.LINK
            yield Update(fields.MON, state.reading.value, change.channel, *lost)

    def _chain(self, ioc: str, change: LinkChange) -> Iterator[PushItem]:
        self._down_changed = True
        if change.connected:
            self._down.pop(change.channel, None)
            if self._absent.get(ioc) == change.channel:
                del self._absent[ioc]
            self._up[ioc] += 1
            self._most_up[ioc] = max(self._most_up[ioc], self._up[ioc])
        else:
            self._down[change.channel] = None
            self._up[ioc] -= 1
            if self._up[ioc] == 0:
                self._was_lost.add(ioc)
        yield Update(fields.CHAIN_CONNECTED, sum(self._up.values()))
        yield self._ioc_status(ioc)
        # Not all that are configured: one that never was there would hide every return.
        if self._up[ioc] == self._most_up[ioc] and ioc in self._was_lost:
            self._was_lost.remove(ioc)
            self._reconnects[ioc] += 1
            yield Update(fields.CHAIN_RECONNECTS, self._reconnects[ioc], ioc)
        if len(self._down) <= _NAMED_AT_ONCE:
            yield self._disconnected()

    def _ioc_status(self, ioc: str) -> Update:
        up, size = self._up[ioc], self._sizes[ioc]
        if up == size or self._is_whole_without(ioc):
            return Update(fields.CHAIN_STATUS, IocStatus.CONNECTED.value, ioc)
        if up == 0:
            status, severity = IocStatus.DISCONNECTED, Severity.INVALID
        else:
            status, severity = IocStatus.PARTIAL, Severity.MINOR
        return Update(fields.CHAIN_STATUS, status.value, ioc, severity, Alarm.LINK)

    def _is_whole_without(self, ioc: str) -> bool:
        """Whether all of it is connected but what has never been."""
        return 0 < self._up[ioc] == self._sizes[ioc] - 1 and self._absent.get(ioc) in self._down

    # Ticks --------------------------------------------------------------------------------------

    def take_tick(self, tick: Tick) -> Iterator[PushItem]:
        """What is published at the pulse: heartbeat, figures, names, changed buffers.

        Each buffer's statistics are computed when they are asked for.
        """
        yield Update(fields.HEARTBEAT, tick.beat)
        yield Update(fields.LOOP_LAG, tick.lag)
        for name, value in tick.figures.items():
            yield Update(name, value)
        if self._down_changed:
            yield self._disconnected()
        yield from self._buffers(tick.period)

    def _disconnected(self) -> Update:
        self._down_changed = False
        absent = {name for ioc, name in self._absent.items() if self._is_whole_without(ioc)}
        down = [name for name in self._down if name not in absent]
        severity = Severity.INVALID if down else Severity.NO_ALARM
        status = Alarm.LINK if down else Alarm.NO_ALARM
        return Update(fields.CHAIN_DISCONNECTED, _names(down), "", severity, status)

    def _buffers(self, period: float) -> Iterator[PushItem]:
        for name in self._buffered:
            count = self._buffers_changed.pop(name, 0)
            yield Update(fields.MON_RATE, count / period, name)
            buffer = self._table.channel(name).buffer
            if count and buffer is not None:
                window = buffer.window().copy()
                yield Update(fields.MON_BUF, window, name)
                with np.errstate(all="ignore"):  # an IOC may have infinities
                    mean, deviation = float(np.mean(window)), float(np.std(window))
                yield Update(fields.MON_MEAN, mean, name)
                yield Update(fields.MON_STD, deviation, name)


def _names(names: Collection[str]) -> str:
    """The names, as many as fit, and how many more there are."""
    text = ", ".join(names)
    if len(text) <= _NAMES_LENGTH:
        return text
    text = text[:_NAMES_LENGTH].rpartition(", ")[0]
    return f"{text} and {len(names) - text.count(', ') - 1} more"
