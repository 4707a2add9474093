"""Which numbers a channel's type can hold, and what they become in it."""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from orchestrator.language.values.operations import Fault, described, numbers, plain
from orchestrator.types import NativeType

INT_RANGES = {
    # Unsigned, as Channel Access has it (EPICS db_access.h, dbr_char_t): of a record whose field
    # is signed -1 is read as 255, so that a put of -1 could never be seen to have arrived.
    NativeType.CHAR: (0, 2**8 - 1),
    NativeType.SHORT: (-(2**15), 2**15 - 1),
    NativeType.LONG: (-(2**31), 2**31 - 1),
}
FLOAT_ROUNDING = 2.0**-24
"""Relative; what rounding to FLOAT (IEEE 754 single precision) changes at most."""
_READABLE = 1e20
"""Whole numbers beyond are not shown with all their digits."""
_DIGITS = range(6, 10)
"""Significant digits that may be needed to write a FLOAT."""
_FLOAT = struct.Struct("=f")


def is_whole(native: NativeType) -> bool:
    """Whether a type holds whole numbers only."""
    return native in INT_RANGES


def as_float(value: float) -> float:
    """A number as a FLOAT holds it; infinite where it is too large for one."""
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(value))[0])
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def shortest(value: float) -> float:
    """What was meant by a number read from a FLOAT: the shortest decimal that it stands for.

    0.7 is held as 0.699999988, which no comparison with 0.7 would meet.
    """
    if math.isinf(value) or as_float(value) != value:
        return value
    return next(n for n in (float(f"{value:.{d}g}") for d in _DIGITS) if as_float(n) == value)


def rounded(value: float, native: NativeType) -> float:
    """A number as a channel would hold it, to be compared with what it holds.

    Of what is too large for a FLOAT it is the number itself.
    """
    if native is not NativeType.FLOAT:
        return value
    held = as_float(value)
    return held if math.isfinite(held) else value


def held(value: float, native: NativeType) -> float | int:
    """A number in the channel's own type, which is not STRING or ENUM.

    Fractions become what a FLOAT has instead of them; nothing else is changed.

    Raises:
        Fault: The type can't hold it.
    """
    match native:
        case NativeType.DOUBLE:
            return _as_double(value)
        case NativeType.FLOAT:
            return _as_float(value)
        case _:
            return _whole(value, native)


def _as_double(value: float) -> float:
    if isinstance(value, float):
        return value
    number = _converted(value, NativeType.DOUBLE)
    if number != value:
        raise _inexact(value, number, NativeType.DOUBLE)
    return number


def _as_float(value: float) -> float:
    number = _converted(value, NativeType.FLOAT)
    near = as_float(number)
    if math.isinf(near) and not math.isinf(number):
        raise Fault(f"a FLOAT holds nothing so large as {described(value)}")
    if isinstance(value, int) and near != value:
        raise _inexact(value, near, NativeType.FLOAT)
    if abs(near - number) > FLOAT_ROUNDING * abs(number):
        raise Fault(f"a FLOAT holds nothing so small as {value!r}")
    return number


def _inexact(value: int, nearest: float, native: NativeType) -> Fault:
    near = str(int(nearest)) if abs(nearest) < _READABLE else f"{nearest:g}"
    return Fault(f"a {native.name} can't hold {described(value)} exactly: the nearest is {near}")


def _converted(value: float, native: NativeType) -> float:
    try:
        return float(value)
    except OverflowError:
        raise Fault(f"a {native.name} holds nothing so large as {described(value)}") from None


def _whole(value: float, native: NativeType) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise Fault(f"takes whole numbers, not {value!r}")
    low, high = INT_RANGES[native]
    if not low <= value <= high:
        shown = described(int(value)).removeprefix("the number ")
        raise Fault(f"a {native.name} holds {low} … {high}, not {shown}")
    return int(value)


def held_array(value: object, native: NativeType) -> npt.NDArray[np.generic]:
    """A list or array of numbers in the channel's own type, shape (n,).

    Raises:
        Fault: It is something else, or the type can't hold an element; names the first.
    """
    kind = np.int64 if is_whole(native) else np.float64
    if isinstance(value, np.ndarray):
        array = numbers(value)
        for index in np.flatnonzero(_doubtful(value, array, native)).tolist():
            _element(index, value[index].item(), native)
        return array.astype(kind, copy=False)
    if not isinstance(value, list) or not all(isinstance(plain(v), int | float) for v in value):
        raise Fault(f"needs a list or an array of numbers, not {described(value)}")
    items = [_element(index, plain(item), native) for index, item in enumerate(value)]
    return np.array(items, dtype=kind)


def _element(index: int, value: object, native: NativeType) -> float:
    assert isinstance(value, int | float)  # noqa: S101 - who calls has seen to that
    try:
        return held(value, native)
    except Fault as fault:
        raise Fault(f"element {index}: {fault}") from None


def _doubtful(
    value: npt.NDArray[np.generic], array: npt.NDArray[np.float64], native: NativeType
) -> npt.NDArray[np.bool_]:
    """Which elements have to be looked at one by one; `array` are the same as float64."""
    with np.errstate(all="ignore"):
        if is_whole(native):
            low, high = INT_RANGES[native]
            fits: npt.NDArray[np.bool_] = array == np.trunc(array)
            return ~(fits & (array >= low) & (array <= high))
        beyond: npt.NDArray[np.bool_] = np.abs(array) >= 2.0**53
        if native is NativeType.FLOAT:
            changed = np.abs(array.astype(np.float32).astype(np.float64) - array)
            most = 0.0 if value.dtype.kind in "iu" else FLOAT_ROUNDING * np.abs(array)
            return ~(changed <= most) & np.isfinite(array)
        return beyond if value.dtype.kind in "iu" else np.zeros_like(beyond)
