"""What libca knows of a channel as our metadata; values as libca takes them."""

from __future__ import annotations

import ctypes
import math
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from epicscorelibs.ca import cadef, dbr

from orchestrator.client.libca.ctrl_metadata import Details
from orchestrator.config import ChannelConfig
from orchestrator.errors import PutError
from orchestrator.language.values.number_types import held, held_array
from orchestrator.language.values.operations import Fault
from orchestrator.types import (
    Alarm,
    Metadata,
    NativeType,
    Reading,
    Severity,
    Value,
    encoded,
)

STRING_BYTES = 39
"""The longest DBR_STRING without its NUL (MAX_STRING_SIZE of epicsTypes.h is 40)."""

_INTEGERS = {
    NativeType.SHORT: (np.int16, -(2**15), 2**15 - 1),
    NativeType.ENUM: (np.uint16, 0, 2**16 - 1),
    # DBF_CHAR is signed, DBF_UCHAR is not; who puts for people refuses what would read otherwise.
    NativeType.CHAR: (np.uint8, -(2**7), 2**8 - 1),
    NativeType.LONG: (np.int32, -(2**31), 2**31 - 1),
}


_WHOLE: dict[int, tuple[Any, int, int]] = {
    NativeType.LONG: (ctypes.c_int32, -(2**31), 2**31 - 1),
    NativeType.SHORT: (ctypes.c_int16, -(2**15), 2**15 - 1),
    NativeType.ENUM: (ctypes.c_uint16, 0, 2**16 - 1),
}

Outgoing: TypeAlias = tuple[NativeType, Any]
"""A DBR type and an array in the layout of libca."""

# From libca -------------------------------------------------------------------------------------


_OF_ALARM = frozenset({"STAT", "SEVR", "AMSG", "NSTA", "NSEV", "NAMSG", "ACKS", "ACKT", "UDF"})


def bad_reading(name: str, received: float) -> Reading:
    """What stands for an update that could not be read; without a stamp, as none came."""
    return Reading(name, math.nan, 0.0, Severity.INVALID, Alarm.READ, received=received)


def metadata_of(channel: Any, details: Details | None, *, text_from: int) -> Metadata:
    """What libca knows of a connected channel, and what the server sent with FORMAT_CTRL.

    Args:
        channel: aioca's, connected.
        details: What was sent; None where the server lets nobody read.
        text_from: As `is_text`.

    Raises:
        cadef.Disconnected: The channel isn't connected any more.
    """
    native = NativeType(cadef.ca_field_type(channel))
    count = cadef.ca_element_count(channel)
    details = details or Details()
    return Metadata(
        native=native,
        count=count,
        units=details.units,
        precision=details.precision,
        labels=details.labels,
        control=details.control,
        display=details.display,
        warning=details.warning,
        alarm=details.alarm,
        readable=bool(cadef.ca_read_access(channel)),
        writable=bool(cadef.ca_write_access(channel)),
        host=cadef.ca_host_name(channel),
        text=is_text(native, count, text_from),
        nul=is_long_string(channel.name),
        of_alarm=is_of_alarm(channel.name),
    )


def is_of_alarm(pv: str) -> bool:
    """Whether it is a field of a record that tells of its alarm (EPICS dbCommon.dbd).

    The alarm of the record comes with each of its fields, and says that the value is not to be
    trusted. What is asked here is the alarm.
    """
    return pv.rpartition(".")[2].rstrip("$") in _OF_ALARM and "." in pv


def is_text(native: int, count: int, text_from: int) -> bool:
    """Whether a channel is text: CHAR of at least `text_from` elements, where that is not 0."""
    return native == NativeType.CHAR and 0 < text_from <= count


def text_from(config: ChannelConfig, *, arrays: bool) -> int:
    """From how many elements on a CHAR channel is text, 0 = never.

    Args:
        config: The channel's.
        arrays: Whether arrays of CHAR are text where the configuration says nothing: a single one
            is a number there (`.DISP`, `.UDF`).
    """
    # EPICS marks long strings so: REC.DESC$.
    if config.text or is_long_string(config.pv):
        return 1
    return 2 if arrays else 0


def is_long_string(pv: str) -> bool:
    """Whether it is a text of a record, which keeps the last byte for its NUL, and cuts there."""
    return pv.endswith("$")


