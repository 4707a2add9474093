"""Writing an update's value into a channel, if the channel can take it."""

from __future__ import annotations

import time
from typing import Any

import caproto as ca
import numpy as np

from orchestrator.ioc import TextChannel, publish
from orchestrator.types import Alarm, Severity, Update

_WHOLE = (ca.ChannelType.LONG, ca.ChannelType.INT, ca.ChannelType.CHAR)


async def write(channel: Any, update: Update) -> None:
    """Post a value with its alarm and time, past every putter.

    Raises:
        ValueError: The channel can't take this value; nothing was posted.
    """
    stamp = time.time() if update.timestamp is None else update.timestamp
    value = fitting(channel, update.value)
    alarm = int(update.severity), int(update.status)
    await publish(channel, value, stamp, *alarm, nanoseconds=update.nanoseconds)


async def mark_invalid(channel: Any) -> None:
    """Post the former value as INVALID, since a newer one can't be shown."""
    await channel.write(
        channel.value,
        verify_value=False,
        severity=int(Severity.INVALID),
        status=int(Alarm.READ),
    )


def fitting(channel: Any, value: Any) -> Any:
    """The value in the channel's own terms.

    caproto keeps anything, and fails only when a client reads it.

    Raises:
        ValueError: It has another type, or is too long.
    """
    match channel:
        case TextChannel():
            return _checked(value, isinstance(value, str))
        case ca.ChannelString():
            return _strings(channel, value)
        case ca.ChannelEnum():
            known = bool(value in channel.enum_strings) or (
                isinstance(value, int | np.integer) and 0 <= value < len(channel.enum_strings)
            )
            return _checked(value, bool(known))
        case _:
            return _numbers(channel, value)


def _strings(channel: Any, value: Any) -> Any:
    if channel.max_length == 1:
        return _checked(value, isinstance(value, str))
    many = (value,) if isinstance(value, str) else value
    return list(_checked(many, isinstance(many, tuple | list) and len(many) <= channel.max_length))


def _numbers(channel: Any, value: Any) -> Any:
    if channel.max_length == 1 and type(value) in (float, int):  # nearly always, and 5 µs less
        return int(value) if channel.data_type in _WHOLE else float(value)
    array = np.asarray(value)
    _checked(value, array.dtype.kind in "biuf" and array.ndim <= 1)
    if channel.max_length == 1:
        _checked(value, array.size == 1)
        number = array.reshape(())[()]
        return int(number) if channel.data_type in _WHOLE else float(number)
    _checked(value, array.size <= channel.max_length)
    if channel.data_type == ca.ChannelType.CHAR:
        # caproto can't read an empty array of CHAR: whoever reads or posts would fail.
        return np.atleast_1d(array).astype(np.uint8) if array.size else b""
    return np.atleast_1d(array)


def _checked(value: Any, fits: bool) -> Any:
    if not fits:
        shown = " ".join(repr(value).split())
        raise ValueError(f"a value that does not fit: {shown:.80}")
    return value
