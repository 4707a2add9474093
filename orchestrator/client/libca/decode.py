"""What libca delivers with its time stamp, in plain Python: a `Sample`."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from epicscorelibs.ca import cadef, dbr

from orchestrator.client.libca.dbr import is_text
from orchestrator.types import NativeType, Severity, Value, decoded

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

_HEAD = struct.Struct("=hhII")
_STRING_SIZE = 40
"""MAX_STRING_SIZE of epicsTypes.h."""


def decoder(channel: Any, *, text_from: int) -> tuple[int, int, Decoder]:
    """How to ask for a connected channel with its time: DBR code, count, what reads the answer.

    One element is asked for as one: where a record has none (a waveform or lso that nobody has
    written) its server sends zeros, as it does to every client that asks so. Of an array come as
    many as it has. All is read straight from memory, in a quarter of the time of epicscorelibs'
    augmented values.

    Args:
        channel: aioca's.
        text_from: As `dbr.is_text`.

    Raises:
        cadef.Disconnected: It isn't connected any more.
    """
    native, most = cadef.ca_field_type(channel), cadef.ca_element_count(channel)
    code, count = native + dbr.DBR_TIME_STRING, 1 if most == 1 else 0
    if native == NativeType.STRING:
        return code, count, _text if most == 1 else _texts
    if is_text(native, most, text_from):
        return code, count, _char_text(most)
    return code, count, _NUMBERS[native] if most == 1 else _ARRAYS[native]


def worded() -> tuple[int, int, Decoder]:
    """How to ask for the text of an enum's value: DBR code, count, what reads the answer."""
    return dbr.DBR_TIME_STRING, 1, _text


def record_type() -> tuple[int, Callable[[int, int, int], str]]:
    """How to ask for the type of a channel's record: DBR code, what reads the answer."""
    return dbr.DBR_CLASS_NAME, _name


def _name(raw: int, _code: int, _count: int) -> str:
    return decoded(ctypes.string_at(raw, _STRING_SIZE))


def _number(layout: struct.Struct) -> Decoder:
    size, unpack, string_at = layout.size, layout.unpack, ctypes.string_at

    def decode(raw: int, _code: int, _count: int) -> Sample:
        status, severity, seconds, nanoseconds, value = unpack(string_at(raw, size))
        return value, _unix(seconds, nanoseconds), _severity(severity), status, nanoseconds

    return decode


def _array(layout: struct.Struct) -> Decoder:
    dtype = np.dtype(layout.format[-1])
    offset, size = layout.size - dtype.itemsize, dtype.itemsize

    def decode(raw: int, _code: int, count: int) -> Sample:
        # Of bytes, so that nobody can write to it.
        array = np.frombuffer(ctypes.string_at(raw + offset, count * size), dtype)
        return _stamped(raw, array)

    return decode


def _text(raw: int, _code: int, _count: int) -> Sample:
    one = ctypes.string_at(raw + _HEAD.size, _STRING_SIZE)
    return _stamped(raw, decoded(one, _STRING_SIZE))


def _texts(raw: int, _code: int, count: int) -> Sample:
    all_ = ctypes.string_at(raw + _HEAD.size, count * _STRING_SIZE)
    each = (all_[at : at + _STRING_SIZE] for at in range(0, len(all_), _STRING_SIZE))
    return _stamped(raw, tuple(decoded(one, _STRING_SIZE) for one in each))


def _char_text(most: int) -> Decoder:
    offset = struct.calcsize(_LAYOUTS[NativeType.CHAR]) - 1

    def decode(raw: int, _code: int, count: int) -> Sample:
        return _stamped(raw, decoded(ctypes.string_at(raw + offset, count), most))

    return decode


def _stamped(raw: int, value: Value) -> Sample:
    status, severity, seconds, nanoseconds = _HEAD.unpack(ctypes.string_at(raw, _HEAD.size))
    return value, _unix(seconds, nanoseconds), _severity(severity), status, nanoseconds


def _unix(seconds: int, nanoseconds: int) -> float:
    # To the microsecond, as epicscorelibs does: a float holds no more.
    return float(round(seconds + dbr.EPICS_epoch + nanoseconds * 1e-9, 6))


def _severity(number: int) -> Severity:
    return _SEVERITIES[number] if 0 <= number < len(_SEVERITIES) else Severity.INVALID


_NUMBERS: dict[int, Decoder] = {
    int(native): _number(struct.Struct(layout)) for native, layout in _LAYOUTS.items()
}
_ARRAYS: dict[int, Decoder] = {
    int(native): _array(struct.Struct(layout)) for native, layout in _LAYOUTS.items()
}
