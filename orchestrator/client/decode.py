"""What libca delivers with its time stamp, in plain Python: a `Sample`."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from epicscorelibs.ca import cadef, dbr

from orchestrator.client.values import plain, request_type
from orchestrator.types import NativeType, Severity, Value

Sample: TypeAlias = tuple[Value, float, Severity, int, int]
"""Value, the server's stamp in Unix seconds, its alarm severity and status, the stamp's ns."""

Decoder: TypeAlias = Callable[[int, int, int], Sample]
"""Reads the memory at an address that libca lends for the time of a callback; gets the address,
the DBR code and the number of elements."""

_SEVERITIES = tuple(Severity)

_LAYOUTS = {
    NativeType.SHORT: "=hhIIxxh",
    NativeType.FLOAT: "=hhIIf",
    NativeType.ENUM: "=hhIIxxH",
    NativeType.CHAR: "=hhIIxxxB",
    NativeType.LONG: "=hhIIi",
    NativeType.DOUBLE: "=hhIIxxxxd",
}
"""struct dbr_time_* of db_access.h: status, severity, stamp, padding, one value."""


def decoder(channel: Any, *, text: bool) -> tuple[int, int, Decoder]:
    """How to ask for a connected channel with its time: DBR code, count, what reads the answer.

    One number is read straight from memory, in a quarter of the time of an augmented value; the
    rest is left to epicscorelibs.
    """
    native = cadef.ca_field_type(channel)
    kind = request_type(native, text=text)
    number = _NUMBERS.get(native)
    if number is not None and kind is None and cadef.ca_element_count(channel) == 1:
        return native + dbr.DBR_TIME_STRING, 1, number
    code, convert = dbr.type_to_dbr(channel, kind, dbr.FORMAT_TIME)
    return code, 0, lambda raw, got, count: sample_of(convert(raw, got, count))


def _number(layout: struct.Struct) -> Decoder:
    size, unpack, string_at = layout.size, layout.unpack, ctypes.string_at

    def decode(raw: int, _code: int, _count: int) -> Sample:
        status, severity, seconds, nanoseconds, value = unpack(string_at(raw, size))
        return value, _unix(seconds, nanoseconds), _severity(severity), status, nanoseconds

    return decode


def sample_of(value: Any) -> Sample:
    """The same from an augmented value with FORMAT_TIME."""
    severity, nanoseconds = _severity(value.severity), value.raw_stamp[1]
    return plain(value), value.timestamp, severity, value.status, nanoseconds


def _unix(seconds: int, nanoseconds: int) -> float:
    # To the microsecond, as epicscorelibs does: a float holds no more.
    return float(round(seconds + dbr.EPICS_epoch + nanoseconds * 1e-9, 6))


def _severity(number: int) -> Severity:
    return _SEVERITIES[number] if 0 <= number < len(_SEVERITIES) else Severity.INVALID


_NUMBERS: dict[int, Decoder] = {
    int(native): _number(struct.Struct(layout)) for native, layout in _LAYOUTS.items()
}