def with_rights(metadata: Metadata, channel: Any) -> Metadata:
    """The same with the access rights that a channel has now."""
    readable, writable = cadef.ca_read_access(channel), cadef.ca_write_access(channel)
    return replace(metadata, readable=bool(readable), writable=bool(writable))


# To libca ---------------------------------------------------------------------------------------


def outgoing_number(value: Value, native: int) -> Any:
    """One number as libca takes it, of ctypes: nearly all puts, at a tenth of an array's cost.

    None for what is no number of exactly this type, or out of its range: see `outgoing`.
    """
    if type(value) is float:
        return ctypes.c_double(value) if native == NativeType.DOUBLE else None
    if type(value) is int and native in _WHOLE:
        of_ctypes, low, high = _WHOLE[native]
        return of_ctypes(value) if low <= value <= high else None
    return None


def outgoing(label: str, value: Value, native: NativeType, count: int) -> Outgoing:
    """A value as libca takes it: the type in which to send it, and a contiguous 1-D array.

    Nothing is changed in silence, as numpy would: a fraction put to an integer channel, a number
    out of its range, text cut at 39 bytes and an array longer than the channel are errors.

    Args:
        label: How messages name the channel.
        value: What is to be written.
        native: The channel's type.
        count: The most elements that it takes.

    Raises:
        PutError: The channel can't hold this value.
    """
    if isinstance(value, str):
        if native is NativeType.CHAR and count > 1:
            return NativeType.CHAR, char_array(label, value, count)
        return _strings(label, (value,))
    if isinstance(value, tuple):
        _check_length(label, len(value), count)
        return _strings(label, value)
    if isinstance(value, np.ndarray):
        _check_length(label, value.size, count)
    if native in _INTEGERS:
        return native, _integers(label, value, native)
    if native is NativeType.STRING:
        return _strings(label, tuple(str(part) for part in np.atleast_1d(value).tolist()))
    return native, _reals(label, value, native)


def _reals(label: str, value: Any, native: NativeType) -> Any:
    dtype = np.float32 if native is NativeType.FLOAT else np.float64
    if isinstance(value, np.ndarray) and value.dtype == dtype:
        return np.ascontiguousarray(value).ravel()
    try:
        if not isinstance(value, np.ndarray):
            held(value, native)
        elif value.dtype.kind in "biuf":
            held_array(value.ravel(), native)
    except Fault as fault:
        raise PutError(f"{label}: {fault}") from fault
    return _one_row(value, dtype)


def _one_row(value: Any, dtype: Any) -> Any:
    # epicscorelibs would set the shape of a scalar, which numpy 2.5 deprecates (numpy/numpy#29536).
    if not isinstance(value, np.ndarray):
        return np.array((value,), dtype)
    return np.ascontiguousarray(value, dtype).ravel()


def _check_length(label: str, length: int, count: int) -> None:
    if length > count:
        raise PutError(f"{label}: {length} elements were to be written, it takes at most {count}")
    if length == 0 and count == 1:  # libca would do nothing, and call it a success
        raise PutError(f"{label}: an empty array was to be written, it takes one value")


def char_array(label: str, text: str, count: int) -> Any:
    """Text as the bytes of a CHAR channel of `count` elements.

    Raises:
        PutError: It is longer.
    """
    data = encoded(text)
    if len(data) > count:
        raise PutError(f"{label}: the text has {len(data)} bytes, it takes at most {count}")
    # With its NUL where there is room for it, as caput -S of EPICS base sends it.
    return np.frombuffer(data + b"\0" if len(data) < count else data, dtype=np.uint8)


def _strings(label: str, texts: tuple[str, ...]) -> Outgoing:
    sent = [encoded(text) for text in texts]
    longest = max((len(data) for data in sent), default=0)
    if longest > STRING_BYTES:
        raise PutError(
            f"{label}: the text has {longest} bytes, DBR_STRING takes at most {STRING_BYTES}"
        )
    return NativeType.STRING, np.array(sent, dtype=dbr.str_dtype)


def _integers(label: str, value: Any, native: NativeType) -> Any:
    dtype, low, high = _INTEGERS[native]
    array = np.atleast_1d(np.asarray(value))
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):  # NaN neither
        raise PutError(f"{label}: {value} was to be written, it takes whole numbers only")
    if array.size and not (low <= array.min() and array.max() <= high):
        raise PutError(f"{label}: {value} was to be written, it takes {low} to {high}")
    return array.astype(np.int64).astype(dtype)
