"""Posting from inside at a tenth of the price of caproto's `write`, where nothing is unusual."""

from __future__ import annotations

import math
from typing import Any

import caproto as ca

_EPOCH = 631_152_000
"""1990-01-01 in Unix seconds: where EPICS stamps begin (epicsTime.h, POSIX_TIME_AT_EPICS_EPOCH)."""


async def publish(
    channel: Any,
    value: Any,
    timestamp: float,
    severity: int,
    status: int,
    *,
    nanoseconds: int | None = None,
) -> None:
    """Post a value with its alarm and time past every putter, as `channel.write` would.

    caproto's own (`ChannelData.write`) collects cached alarms, goes through all metadata by name,
    and converts the stamp by way of datetime, which cuts it to microseconds; all that on each
    write, also where nobody subscribes. What it does beyond that is left to it: values held for
    a `sync` filter, records with fields, alarms that are not plain.

    >>> import asyncio
    >>> from orchestrator.ioc import Alarm, ReadOnly, Severity, TextChannel, publish
    >>> class Shown(ReadOnly, TextChannel):
    ...     pass
    >>> shown = Shown(value="idle")
    >>> asyncio.run(publish(shown, "running", 1.7e9, Severity.MINOR, Alarm.STATE))
    >>> shown.value, shown.severity.name
    ('running', 'MINOR_ALARM')
    """
    stamp = epics_stamp(timestamp, nanoseconds)
    if _is_unusual(channel):
        facts = {"timestamp": stamp, "severity": severity, "status": status}
        await channel.write(value, verify_value=False, **facts)
        return
    data, alarm = channel._data, channel.alarm  # noqa: SLF001 - caproto has no cheaper door
    former = data["value"]
    data["value"] = channel.preprocess_value(value)
    data["timestamp"] = stamp
    alarmed = alarm.status != status or alarm.severity != severity
    if alarmed:
        await alarm.write(status=status, severity=severity, publish=False)
    channel._content.clear()  # noqa: SLF001 - what new subscribers would be given
    flags = _ALARM if alarmed else _VALUE
    if channel._queues:  # noqa: SLF001 - somebody subscribes, or has once
        if alarmed and not _is_same(former, data["value"]):
            flags |= _VALUE
        await channel.publish(flags)
    if len(alarm._channels) > 1:  # noqa: SLF001 - an alarm shared by several PVs
        await alarm.publish(flags, except_for=(channel,))


_VALUE = ca.SubscriptionType.DBE_LOG | ca.SubscriptionType.DBE_VALUE
_ALARM = ca.SubscriptionType.DBE_ALARM


def _is_same(former: Any, value: Any) -> bool:
    """Whether a value stayed as it was: with an alarm that changes, only that is told then."""
    if type(former) is not type(value) or not isinstance(value, int | float | str):
        return False  # an array: as a waveform record posts its own (MPST)
    return bool(former == value)


def epics_stamp(timestamp: float, nanoseconds: int | None = None) -> Any:
    """Unix seconds as EPICS keeps them.

    Args:
        timestamp: today, a float holds it to 240 ns.
        nanoseconds: its part below a second, where it is known exactly: facilities count pulses
            in the last bits.
    """
    if nanoseconds is not None:
        # Not the float's whole seconds: it may have been rounded up to the next one.
        whole = round(timestamp - nanoseconds / 1e9)
        return ca.TimeStamp(secondsSinceEpoch=whole - _EPOCH, nanoSeconds=nanoseconds)
    whole = math.floor(timestamp)
    nanoseconds = min(round((timestamp - whole) * 1e9), 999_999_999)
    return ca.TimeStamp(secondsSinceEpoch=whole - _EPOCH, nanoSeconds=nanoseconds)


def _is_unusual(channel: Any) -> bool:
    """Whether a write may do more than keep value, stamp and alarm, and post them."""
    return (
        type(channel.alarm) is not ca.ChannelAlarm
        or channel._fill_at_next_write  # noqa: SLF001 - caproto tells only by its own names
        or channel._status is not None  # noqa: SLF001
        or channel._severity is not None  # noqa: SLF001
        or getattr(channel, "field_inst", None) is not None
    )
