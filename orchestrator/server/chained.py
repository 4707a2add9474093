"""The PVs that follow from what is chained: one row each, with its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import caproto as ca
import numpy as np

from orchestrator.config import ChannelConfig, Config
from orchestrator.server.mirrors import backlog, make_mirror
from orchestrator.server.pvs import ReadOnlyDouble, ReadOnlyEnum, ReadOnlyInteger
from orchestrator.types import Alarm, Metadata, Severity

CHAIN_STATES = ("Disconnected", "Partial", "Connected")

_FIRST_POINTS = 100_000
"""What DATA:* can hold at first; it grows tenfold when it is full."""

MIRROR_DOC = (
    "Mirror of the channel: its value, time, alarm, labels, units, precision and limits; "
    "LINK/INVALID when it is lost. Appears when the channel first connects."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One PV that belongs to a chained IOC or channel."""

    field: str
    """An `Update`'s field."""
    key: str
    """An `Update`'s key: the IOC or the channel."""
    name: str
    channel: Any
    """None: made when somebody asks for it (`data`: 10,000 of them take a second)."""
    doc: str


def chained_rows(config: Config) -> Iterator[Row]:
    """The PVs of all chained IOCs and channels that are known before anything connects."""
    for ioc in config.chain.values():
        base = f"{config.prefix}CHAIN:{ioc.name}"
        status = ReadOnlyEnum(
            value=CHAIN_STATES[0],
            enum_strings=CHAIN_STATES,
            alarm=ca.ChannelAlarm(status=int(Alarm.LINK), severity=int(Severity.INVALID)),
        )
        doc = "How many of its channels are connected: none (INVALID), some (MINOR), all."
        yield Row("chain_status", ioc.name, f"{base}:STATUS", status, doc)
        doc = "Times that it came back."
        yield Row("chain_reconnects", ioc.name, f"{base}:RECONNECTS", ReadOnlyInteger(value=0), doc)
        for channel in ioc.channels.values():
            yield from _channel_rows(config.prefix, channel)


def mirror_name(prefix: str, alias: str) -> str:
    """The name of a channel's mirror."""
    return _name(prefix, "MON", alias)


def data_waveform(length: int, units: str | bytes = "", precision: int | None = None) -> Any:
    """A waveform for samples that can hold `length` of them, and ten times as many next time."""
    most = _FIRST_POINTS
    while most < length:
        most *= 10
    return _waveform(most, units, precision)


def _name(prefix: str, kind: str, alias: str) -> str:
    # A dot would begin a field.
    return f"{prefix}{kind}:{alias.replace('.', ':')}"


def _channel_rows(prefix: str, channel: ChannelConfig) -> Iterator[Row]:
    key = channel.name
    mirrored = mirror_name(prefix, key)
    if channel.type is not None and channel.mirror and channel.monitor:
        known = Metadata(channel.type, channel.count, text=channel.text)
        yield Row("mon", key, mirrored, make_mirror(known), MIRROR_DOC)
    if channel.buffer and channel.monitor:
        buffer = _waveform(max(channel.buffer, 2))
        yield Row("mon_buf", key, f"{mirrored}:BUF", buffer, "Its last values, oldest first.")
        mean = ReadOnlyDouble(value=np.nan, precision=6)
        yield Row("mon_mean", key, f"{mirrored}:MEAN", mean, "Mean of its last values.")
        std = ReadOnlyDouble(value=np.nan, precision=6)
        yield Row("mon_std", key, f"{mirrored}:STD", std, "Standard deviation of them.")
        rate = ReadOnlyDouble(value=0.0, precision=1, units="1/s")
        yield Row("mon_rate", key, f"{mirrored}:RATE", rate, "Updates a second.")
    doc = "Its samples in the current or last run; grows point by point."
    yield Row("data", key, _name(prefix, "DATA", key), None, doc)


def _waveform(most: int, units: str | bytes = "", precision: int | None = None) -> Any:
    return ReadOnlyDouble(
        value=np.zeros(0),
        max_length=most,
        units=units,
        precision=precision or 6,
        max_subscription_backlog=backlog(most),
    )
