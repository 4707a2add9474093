"""The points of a loop, each computed by its index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import overload

from orchestrator.errors import InputError

REACHED = Fraction(1, 10**9)
"""Of a step: how far off a whole number of steps the end may lie and still be visited."""
_INT_BITS = 64
MOST_POINTS = 10_000_000
"""More are taken for a slip in the step."""


@dataclass(frozen=True, slots=True)
class Points(Sequence[float]):
    """The points from start to end, none of them stored; `len(points)`, `points[i]`.

    Point i is the float nearest to `(first + i * stride) / scale`: rounded once, never added up.
    """

    first: int
    stride: int
    scale: int
    number: int
    last: float | None
    """The end as it was given, where it is visited."""
    exact_end: bool
    """Whether the end is visited; if not, the last point lies before it."""

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice):
            return [self._point(i) for i in range(*index.indices(self.number))]
        if not -self.number <= index < self.number:
            raise IndexError(index)
        return self._point(index % self.number)

    def _point(self, index: int) -> float:
        if self.last is not None and index == self.number - 1:
            return self.last
        point = self.first + index * self.stride
        if self.scale == 1 and point.bit_length() <= _INT_BITS and float(point) != point:
            return point  # no float is this one
        # Division of two ints is correctly rounded, also where they exceed every float.
        return point / self.scale


def range_points(
    start: object,
    stop: object,
    step: object = None,
    num: object = None,
    *,
    to_the_end: bool = False,
) -> Points:
    """The points from `start` to `stop`, by `step` or as `num` evenly spaced ones.

    Numbers are taken as they are written (0.1 is a tenth), so that -1 … 1 by 0.1 has 21 points,
    one of them 0.3. With `step`, `stop` is visited only if a whole number of steps reaches it
    within 1e-9 of a step, or `to_the_end`: then it is one point more. A point that reaches `stop`
    is `stop` as given.

    Raises:
        InputError: A step of zero or of the wrong sign, `num` below 1 or not whole, a number that
            is not finite, both or neither of `step` and `num`, or more than 10 million points.
    """
    first, end = _exact(start, "from"), _exact(stop, "to")
    if (step is None) == (num is None):
        raise InputError("a range needs either a step or a num")
    if step is not None:
        points = _by_step(first, end, _exact(step, "step"), _end(stop))
        if to_the_end and not points.exact_end:
            return replace(points, number=points.number + 1, last=_end(stop), exact_end=True)
        return points
    return _by_number(first, end, _whole(num), _end(stop))


def _by_step(first: Fraction, end: Fraction, step: Fraction, stop: float) -> Points:
    if step == 0:
        raise InputError("the step of a range is 0")
    steps = (end - first) / step
    if steps < -REACHED:
        raise InputError(
            f"a step of {_shown(step)} leads away: from {_shown(first)} to {_shown(end)} "
            f"it has to be {'positive' if end > first else 'negative'}"
        )
    whole = round(steps)
    reached = abs(steps - whole) <= REACHED
    number = (whole if reached else math.floor(steps)) + 1
    return _points(first, step, number, stop if reached else None)


def _by_number(first: Fraction, end: Fraction, num: int, stop: float) -> Points:
    if num == 1:
        return _points(first, Fraction(0), 1, stop if first == end else None)
    return _points(first, (end - first) / (num - 1), num, stop)


def _points(first: Fraction, step: Fraction, number: int, last: float | None) -> Points:
    if number > MOST_POINTS:
        raise InputError(f"the range has {number:,} points; at most {MOST_POINTS:,} are allowed")
    scale = math.lcm(first.denominator, step.denominator)
    return Points(
        first=int(first * scale),
        stride=int(step * scale),
        scale=scale,
        number=number,
        last=last,
        exact_end=last is not None,
    )


def _number(value: object, field: str) -> float | int:
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise InputError(f"{field!r} of a range has to be a number, not {value!r}")
    if not math.isfinite(value):
        raise InputError(f"{field!r} of a range has to be finite, not {value!r}")
    return value


def _end(stop: object) -> float:
    number = _number(stop, "to")
    return number if float(number) != number else float(number)


def _exact(value: object, field: str) -> Fraction:
    """The number as it is written: the shortest decimal that gives this float."""
    number = _number(value, field)
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


def _whole(value: object) -> int:
    number = _number(value, "num")
    if number != int(number) or number < 1:
        raise InputError(f"'num' of a range has to be a whole number from 1, not {value!r}")
    return int(number)


def _shown(value: Fraction) -> str:
    return f"{float(value):.12g}"
