"""Channels made after a remote one: same type, labels, units and limits, read-only."""

from __future__ import annotations

from typing import Any

import caproto as ca
import numpy as np

from orchestrator.ioc import ReadOnly, TextChannel
from orchestrator.ioc.pvs.choice import ChoiceChannel
from orchestrator.ioc.pvs.decimal import PreciseText
from orchestrator.ioc.pvs.text import encode
from orchestrator.transports.ca.pvs import ReadOnlyDouble, ReadOnlyInteger
from orchestrator.types import Alarm, Metadata, NativeType, Severity

_BACKLOG_BYTES = 4_000_000
"""What updates of one waveform may wait for one slow client."""

_MOST_BACKLOG = 50
_MOST_KEPT = 10_000
"""The same of a channel with `keep_all`."""

_UNITS_BYTES = 8
"""MAX_UNITS_SIZE of db_access.h; that many need no NUL."""

_STRING_BYTES = 39
"""MAX_STRING_SIZE of epicsTypes.h is 40, with a NUL."""

_NO_RECORD = "caproto"
"""What caproto calls the record type of a PV that is of none."""


class _Short(ReadOnly, ca.ChannelShort):  # type: ignore[misc] # caproto is untyped
    pass


class _Float(ReadOnly, PreciseText, ca.ChannelFloat):  # type: ignore[misc]
    pass


class _Choice(ReadOnly, ChoiceChannel):
    pass


class _Byte(ReadOnly, ca.ChannelByte):  # type: ignore[misc]
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip_null_terminator=False, **kwargs)  # zeros are data here


class _String(ReadOnly, ca.ChannelString):  # type: ignore[misc]
    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        text = self._data["value"]
        self._data["value"] = self._bytes_of(text)
        try:
            return await super()._read(data_type)  # type: ignore[no-any-return] # untyped
        except ValueError:
            # A client wants the number in a text that is none; caproto would fail whoever posts.
            self._data["value"] = "0" if self.max_length == 1 else ["0"] * len(text)
            return await super()._read(data_type)  # type: ignore[no-any-return]
        finally:
            self._data["value"] = text

    def _bytes_of(self, text: Any) -> Any:
        if self.max_length == 1:
            return encode(text, _STRING_BYTES)
        return [encode(each, _STRING_BYTES) for each in text]


class _Text(ReadOnly, TextChannel):
    spare = 0  # as long as the channel's own may be


def shape(metadata: Metadata) -> tuple[NativeType, int, bool]:
    """What can't change without the clients' connecting anew."""
    is_text = metadata.text and metadata.native is NativeType.CHAR
    return metadata.native, max(metadata.count, 1), is_text


def make_mirror(metadata: Metadata, *, keep_all: bool = False) -> Any:
    """A channel like the one that `metadata` describes; UDF/INVALID until it is written.

    With `keep_all` more of its updates wait for a client that is slow.
    """
    native, count, is_text = shape(metadata)
    alarm = ca.ChannelAlarm(status=int(Alarm.UDF), severity=int(Severity.INVALID))
    record = metadata.record or _NO_RECORD
    common = {
        "alarm": alarm,
        "reported_record_type": record,
        "max_length": count,
        "max_subscription_backlog": backlog(count, keep_all=keep_all),
    }
    if is_text:
        return _as_undefined(_Text(value="", **common))
    match native:
        case NativeType.STRING:
            return _String(value="" if count == 1 else [""], **common)
        case NativeType.ENUM if count == 1:
            return _Choice(value=0, labels=_labels(metadata), **common)
        case NativeType.CHAR:
            return _Byte(value=b"\0", **common, **_numeric(metadata))
        case NativeType.SHORT | NativeType.ENUM:  # caproto has no arrays of enums
            kind = _Short
        case NativeType.LONG:
            kind = ReadOnlyInteger
        case NativeType.FLOAT:
            return _Float(value=_zero(count), **common, **_precise(metadata))
        case NativeType.DOUBLE:
            return ReadOnlyDouble(value=_zero(count), **common, **_precise(metadata))
    return kind(value=_zero(count), **common, **_numeric(metadata))


async def take_metadata(mirror: Any, metadata: Metadata) -> None:
    """Give a mirror of the same shape new labels, units, precision and limits.

    Who subscribes to them (DBE_PROPERTY) is told, if they have changed.
    """
    mirror.reported_record_type = metadata.record or _NO_RECORD
    if isinstance(mirror, ChoiceChannel):
        await mirror.relabel(_labels(metadata))
    elif isinstance(mirror, ca.ChannelNumeric):
        await describe(mirror, **_precise(metadata))


async def describe(channel: Any, units: bytes, **more: Any) -> None:
    """Give a channel new units, and more of its metadata; tells of what has changed."""
    former = _properties(channel)
    # caproto takes out what stands alone in a sequence: of b"V" that would be the number 86.
    await channel.write_metadata(publish=False, units=[units], **more)
    if _properties(channel) != former:
        await channel.publish(ca.SubscriptionType.DBE_PROPERTY)


def _properties(channel: Any) -> dict[str, Any]:
    data = channel._data  # noqa: SLF001 - caproto has no other door to all of them
    return {name: data[name] for name in data if name not in ("value", "timestamp")}


def backlog(count: int, bytes_each: int = 8, *, keep_all: bool = False) -> int:
    """Updates of a waveform of `count` elements that may wait for a slow client."""
    most = _MOST_KEPT if keep_all else _MOST_BACKLOG
    return max(2, min(most, _BACKLOG_BYTES // (count * bytes_each)))


def units_of(metadata: Metadata) -> bytes:
    """The units as a channel is to send them: caproto would encode text as latin-1."""
    return encode(metadata.units, _UNITS_BYTES)


def _as_undefined(text: TextChannel) -> TextChannel:
    text.alarm = ca.ChannelAlarm(status=int(Alarm.UDF), severity=int(Severity.INVALID))
    return text


def _labels(metadata: Metadata) -> tuple[str, ...]:
    return metadata.labels or tuple(str(i) for i in range(16))


def _zero(count: int) -> Any:
    return 0 if count == 1 else np.zeros(0)


def _precise(metadata: Metadata) -> dict[str, Any]:
    return {"precision": metadata.precision or 0, **_numeric(metadata)}


def _numeric(metadata: Metadata) -> dict[str, Any]:
    return {
        "units": units_of(metadata),
        "lower_ctrl_limit": metadata.control.low,
        "upper_ctrl_limit": metadata.control.high,
        "lower_disp_limit": metadata.display.low,
        "upper_disp_limit": metadata.display.high,
        "lower_warning_limit": metadata.warning.low,
        "upper_warning_limit": metadata.warning.high,
        "lower_alarm_limit": metadata.alarm.low,
        "upper_alarm_limit": metadata.alarm.high,
    }
