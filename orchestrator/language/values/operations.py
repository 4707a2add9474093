"""What operators do with the values of a sequence: numbers, text, lists and arrays.

Every result is bounded: whole numbers to 64 bits (larger ones become floats), text to
`LONGEST_TEXT`, arrays to the length of what they were made from. Nothing can grow by repetition.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.types import decoded

Operation: TypeAlias = Callable[[object, object], object]
Floats: TypeAlias = npt.NDArray[np.float64]

LONGEST_TEXT = 65_536
"""Characters that a text may grow to by `+`."""
_INT_BITS = 63
_ORDERS = ("==", "!=", "<", "<=", ">", ">=")
_MOST_BITS_SHOWN = 200
"""Of a whole number; Python itself makes text of no more than 4300 digits."""


class Fault(Exception):  # noqa: N818 - not an error that a user sees: the operand words that one
    """Why a value can't be computed; becomes an ExpressionError that names the expression."""


def described(value: object) -> str:
    """A value with its kind, for messages: `the text 'Open'`, `an array of 5`."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value!r}" if len(value) <= 60 else f"the text {value[:57]!r}…"
        case int() if value.bit_length() > _MOST_BITS_SHOWN:
            return f"a whole number of {value.bit_length()} bits"
        case int() | float():
            return f"the number {value!r}"
        case np.ndarray() | list() | tuple():
            kind = "array" if isinstance(value, np.ndarray) else "list"
            return f"{'an' if kind == 'array' else 'a'} {kind} of {len(value)}"
        case _:
            return "nothing" if value is None else f"a {type(value).__name__}"


def plain(value: object) -> object:
    """A value with numpy's scalars as Python's and tuples as lists.

    A float32, an element of a FLOAT array, is the shortest decimal that it stands for.
    """
    if isinstance(value, np.generic):
        return float(str(value)) if isinstance(value, np.float32) else value.item()
    return list(value) if isinstance(value, tuple) else value


def is_number(value: object) -> bool:
    """Whether it counts as a number (a bool does, as 0 or 1)."""
    return isinstance(value, int | float)


def numbers(value: object) -> Floats:
    """A list or array of numbers as float64, shape (n,).

    Raises:
        Fault: It is something else.
    """
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf":
        return value.astype(np.float64, copy=False)
    if isinstance(value, list | tuple) and all(is_number(plain(item)) for item in value):
        return np.array(value, dtype=np.float64)
    raise Fault(f"needs a list or an array of numbers, not {described(value)}")


def is_sequence(value: object) -> bool:
    """Whether it is a list or an array."""
    return isinstance(value, np.ndarray | list | tuple)


def truth(value: object) -> bool:
    """Whether a condition holds: a bool, or a number other than 0.

    Raises:
        Fault: Text, a list, an array or NaN is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    value = plain(value)
    if isinstance(value, int | float) and not math.isnan(value):
        return bool(value)
    raise Fault(f"{described(value)} is neither true nor false; compare it with something")


def _limited(value: object) -> object:
    """A whole number beyond 64 bits becomes a float, so that no number can grow for ever."""
    if isinstance(value, int) and value.bit_length() > _INT_BITS:
        return float(value)
    return value


def _mixed(symbol: str, left: object, right: object) -> Fault:
    hint = ""
    has_text = isinstance(left, str) != isinstance(right, str)
    if symbol in ("==", "!=", "in") and has_text and (is_number(left) or is_number(right)):
        hint = "; an enum is its label here, index(channel) is its number"
    return Fault(f"{described(left)} {symbol} {described(right)} makes no sense{hint}")


