"""The PVs that follow from what is chained: one row each, with its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import caproto as ca
import numpy as np

from orchestrator.config import ChannelConfig, Config
from orchestrator.transports.ca.mirrors import backlog, make_mirror
from orchestrator.transports.ca.pvs import ReadOnlyDouble, ReadOnlyEnum, ReadOnlyInteger
from orchestrator.types import Alarm, Field, Metadata, NativeType, Severity, fields


@dataclass(frozen=True, slots=True)
class ChainedRow:
    """One PV that belongs to a chained IOC or channel."""

    field: Field
    key: str
    """The IOC or the channel that it is of."""
    name: str
    channel: Any
    """None: made when somebody asks for it (`DATA`: 10,000 of them take a second)."""


def chained_rows(config: Config) -> Iterator[ChainedRow]:
    """The PVs of all chained IOCs and channels that are known before anything connects."""
    for ioc in config.chain.values():
        lost = ca.ChannelAlarm(status=int(Alarm.LINK), severity=int(Severity.INVALID))
        yield _row(config, fields.CHAIN_STATUS, ioc.name, alarm=lost)
        yield _row(config, fields.CHAIN_RECONNECTS, ioc.name)
        for channel in ioc.channels.values():
            yield from _channel_rows(config, channel)
    for name in config.schedules:
        for field in (fields.SCHEDULE_NEXT, fields.SCHEDULE_LAST, fields.SCHEDULE_OUTCOME):
            yield row(config.prefix, field, name, make_mirror(field.metadata))
    for name in config.triggers:
        for field in (fields.TRIGGER_LAST, fields.TRIGGER_OUTCOME):
            yield row(config.prefix, field, name, make_mirror(field.metadata))
    for own in config.own:
        yield row(config.prefix, fields.DATA, own, None)


def data_waveform(length: int, units: str | bytes = "", precision: int | None = None) -> Any:
    """A waveform for samples that can hold `length` of them, and ten times as many next time."""
    most = fields.DATA.most
    while most < length:
        most *= 10
    return _waveform(most, units, precision)


def row(prefix: str, field: Field, key: str, channel: Any) -> ChainedRow:
    """The row of a PV that is made already, or later (None)."""
    return ChainedRow(field, key, f"{prefix}{field.pv(key)}", channel)


def _row(config: Config, field: Field, key: str, **more: Any) -> ChainedRow:
    return row(config.prefix, field, key, _made(field, **more))


def _channel_rows(config: Config, channel: ChannelConfig) -> Iterator[ChainedRow]:
    key = channel.name
    if channel.type is not None and channel.mirror and channel.monitor:
        known = Metadata(channel.type, channel.count, text=channel.text)
        yield row(config.prefix, fields.MON, key, make_mirror(known))
    if channel.buffer and channel.monitor:
        buffer = _waveform(max(channel.buffer, 2))
        yield row(config.prefix, fields.MON_BUF, key, buffer)
        for field in (fields.MON_MEAN, fields.MON_STD, fields.MON_RATE):
            yield _row(config, field, key)
    yield row(config.prefix, fields.DATA, key, None)


def _made(field: Field, **more: Any) -> Any:
    known = field.metadata
    match known.native:
        case NativeType.ENUM:
            return ReadOnlyEnum(value=field.first, enum_strings=known.labels, **more)
        case NativeType.DOUBLE:
            more |= {"precision": known.precision, "units": known.units}
            return ReadOnlyDouble(value=field.first, **more)
    return ReadOnlyInteger(value=field.first, **more)


def _waveform(most: int, units: str | bytes = "", precision: int | None = None) -> Any:
    return ReadOnlyDouble(
        value=np.zeros(0),
        max_length=most,
        units=units,
        precision=precision or 6,
        max_subscription_backlog=backlog(most),
    )
