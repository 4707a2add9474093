"""Whether a channel's value is what a sequence asks for: relations, and tolerances.

Pure functions; whether a reading may count at all (disconnected, INVALID, unconfirmed) is decided
by who calls them.
"""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np

from orchestrator.errors import InputError
from orchestrator.language.values.conversion import label_index, unknown_label
from orchestrator.language.values.number_types import FLOAT_ROUNDING, is_whole, rounded
from orchestrator.language.values.operations import described, is_sequence, plain
from orchestrator.types import Metadata, NativeType, Value, decoded

DIGITS = range(1, 16)
"""A precision that says how exact a number is. EPICS takes any int16 for PREC, and has 0 where
nobody gave one: ± 0.5 would then pass for the rounding of a readback."""
_LESS_THAN_HALF = 0.49
"""Of the distance between two whole numbers."""
_SLACK = 1e-12
"""Relative; what decimals lose in binary must not put 0.305 beyond 0.3 ± 0.005."""


class Relation(StrEnum):
    """What `wait` compares by; named as its fields."""

    EQUALS = "equals"
    NOT = "not"
    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    BETWEEN = "between"
    IN = "in"
    INCREASE_BY = "increase_by"
    """At or above the value when the step began plus the operand."""
    DECREASE_BY = "decrease_by"
    """At or below the value when the step began minus the operand."""


# Tolerance ----------------------------------------------------------------------------------


def default_tolerance(
    wanted: object,
    readback: Metadata | None,
    put: Metadata | None = None,
    *,
    float32: bool = False,
) -> float:
    """How far off a channel may be where no tolerance is given.

    | channel            | tolerance                                                           |
    | ------------------ | ------------------------------------------------------------------- |
    | DOUBLE             | 1e-9·|wanted|, or half a unit of its precision if that is larger    |
    | FLOAT              | 1e-6·|wanted|, the same                                             |
    | LONG, SHORT, CHAR  | 0                                                                   |
    | ENUM, STRING       | 0                                                                   |

    Args:
        wanted: The value that it must come to.
        readback: The channel; None where not known, which is taken for a DOUBLE. A precision of 0
            counts as not set: it is what a record has to which nobody gave one.
        put: Where it is the readback of another channel: that one. Of whole numbers the next one is
            never within.
        float32: Whether it is compared with a FLOAT, beside what the channels tell.
    """
    wanted = plain(wanted)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or math.isinf(wanted):
        return 0.0
    kinds = [metadata.native for metadata in (readback, put) if metadata is not None]
    if readback is not None and readback.native not in (NativeType.DOUBLE, NativeType.FLOAT):
        return 0.0
    tolerance = abs(wanted) * (1e-6 if float32 or NativeType.FLOAT in kinds else 1e-9)
    if put is not None and is_whole(put.native):
        tolerance = min(tolerance, _LESS_THAN_HALF)
    return max(tolerance, _half_a_unit(readback))


def next_is_within(wanted: object, readback: Metadata | None, put: Metadata | None = None) -> str:
    """Where no tolerance is given, why other whole numbers pass for one; empty where none does.

    An int64 record is a DOUBLE over Channel Access. Args as of `default_tolerance`.
    """
    wanted = plain(wanted)
    if readback is None or isinstance(wanted, bool) or not isinstance(wanted, int):
        return ""
    tolerance = default_tolerance(wanted, readback, put)
    if tolerance < 1:
        return ""
    return (
        f"{wanted} is met within ± {tolerance:.4g}, by other whole numbers too: "
        "where that matters give a tolerance"
    )


def _half_a_unit(readback: Metadata | None) -> float:
    if readback is None or readback.precision is None or readback.precision not in DIGITS:
        return 0.0
    return float(0.5 * 10.0**-readback.precision)


def is_within(
    value: float, wanted: float, tolerance: float, native: NativeType = NativeType.DOUBLE
) -> bool:
    """Whether two numbers are equal within a tolerance, its ends included; NaN never is.

    Args:
        value: What a channel holds.
        wanted: What it should be.
        tolerance: Absolute; with 0 only the value that the channel has for `wanted` will do.
        native: The channel's type.
    """
    value, wanted = rounded(value, native), rounded(wanted, native)
    if value == wanted:
        return True
    if tolerance == 0 or math.isinf(value) or math.isinf(wanted):
        return False
    # A difference to NaN is NaN, which is not below anything.
    return abs(value - wanted) <= tolerance + _slack(value, wanted, native)


def _slack(value: float, wanted: float, native: NativeType) -> float:
    """What the ends of a tolerance lose in binary."""
    if native not in (NativeType.DOUBLE, NativeType.FLOAT):
        # Whole numbers lose nothing, what they are compared with may: 0.3 + 0.7.
        return _SLACK if abs(wanted) < 1 / _SLACK else 0.0
    rounding = FLOAT_ROUNDING if native is NativeType.FLOAT else _SLACK
    return 2 * rounding * max(abs(value), abs(wanted))


# Conditions ---------------------------------------------------------------------------------