def _elementwise(
    symbol: str, apply: Callable[[Floats, Floats], object], left: object, right: object
) -> object:
    a = numbers(left) if is_sequence(left) else np.float64(_numeric(symbol, left, right))
    b = numbers(right) if is_sequence(right) else np.float64(_numeric(symbol, right, left))
    if is_sequence(left) and is_sequence(right) and np.shape(a) != np.shape(b):
        raise Fault(f"{symbol} between arrays of different lengths, {np.size(a)} and {np.size(b)}")
    with np.errstate(all="ignore"):
        if symbol in _ORDERS and (_is_float32(left) or _is_float32(right)):
            # As a FLOAT has it: 0.7 is 0.699999988 there.
            return apply(a.astype(np.float32), b.astype(np.float32))  # type: ignore[arg-type]  # the same
        return apply(a, b)  # type: ignore[arg-type]  # a float64 scalar broadcasts like an array


def _is_float32(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def _numeric(symbol: str, value: object, other: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise _mixed(symbol, value, other)


def _arithmetic(symbol: str, apply: Callable[..., object]) -> Operation:
    def operate(left: object, right: object) -> object:
        if type(left) is float and type(right) is float:
            return apply(left, right)
        left, right = plain(left), plain(right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return _limited(apply(left, right))
        if is_sequence(left) or is_sequence(right):
            return _elementwise(symbol, apply, left, right)
        raise _mixed(symbol, left, right)

    return operate


def _add(left: object, right: object) -> object:
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > LONGEST_TEXT:
            raise Fault(f"the text would be longer than {LONGEST_TEXT} characters")
        return left + right
    return _plus(left, right)


def _power(left: object, right: object) -> object:
    left, right = plain(left), plain(right)
    if is_sequence(left) or is_sequence(right):
        return _elementwise("**", operator.pow, left, right)
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise _mixed("**", left, right)
    if isinstance(left, int) and isinstance(right, int) and _is_small(left, right):
        return left**right
    # In floats the size of the exponent costs nothing; too large a result is an OverflowError.
    result = float(left) ** float(right)
    if isinstance(result, complex):
        raise Fault("a negative number has no power that is not whole")
    return result


def _is_small(base: int, exponent: int) -> bool:
    return exponent >= 0 and abs(base).bit_length() * exponent <= _INT_BITS


_INSTEAD = {"&": "truths are joined by and", "|": "truths are joined by or", "^": "a power is **"}


def bits(value: object, symbol: str) -> int:
    """A whole number whose bits an operator looks at; an enum has them by `index(…)`.

    Raises:
        Fault: It is none; says what was meant perhaps.
    """
    value = plain(value)
    if not isinstance(value, bool) and isinstance(value, int | float) and value % 1 == 0:
        whole = int(value)
        if whole.bit_length() <= _INT_BITS:
            return whole
    hint = _INSTEAD.get(symbol, "")
    if isinstance(value, str):
        hint = "an enum is its label here, index(channel) is its number"
    raise Fault(
        f"{symbol} takes whole numbers up to 64 bits, not {described(value)}{hint and f'; {hint}'}"
    )


def _bitwise(symbol: str, apply: Callable[[int, int], int]) -> Operation:
    def operate(left: object, right: object) -> object:
        return apply(bits(left, symbol), bits(right, symbol))

    return operate


def _shift(places: int) -> int:
    if not 0 <= places <= _INT_BITS:
        raise Fault(f"can't shift by {places} bits; from 0 to {_INT_BITS} can be")
    return places


def _shifted_left(value: int, places: int) -> int:
    result = value << _shift(places)
    if result.bit_length() > _INT_BITS:
        raise Fault(f"{value} << {places} does not fit into 64 bits")
    return result


def _shifted_right(value: int, places: int) -> int:
    return value >> _shift(places)


def _comparison(symbol: str, apply: Callable[..., object]) -> Operation:
    equality = symbol in ("==", "!=")

    def compare(left: object, right: object) -> object:
        if type(left) is float and type(right) is float:
            return apply(left, right)
        left, right = plain(left), plain(right)
        if isinstance(left, str) or isinstance(right, str):
            left, right = _as_text(left, right), _as_text(right, left)
        if isinstance(left, str) and isinstance(right, str):
            return apply(left, right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return apply(left, right)
        if equality and isinstance(left, list) and isinstance(right, list):
            return apply(left, right)
        if is_sequence(left) or is_sequence(right):
            return _elementwise(symbol, apply, left, right)
        raise _mixed(symbol, left, right)

    return compare


def _as_text(value: object, other: object) -> object:
    """An array of CHAR as the text that it holds, where it is compared with one."""
    if isinstance(other, str) and isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return decoded(value.tobytes())
    return value


def contains(item: object, among: object) -> bool:
    """Whether `item` is one of a list, or a part of a text."""
    item, among = plain(item), plain(among)
    if isinstance(item, str) and isinstance(among, str | list):
        return item in among
    if isinstance(item, int | float) and is_sequence(among):
        if isinstance(among, np.ndarray):
            return bool(np.asarray(_elementwise("==", operator.eq, among, item)).any())
        numbers(among)  # whether all are numbers
        return any(plain(one) == item for one in among)  # type: ignore[attr-defined]  # a list
    raise _mixed("in", item, among)


def _lacks(item: object, among: object) -> bool:
    return not contains(item, among)


_plus = _arithmetic("+", operator.add)

ARITHMETIC: dict[str, Operation] = {
    "Add": _add,
    "Sub": _arithmetic("-", operator.sub),
    "Mult": _arithmetic("*", operator.mul),
    "Div": _arithmetic("/", operator.truediv),
    "FloorDiv": _arithmetic("//", operator.floordiv),
    "Mod": _arithmetic("%", operator.mod),
    "Pow": _power,
    "BitAnd": _bitwise("&", operator.and_),
    "BitOr": _bitwise("|", operator.or_),
    "BitXor": _bitwise("^", operator.xor),
    "LShift": _bitwise("<<", _shifted_left),
    "RShift": _bitwise(">>", _shifted_right),
}
"""By the name of the `ast` node."""

COMPARISONS: dict[str, Operation] = {
    "Eq": _comparison("==", operator.eq),
    "NotEq": _comparison("!=", operator.ne),
    "Lt": _comparison("<", operator.lt),
    "LtE": _comparison("<=", operator.le),
    "Gt": _comparison(">", operator.gt),
    "GtE": _comparison(">=", operator.ge),
    "In": contains,
    "NotIn": _lacks,
}
"""By the name of the `ast` node."""


def negative(value: object) -> object:
    """`-value`."""
    value = plain(value)
    if isinstance(value, int | float):
        return _limited(-value)
    return -numbers(value)


def inverted(value: object) -> object:
    """`~value`, all bits the other way: -value - 1, as two's complement has it."""
    return ~bits(value, "~")


def positive(value: object) -> object:
    """`+value`: the same, if it is a number or some."""
    value = plain(value)
    return value if is_number(value) else numbers(value)


def item(value: object, index: object) -> object:
    """`value[index]`, counted from 0, negative from the end."""
    value = plain(value)
    position = whole(index, "an index")
    if not isinstance(value, str | list | np.ndarray):
        raise Fault(f"{described(value)} has no elements")
    if not -len(value) <= position < len(value):
        raise Fault(f"index {position} is outside {described(value)}")
    return plain(value[position])


def part(value: object, start: object, stop: object) -> object:
    """`value[start:stop]`; bounds beyond the ends are cut, as in Python."""
    value = plain(value)
    if not isinstance(value, str | list | np.ndarray):
        raise Fault(f"{described(value)} has no elements")
    bounds = (None if b is None else whole(b, "a slice bound") for b in (start, stop))
    return value[slice(*bounds)]


def whole(value: object, what: str) -> int:
    """A whole number, also where it is kept as a float.

    Raises:
        Fault: It isn't one; `what` says what it was wanted for.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        raise Fault(f"{what} has to be a whole number, not {described(value)}")
    return int(value)
