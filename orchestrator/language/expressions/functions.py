"""The closed list of functions that an expression may call.

NaN: points that are NaN (a channel that did not answer under `missing: nan`, text) are left out
by every function that looks at a whole array; where nothing is left, that is an error. Functions
of one number work on each element of an array and keep NaN.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping

import numpy as np

from orchestrator.errors import InputError
from orchestrator.language.expressions.operand import Code, Environment
from orchestrator.language.values.operations import (
    Fault,
    Floats,
    described,
    is_number,
    is_sequence,
    numbers,
    plain,
    whole,
)


def _valid(*values: object) -> Floats:
    """The numbers of one array, or of several arguments, without NaN; at least one."""
    several = len(values) > 1 or not is_sequence(values[0])
    array = numbers(list(values)) if several else numbers(values[0])
    if not array.size:
        raise Fault("there are no values (yet)")
    array = array[~np.isnan(array)]
    if not array.size:
        raise Fault("all values are NaN")
    return array


def _curve(x: object, y: object) -> tuple[Floats, Floats]:
    """Two columns without NaN, sorted by x, with the mean of y where an x occurs repeatedly."""
    xs, ys = numbers(x), numbers(y)
    if xs.size != ys.size:
        raise Fault(f"x and y have different lengths, {xs.size} and {ys.size}")
    good = np.isfinite(xs) & np.isfinite(ys)
    if not good.any():
        raise Fault("there are no points (yet)" if not xs.size else "all points are NaN")
    unique, place, counts = np.unique(xs[good], return_inverse=True, return_counts=True)
    return unique, np.bincount(place, weights=ys[good]) / counts


def _extreme(pick: Callable[[Floats], object]) -> Callable[..., object]:
    def function(*values: object) -> object:
        values = tuple(map(plain, values))
        if len(values) > 1 and all(isinstance(v, int) and not isinstance(v, bool) for v in values):
            # Whole numbers stay whole: an index or a count may be made from them.
            return int(pick(np.array(values, dtype=object)))  # type: ignore[call-overload]  # an object array
        picked = pick(_valid(*values))
        single = isinstance(values[0], np.ndarray) and values[0].dtype == np.float32
        return np.float32(picked) if single else picked  # type: ignore[arg-type]  # it is a number

    return function


def _reduction(reduce: Callable[[Floats], object]) -> Callable[..., object]:
    def function(values: object) -> object:
        return reduce(_valid(values))

    return function


def _total(values: object) -> float:
    array = numbers(values)
    return float(np.nansum(array))


def _position(pick: Callable[[Floats], np.intp]) -> Callable[..., object]:
    def function(values: object) -> int:
        _valid(values)
        return int(pick(numbers(values)))

    return function


def _of_one(
    scalar: Callable[[float], float], array: Callable[[Floats], Floats]
) -> Callable[..., object]:
    def function(value: object) -> object:
        value = plain(value)
        if isinstance(value, int | float):
            return scalar(value)
        with np.errstate(all="ignore"):
            return array(numbers(value))

    return function


def _sqrt(value: float) -> float:
    if value < 0:
        raise Fault(f"the square root of {value!r} is no number")
    return math.sqrt(value)


def _log(value: float) -> float:
    if value <= 0:
        raise Fault(f"the logarithm of {value!r} is no number")
    return math.log(value)


def _log10(value: float) -> float:
    if value <= 0:
        raise Fault(f"the logarithm of {value!r} is no number")
    return math.log10(value)


def _angle(scalar: Callable[[float], float]) -> Callable[[float], float]:
    """A function of an angle in radians; none of what is infinite."""

    def function(value: float) -> float:
        if math.isinf(value):
            raise Fault(f"{value!r} is no angle")
        return scalar(value)

    return function


def _atan2(y: object, x: object) -> float:
    values = plain(y), plain(x)
    for value in values:
        if not isinstance(value, int | float):
            raise Fault(f"takes two numbers, not {described(value)}")
    return math.atan2(*values)  # type: ignore[arg-type]  # they were looked at


def _round(value: object, digits: object = None) -> object:
    """To `digits` places, or to a whole number; halves go to the even neighbour (IEEE 754)."""
    value = plain(value)
    places = None if digits is None else whole(digits, "the number of digits")
    if places is not None and abs(places) > 30:
        raise Fault(f"can't round to {places} digits")
    if not is_number(value):
        return np.round(numbers(value), places or 0)
    if isinstance(value, float) and not math.isfinite(value):
        raise Fault(f"can't round {value!r}")
    return round(value, places)  # type: ignore[call-overload]  # mypy can't see that it is a number


def _length(value: object) -> int:
    value = plain(value)
    if isinstance(value, str | list | np.ndarray):
        return len(value)
    raise Fault(f"{described(value)} has no length")


def interp(x0: object, xs: object, ys: object) -> object:
    """The y at `x0` on straight lines between the points; beyond them, that of the nearest end."""
    x, y = _curve(xs, ys)
    at = plain(x0)
    if isinstance(at, int | float):
        return float(np.interp(at, x, y))
    return np.interp(numbers(at), x, y)


def peak(x: object, y: object) -> float:
    """The x of the highest y, refined between the points.

    The top of the parabola through the highest point and its two neighbours, the usual refinement
    of a sampled maximum (J. O. Smith, Spectral Audio Signal Processing, «Quadratic Interpolation
    of Spectral Peaks»); never further from the highest point than halfway to a neighbour. At an
    end of the data it is the end itself, on a plateau (a saturated detector) its middle. Without
    the refinement it is the «peak position» of EPICS' sscan record.
    """
    xs, ys = _curve(x, y)
    top = int(np.argmax(ys))
    last = top
    while last + 1 < ys.size and ys[last + 1] == ys[top]:
        last += 1
    if last > top:
        return float((xs[top] + xs[last]) / 2)
    if top in (0, ys.size - 1):
        return float(xs[top])
    return _vertex(xs[top - 1 : top + 2], ys[top - 1 : top + 2])


def _vertex(x: Floats, y: Floats) -> float:
    """The top of the parabola through three points of which the middle one is the highest."""
    before, after = x[1] - x[0], x[2] - x[1]
    rise, fall = (y[1] - y[0]) / before, (y[1] - y[2]) / after
    # The slopes at the middles of both intervals are rise and -fall; the top is where it is 0.
    offset = (rise * after - fall * before) / (2 * (rise + fall))
    if not math.isfinite(offset):
        return float(x[1])
    return float(x[1] + min(max(offset, -before / 2), after / 2))


def centroid(x: object, y: object) -> float:
    """The centre of mass of y over x, each point weighted by `y - min(y)`.

    Without the lowest y taken off, a constant background would pull it to the middle of the scan.
    """
    xs, ys = _curve(x, y)
    weights = ys - ys.min()
    total = float(weights.sum())
    if not total > 0:
        raise Fault("y is the same everywhere, so that it has no centroid")
    return float((xs * weights).sum() / total)


def fwhm(x: object, y: object) -> float:
    """The full width at half maximum, half way between the lowest and the highest y.

    From the highest point outwards to the first crossing on either side, each found on the
    straight line between two points.

    Raises:
        Fault: The curve does not come down to half its height on both sides.
    """
    xs, ys = _curve(x, y)
    half = (ys.min() + ys.max()) / 2
    top = int(np.argmax(ys))
    if not ys.max() > ys.min():
        raise Fault("y is the same everywhere, so that it has no width")
    left = np.flatnonzero(ys[:top] <= half)
    right = np.flatnonzero(ys[top:] <= half)
    if not left.size or not right.size:
        side = "right" if left.size else "left"
        raise Fault(f"the peak is cut off: no point on its {side} is below half its height")
    low, high = int(left[-1]), top + int(right[0])
    return _crossing(xs, ys, high - 1, half) - _crossing(xs, ys, low, half)


def _crossing(x: Floats, y: Floats, i: int, level: float) -> float:
    """Where the line from point i to point i + 1 passes `level`."""
    return float(x[i] + (level - y[i]) / (y[i + 1] - y[i]) * (x[i + 1] - x[i]))


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {
    "abs": (_of_one(abs, np.abs), 1, 1),
    "min": (_extreme(np.min), 1, 32),
    "max": (_extreme(np.max), 1, 32),
    "sum": (_total, 1, 1),
    "mean": (_reduction(np.mean), 1, 1),
    "std": (_reduction(np.std), 1, 1),
    "median": (_reduction(np.median), 1, 1),
    "sqrt": (_of_one(_sqrt, np.sqrt), 1, 1),
    "exp": (_of_one(math.exp, np.exp), 1, 1),
    "log": (_of_one(_log, np.log), 1, 1),
    "log10": (_of_one(_log10, np.log10), 1, 1),
    "sin": (_of_one(_angle(math.sin), np.sin), 1, 1),
    "cos": (_of_one(_angle(math.cos), np.cos), 1, 1),
    "tan": (_of_one(_angle(math.tan), np.tan), 1, 1),
    "atan2": (_atan2, 2, 2),
    "argmax": (_position(np.nanargmax), 1, 1),
    "argmin": (_position(np.nanargmin), 1, 1),
    "len": (_length, 1, 1),
    "round": (_round, 1, 2),
    "interp": (interp, 3, 3),
    "peak": (peak, 2, 2),
    "centroid": (centroid, 2, 2),
    "fwhm": (fwhm, 2, 2),
}
"""By name: the function, the fewest and the most arguments. `std` divides by n, as numpy does."""

ABOUT_CHANNELS: Mapping[str, Callable[[Environment, str], object]] = {
    "connected": lambda env, channel: bool(env.connected(channel)),
    "severity": lambda env, channel: int(env.severity(channel)),
    "age": lambda env, channel: float(env.age(channel)),
    "timestamp": lambda env, channel: float(env.timestamp(channel)),
    "changed": lambda env, channel: bool(env.changed(channel)),
    "index": lambda env, channel: int(env.index(channel)),
    "data": lambda env, channel: env.data(channel),
}
"""What is asked of a channel by its name, rather than of its value."""
CLOCKS: Mapping[str, Code] = {
    "now": lambda env: float(env.now()),
    "elapsed": lambda env: float(env.elapsed()),
}
"""Functions without arguments, each time another value."""
LATCHED = "latched"
"""Whether a latch of the document is set."""
KNOWN_FUNCTIONS = frozenset(FUNCTIONS) | set(ABOUT_CHANNELS) | set(CLOCKS) | {"pv", LATCHED}
"""Every name that can be called."""
WORDS: Mapping[str, bool | float] = {"true": True, "false": False, "pi": math.pi}
"""Names with a fixed meaning, beside Python's own True and False."""


def check_name(name: str) -> None:
    """Refuse a name that expressions could not use for a parameter, loop variable or `let`.

    Raises:
        InputError: It is no identifier, or means something else already.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise InputError(f"{name!r} is no name: letters, digits and _, beginning with a letter")
    if name in KNOWN_FUNCTIONS or name in WORDS or keyword.iskeyword(name):
        raise InputError(f"{name!r} has a meaning of its own in expressions; take another name")
