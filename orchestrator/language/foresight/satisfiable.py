"""Whether a channel can ever have a value that a condition or a readback asks for."""

from __future__ import annotations

import math

from orchestrator.errors import InputError
from orchestrator.language.values.conditions import Relation, default_tolerance, is_within
from orchestrator.language.values.conversion import STRING_BYTES, label_index, unknown_label
from orchestrator.language.values.number_types import INT_RANGES, as_float
from orchestrator.language.values.operations import described, is_sequence, plain
from orchestrator.types import Metadata, NativeType


def never_equals(value: object, metadata: Metadata | None, tolerance: float | None) -> str:
    """Why nothing that a channel can hold equals `value`; empty where something may.

    Args:
        value: In the sequence's terms (an enum is its label).
        metadata: The channel's; None = not known.
        tolerance: None = `default_tolerance`.
    """
    value = plain(value)
    if isinstance(value, float) and math.isnan(value):
        return "nothing equals NaN"
    if metadata is None or metadata.count > 1 or is_sequence(value):
        return ""
    match metadata.native:
        case NativeType.ENUM:
            return _no_label(value, metadata)
        case NativeType.STRING:
            return _no_text(value)
        case NativeType.FLOAT | NativeType.DOUBLE:
            return _no_real(value, metadata.native)
        case NativeType.CHAR if metadata.text:
            return "" if isinstance(value, str) else f"it holds text, never {described(value)}"
        case _:
            return _no_whole(value, metadata, tolerance)


def _no_label(value: object, metadata: Metadata) -> str:
    if metadata.labels and isinstance(value, str) and not unknown_label("", value, metadata):
        return ""  # an index without label as well, which can't be put
    try:
        label_index(value, metadata)
    except InputError as error:
        return str(error)
    return ""


def _no_text(value: object) -> str:
    if not isinstance(value, str):
        return f"it holds text, which never equals {described(value)}"
    if len(value.encode()) > STRING_BYTES:
        return f"it holds {STRING_BYTES} bytes, which never equal {described(value)}"
    return ""


def _no_number(value: object) -> str:
    return f"it holds a number, which never equals {described(value)}"


def _no_real(value: object, native: NativeType) -> str:
    if not isinstance(value, int | float):
        return _no_number(value)
    try:
        held = float(value) if native is NativeType.DOUBLE else as_float(float(value))
    except OverflowError:
        held = math.inf
    too_large = math.isinf(held) and held != value
    return f"it holds nothing so large as {described(value)}" if too_large else ""


def _no_whole(value: object, metadata: Metadata, tolerance: float | None) -> str:
    if not isinstance(value, int | float):
        return _no_number(value)
    low, high = INT_RANGES[metadata.native]
    nearest = min(max(value if math.isinf(value) else round(value), low), high)
    if tolerance is None:
        tolerance = default_tolerance(value, metadata)
    if is_within(nearest, value, tolerance, metadata.native):
        return ""
    shown = described(value).removeprefix("the number ")
    return f"it holds whole numbers from {low} to {high}, none of which is {shown}"


def never_meets(
    relation: Relation, operand: object, metadata: Metadata | None, tolerance: float | None
) -> str:
    """Why a channel can never meet a condition; empty where it may.

    Args:
        relation: The kind of condition.
        operand: As it stands in the sequence; of `increase_by` and `decrease_by` the change.
        metadata: The channel's; None = not known.
        tolerance: For equals, not, in; None = `default_tolerance`.
    """
    operand = plain(operand)
    match relation:
        case Relation.EQUALS:
            return never_equals(operand, metadata, tolerance)
        case Relation.NOT:
            return _strange(operand, metadata)
        case Relation.IN:
            return _in(list(_items(operand)), metadata, tolerance)
        case Relation.BETWEEN:
            low, high = _items(operand)
            return _between(low, high, metadata)
        case Relation.INCREASE_BY | Relation.DECREASE_BY:
            kinds = (NativeType.ENUM, NativeType.STRING)
            no_number = metadata is not None and metadata.native in kinds
            return "it holds no number that could grow or fall" if no_number else ""
        case _:
            return _beyond(relation, operand, metadata)


def _items(operand: object) -> list[object]:
    return [plain(item) for item in operand]  # type: ignore[attr-defined]  # `some` has seen to that


def _strange(operand: object, metadata: Metadata | None) -> str:
    """Why a value can't be compared with anything, or not with an enum."""
    if isinstance(operand, float) and math.isnan(operand):
        return "NaN compares with nothing"
    is_enum = metadata is not None and metadata.native is NativeType.ENUM
    return _no_label(operand, metadata) if is_enum and metadata is not None else ""


def _in(items: list[object], metadata: Metadata | None, tolerance: float | None) -> str:
    reasons = [never_equals(item, metadata, tolerance) for item in items]
    if not items:
        return "the list is empty"
    strange = [reason for item in items if (reason := _strange(item, metadata))]
    return strange[0] if strange else reasons[0] if all(reasons) else ""


def _between(low: object, high: object, metadata: Metadata | None) -> str:
    reason = _no_order(low, metadata) or _no_order(high, metadata)
    if reason:
        return reason
    bottom, top = _ordinal(low, metadata), _ordinal(high, metadata)
    if bottom > top:
        return f"no value lies between {low!r} and {high!r}; the lesser comes first"
    least, most = _range(metadata)
    if top < least or bottom > most:
        return f"it holds {least:g} … {most:g}, nothing between {low!r} and {high!r}"
    return ""


def _beyond(relation: Relation, operand: object, metadata: Metadata | None) -> str:
    reason = _no_order(operand, metadata)
    if reason:
        return reason
    bound = _ordinal(operand, metadata)
    least, most = _range(metadata)
    possible = {
        Relation.ABOVE: most > bound,
        Relation.AT_LEAST: most >= bound,
        Relation.BELOW: least < bound,
        Relation.AT_MOST: least <= bound,
    }[relation]
    if possible:
        return ""
    holds = "no number is" if math.isinf(most) else f"it holds {least:g} … {most:g}, nothing"
    return f"{holds} {relation.value.replace('_', ' ')} {operand!r}"


def _no_order(operand: object, metadata: Metadata | None) -> str:
    """Why nothing is above or below a value."""
    if isinstance(operand, float) and math.isnan(operand):
        return "nothing is above or below NaN"
    if metadata is None:
        return ""
    if metadata.native is NativeType.ENUM:
        return _no_label(operand, metadata)
    if metadata.native is NativeType.STRING:
        return "it holds text, which is neither above nor below anything"
    return "" if isinstance(operand, int | float) else f"nothing is above {described(operand)}"


def _ordinal(operand: object, metadata: Metadata | None) -> float:
    if metadata is not None and metadata.native is NativeType.ENUM:
        return label_index(operand, metadata)
    return operand if isinstance(operand, int | float) else 0.0


def _range(metadata: Metadata | None) -> tuple[float, float]:
    """The least and the greatest that a channel can hold."""
    if metadata is None or metadata.native in (NativeType.FLOAT, NativeType.DOUBLE):
        return -math.inf, math.inf
    if metadata.native is NativeType.ENUM:
        return 0, 2**16 - 1 if metadata.menu else len(metadata.labels or range(16)) - 1
    return INT_RANGES.get(metadata.native, (-math.inf, math.inf))