def meets(
    relation: Relation,
    reading_value: Value,
    operand: object,
    metadata: Metadata,
    tolerance: float | None,
) -> bool:
    """Whether a channel's value satisfies a condition. NaN satisfies none, `not` included.

    Args:
        relation: The kind of condition. Of `increase_by` and `decrease_by` the caller knows the
            value when the step began and gives the threshold, that value ± the operand, which the
            reading has to reach: `at_least` and `at_most` of it but for rounding, since 0.1 + 0.2
            is more than 0.3.
        reading_value: The channel's value, in its own terms (an enum is its index).
        operand: What it is compared with, in the sequence's terms (an enum is its label).
        metadata: The channel's.
        tolerance: For equals, not, in; None = `default_tolerance`.

    Raises:
        InputError: They can't be compared: an unknown label, text with a number.
    """
    try:
        return _meets(relation, plain(reading_value), plain(operand), metadata, tolerance)
    except OverflowError as error:  # a whole number of a function's, beyond every float
        raise InputError(f"can't be compared with {described(operand)}") from error


def _meets(
    relation: Relation,
    reading: object,
    operand: object,
    metadata: Metadata,
    tolerance: float | None,
) -> bool:
    takes_several = relation in (Relation.IN, Relation.BETWEEN)
    if _has_nan(reading) or (not takes_several and _has_nan(operand)):
        return False
    match relation:
        case Relation.EQUALS:
            return _equals(reading, operand, metadata, tolerance)
        case Relation.NOT:
            return not _equals(reading, operand, metadata, tolerance)
        case Relation.IN:
            return any(_equals(reading, o, metadata, tolerance) for o in _items(operand))
        case Relation.BETWEEN:
            low, high = _bounds(operand, metadata)
            return low <= _scalar(reading, metadata) <= high
        case Relation.ABOVE:
            return _scalar(reading, metadata) > _ordinal(operand, metadata)
        case Relation.AT_LEAST:
            return _scalar(reading, metadata) >= _ordinal(operand, metadata)
        case Relation.INCREASE_BY:
            return _reaches(_scalar(reading, metadata), operand, metadata, up=True)
        case Relation.DECREASE_BY:
            return _reaches(_scalar(reading, metadata), operand, metadata, up=False)
        case Relation.BELOW:
            return _scalar(reading, metadata) < _ordinal(operand, metadata)
        case Relation.AT_MOST:
            return _scalar(reading, metadata) <= _ordinal(operand, metadata)


def _reaches(reading: float, threshold: object, metadata: Metadata, *, up: bool) -> bool:
    """Whether a reading is at or beyond a threshold that was computed."""
    if not isinstance(threshold, int | float):
        raise InputError(f"can't be above or below {described(threshold)}")
    beyond = reading >= threshold if up else reading <= threshold
    if beyond or math.isinf(reading) or math.isinf(threshold):
        return beyond
    # 0.1 + 0.2 is more than 0.3.
    return abs(reading - threshold) <= _slack(reading, threshold, metadata.native)


def _has_nan(value: object) -> bool:
    """Whether it is NaN, or an array of nothing else to compare."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and bool(np.isnan(value).any())
    return isinstance(value, float) and math.isnan(value)


def _items(operand: object) -> list[object]:
    if isinstance(operand, list | np.ndarray):
        return [plain(item) for item in operand]
    raise InputError(f"compares with a list, not with {described(operand)}")


def _bounds(operand: object, metadata: Metadata) -> tuple[float, float]:
    items = _items(operand)
    if len(items) != 2:
        raise InputError(f"lies between two values, not {described(operand)}")
    return _ordinal(items[0], metadata), _ordinal(items[1], metadata)


def _equals(reading: object, operand: object, metadata: Metadata, tolerance: float | None) -> bool:
    if isinstance(operand, str):
        reading = _as_text(reading, operand, metadata)
    if is_sequence(reading) or is_sequence(operand):
        return _equal_arrays(reading, operand, metadata, tolerance)
    if metadata.native is NativeType.ENUM and not isinstance(reading, str):
        return reading == label_index(operand, metadata)
    if isinstance(reading, str) and isinstance(operand, str):
        return reading == operand
    if isinstance(reading, int | float) and isinstance(operand, int | float):
        if tolerance is None:
            tolerance = default_tolerance(operand, metadata)
        return is_within(reading, operand, tolerance, metadata.native)
    raise InputError(f"holds {described(reading)}, which can't equal {described(operand)}")


def _as_text(reading: object, text: str, metadata: Metadata) -> object:
    """A reading that is compared with a text, as text where it can be one.

    An enum is, but for a text that none of its values has; so is an array of CHAR, whoever has not
    declared it as text.
    """
    if metadata.native is NativeType.ENUM and isinstance(reading, int):
        return reading if unknown_label("", text, metadata) else metadata.label(reading)
    if metadata.native is NativeType.CHAR and isinstance(reading, np.ndarray):
        return decoded(reading.astype(np.uint8).tobytes(), metadata.count)
    return reading


def _equal_arrays(
    reading: object, operand: object, metadata: Metadata, tolerance: float | None
) -> bool:
    if not isinstance(reading, list | np.ndarray) or not isinstance(operand, list | np.ndarray):
        raise InputError(f"holds {described(reading)}, which can't equal {described(operand)}")
    return len(reading) == len(operand) and all(
        _equals(plain(a), plain(b), metadata, tolerance)
        for a, b in zip(reading, operand, strict=True)
    )


def _scalar(reading: object, metadata: Metadata) -> float:
    if isinstance(reading, int | float):
        return rounded(reading, metadata.native)
    raise InputError(f"holds {described(reading)}, which is neither above nor below anything")


def _ordinal(operand: object, metadata: Metadata) -> float:
    """A number to be above or below of, as the channel would hold it; of an enum its index."""
    if metadata.native is NativeType.ENUM:
        return label_index(operand, metadata)
    if isinstance(operand, int | float):
        return rounded(operand, metadata.native)
    raise InputError(f"can't be above or below {described(operand)}")
