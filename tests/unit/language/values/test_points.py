import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.language.values.points import MOST_POINTS, range_points

decimals = st.decimals(-1000, 1000, places=4, allow_nan=False).map(float)
steps = st.decimals("0.001", 50, places=3, allow_nan=False).map(float)


def exact(value: float) -> Fraction:
    return Fraction(repr(value))


@given(decimals, decimals, steps)
def test_points_by_step_are_those_of_exact_fractions(
    start: float, stop: float, size: float
) -> None:
    step = math.copysign(size, stop - start)
    steps_there = (exact(stop) - exact(start)) / exact(step)
    assume(steps_there < 100_000)
    points = range_points(start, stop, step=step)
    assert len(points) == math.floor(steps_there) + 1
    assert points.exact_end == (steps_there.denominator == 1)
    for i in {0, 1, len(points) // 2, len(points) - 1} & set(range(len(points))):
        assert points[i] == float(exact(start) + i * exact(step))
    assert not points.exact_end or points[-1] == stop


@given(decimals, decimals, st.integers(1, 10_000))
def test_points_by_number_are_those_of_exact_fractions(start: float, stop: float, num: int) -> None:
    points = range_points(start, stop, num=num)
    assert len(points) == num
    assert points[0] == start or num == 1
    for i in {1, num // 2, num - 2} & set(range(1, num)):
        stride = (exact(stop) - exact(start)) / (num - 1)
        assert points[i] == float(exact(start) + i * stride)
    if num > 1:
        assert points[num - 1] == stop


def test_the_end_is_visited_once_where_steps_reach_it() -> None:
    # CS-Studio's scan server visited 1.3 twice, adding up 0.1.
    assert list(range_points(1, 1.3, step=0.1)) == [1.0, 1.1, 1.2, 1.3]
    assert list(range_points(-1, 1, step=0.1))[13] == 0.3


def test_a_step_that_is_off_by_rounding_still_reaches_the_end_exactly() -> None:
    points = range_points(0.0, 0.1 + 0.2, step=0.1)
    assert (len(points), points[-1], points.exact_end) == (4, 0.1 + 0.2, True)


def test_an_end_off_by_more_than_a_billionth_of_a_step_is_not_visited() -> None:
    assert len(range_points(0, 1 - 2e-9, step=1)) == 1
    assert len(range_points(0, 1 - 0.5e-9, step=1)) == 2


def test_without_a_whole_number_of_steps_the_last_point_lies_before_the_end() -> None:
    points = range_points(0, 1, step=0.3)
    assert list(points) == [0.0, 0.3, 0.6, 0.9]
    assert not points.exact_end


def test_points_run_downwards_too() -> None:
    assert list(range_points(1, 0, step=-0.5)) == [1.0, 0.5, 0.0]
    assert list(range_points(1, 0, num=3)) == [1.0, 0.5, 0.0]


def test_a_range_without_length_has_one_point() -> None:
    assert list(range_points(2, 2, step=-1)) == [2.0]
    assert list(range_points(0, 5, num=1)) == [0.0]
    assert not range_points(0, 5, num=1).exact_end


def test_points_are_a_sequence() -> None:
    points = range_points(0, 4, num=5)
    assert points[1:3] == [1.0, 2.0]
    assert points[-2] == 3.0
    assert 3.0 in points
    with pytest.raises(IndexError):
        points[5]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"step": 0}, "step of a range is 0"),
        ({"step": -0.1}, "has to be positive"),
        ({"num": 0}, "whole number from 1"),
        ({"num": 2.5}, "whole number from 1"),
        ({"num": math.inf}, "finite"),
        ({"step": math.nan}, "finite"),
        ({"step": "1"}, "has to be a number"),
        ({"num": True}, "has to be a number"),
        ({"step": 1, "num": 2}, "either a step or a num"),
        ({}, "either a step or a num"),
        ({"step": 1e-12}, "points; at most"),
        ({"num": MOST_POINTS + 1}, "points; at most"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        range_points(0, 1, **arguments)


def test_huge_numbers_are_points_too() -> None:
    points = range_points(-1.7e308, 1.7e308, num=3)
    assert list(points) == [-1.7e308, 0.0, 1.7e308]
