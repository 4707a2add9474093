import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.expressions.functions import FUNCTIONS, centroid, fwhm, interp, peak
from orchestrator.language.values.operations import Fault

X = np.linspace(-1, 1, 21)
NAN = math.nan


def gauss(x: np.ndarray, centre: float, sigma: float = 0.2) -> np.ndarray:
    return 100 * np.exp(-((x - centre) ** 2) / (2 * sigma**2))


def call(name: str, *arguments: object) -> object:
    return FUNCTIONS[name][0](*arguments)


@given(st.floats(-0.8, 0.8))
def test_peak_finds_a_smooth_maximum_between_the_points(centre: float) -> None:
    assert peak(X, gauss(X, centre)) == pytest.approx(centre, abs=0.01)


@given(st.lists(st.floats(0, 1000), min_size=3, max_size=30))
def test_peak_is_never_further_from_the_highest_point_than_half_a_step(y: list[float]) -> None:
    x = np.arange(len(y), dtype=float)
    top = np.flatnonzero(np.array(y) == max(y))
    assert top[0] - 0.5 <= peak(x, y) <= top[-1] + 0.5


def test_peak_at_an_end_is_the_end() -> None:
    assert peak([0, 1, 2], [5, 3, 1]) == 0
    assert peak([0, 1, 2], [1, 3, 5]) == 2
    assert peak([7], [1]) == 7


def test_peak_of_a_saturated_detector_is_the_middle_of_its_plateau() -> None:
    assert peak([0, 1, 2, 3, 4], [0, 9, 9, 9, 0]) == 2


def test_a_curve_may_come_in_any_order_with_points_repeated_or_missing() -> None:
    x, y = [2, 0, 1, 1, 3], [1, 1, 4, 6, NAN]
    assert peak(x, y) == 1
    assert interp(0.5, x, y) == 3.0


def test_peak_of_uneven_points_is_the_top_of_the_parabola_through_them() -> None:
    x = np.array([0.0, 1.0, 1.5])
    assert peak(x, 5 - (x - 0.9) ** 2) == pytest.approx(0.9)


def test_centroid_is_not_pulled_to_the_middle_by_a_background() -> None:
    assert centroid(X, gauss(X, 0.3, 0.1) + 1000) == pytest.approx(0.3, abs=0.005)


def test_fwhm_of_a_gaussian_is_2_355_sigma_whatever_its_background() -> None:
    assert fwhm(X, gauss(X, 0.1) + 50) == pytest.approx(2.355 * 0.2, rel=0.02)
    assert fwhm([0, 1, 2, 3, 4], [0, 0, 2, 0, 0]) == 1.0


@pytest.mark.parametrize("y", [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
def test_fwhm_of_a_peak_that_is_cut_off_is_an_error(y: list[float]) -> None:
    with pytest.raises(Fault, match=r"cut off: no point on its (left|right)"):
        fwhm([0, 1, 2, 3, 4], y)


@pytest.mark.parametrize("function", [centroid, fwhm])
def test_a_flat_curve_has_neither_centroid_nor_width(function: object) -> None:
    with pytest.raises(Fault, match="y is the same everywhere"):
        function([1, 2, 3], [4, 4, 4])  # type: ignore[operator]  # both are functions


@pytest.mark.parametrize("function", [peak, centroid, fwhm])
def test_a_curve_needs_points(function: object) -> None:
    with pytest.raises(Fault, match="there are no points"):
        function([], [])  # type: ignore[operator]  # all are functions
    with pytest.raises(Fault, match="all points are NaN"):
        function([1], [NAN])  # type: ignore[operator]  # as above
    with pytest.raises(Fault, match="different lengths, 1 and 2"):
        function([1], [1, 2])  # type: ignore[operator]  # as above
    with pytest.raises(Fault, match="needs a list or an array"):
        function("ab", [1, 2])  # type: ignore[operator]  # as above


def test_interp_beyond_the_points_is_the_nearest_end() -> None:
    assert interp(-9, [0, 1], [3, 4]) == 3
    np.testing.assert_array_equal(interp([0.5, 9], [0, 1], [3, 4]), [3.5, 4])


def test_nan_is_left_out_of_what_looks_at_all_points() -> None:
    y = np.array([NAN, 3.0, 1.0, NAN, 2.0])
    found = {n: call(n, y) for n in ("min", "max", "sum", "mean", "median", "argmax", "argmin")}
    assert found == {"min": 1, "max": 3, "sum": 6, "mean": 2, "median": 2, "argmax": 1, "argmin": 2}
    assert call("std", y) == pytest.approx(np.std([3, 1, 2]))
    assert call("max", NAN, 1.0) == 1


def test_nan_stays_where_each_element_is_worked_on() -> None:
    np.testing.assert_array_equal(call("sqrt", [4, NAN, -1]), [2, NAN, NAN])
    np.testing.assert_array_equal(call("abs", np.array([-1, NAN])), [1, NAN])
    np.testing.assert_array_equal(call("round", [1.26, NAN], 1), [1.3, NAN])


@pytest.mark.parametrize("name", ["min", "max", "mean", "std", "median", "argmax", "argmin"])
def test_nothing_has_no_extreme_and_no_mean(name: str) -> None:
    with pytest.raises(Fault, match="there are no values"):
        call(name, np.array([]))
    with pytest.raises(Fault, match="all values are NaN"):
        call(name, [NAN])


def test_nothing_sums_up_to_nothing() -> None:
    assert call("sum", np.array([])) == 0


def test_whole_numbers_stay_whole() -> None:
    assert type(call("max", 1, 2)) is int
    assert type(call("argmax", [1, 5])) is int
    assert type(call("abs", -3)) is int
    assert type(call("round", 2.5)) is int


def test_halves_are_rounded_to_even() -> None:
    assert (call("round", 2.5), call("round", 3.5)) == (2, 4)


def test_length_is_that_of_text_list_or_array() -> None:
    assert [call("len", v) for v in ("abc", [1], np.zeros(5))] == [3, 1, 5]
    with pytest.raises(Fault, match="the number 3 has no length"):
        call("len", 3)


def test_logarithm_is_the_natural_one() -> None:
    assert call("log", math.e) == 1
    assert call("exp", 1) == math.e
