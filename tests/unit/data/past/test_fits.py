"""Curves are found again in points that were made of them, with noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.past.fits import Floats, fit_curve
from orchestrator.errors import InputError

X = np.linspace(-1.0, 3.0, 81)


def gauss(x: Floats, center: float, width: float, height: float, background: float) -> Floats:
    return height * 2.0 ** (-(((x - center) / (width / 2)) ** 2)) + background


def lorentz(x: Floats, center: float, width: float, height: float, background: float) -> Floats:
    return height * (width / 2) ** 2 / ((x - center) ** 2 + (width / 2) ** 2) + background


def edge(x: Floats, center: float, width: float, height: float, background: float) -> Floats:
    """The integral of the Gaussian, by sums."""
    fine = np.linspace(center - 5 * width, center + 5 * width, 20_001)
    sums = np.cumsum(gauss(fine, center, width, 1.0, 0.0))
    return height * np.interp(x, fine, sums / sums[-1]) + background


CURVES = {"gauss": gauss, "lorentz": lorentz, "edge": edge}


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize(
    ("center", "width", "height", "background"),
    [(0.7, 0.5, 1000.0, 50.0), (1.9, 0.3, -2.0, 5.0), (0.0, 1.1, 1e-9, 0.0), (1.0, 0.4, 3e6, -1e6)],
)
def test_a_curve_is_found_within_its_errors(
    kind: str, center: float, width: float, height: float, background: float
) -> None:
    noise = np.random.default_rng(5).normal(0, abs(height) * 0.01, X.size)
    found = fit_curve(kind, X, CURVES[kind](X, center, width, height, background) + noise)
    for value, error, meant in (
        (found.center, found.center_error, center),
        (found.width, found.width_error, width),
        (found.height, found.height_error, height),
        (found.background, found.background_error, background),
    ):
        assert abs(value - meant) < 5 * error
    assert found.center_error < 0.05 * width
    assert found.height_error < 0.05 * abs(height)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(sorted(CURVES)),
    center=st.floats(-0.3, 2.3),
    width=st.floats(0.2, 1.2),
    height=st.floats(0.1, 1e6),
    sign=st.sampled_from([1, -1]),
)
def test_any_curve_without_noise_is_found(
    kind: str, center: float, width: float, height: float, sign: int
) -> None:
    y = CURVES[kind](X, center, width, sign * height, height / 3)
    found = fit_curve(kind, X, y)
    assert math.isclose(found.center, center, abs_tol=0.01)
    assert math.isclose(found.width, width, rel_tol=0.02)
    assert math.isclose(found.height, sign * height, rel_tol=0.02)
    assert np.allclose(found.curve(X), y, atol=0.01 * height)


def test_the_order_of_the_points_and_those_that_are_none_do_not_matter() -> None:
    order = np.random.default_rng(1).permutation(X.size)
    y = gauss(X, 1.0, 0.5, 10.0, 1.0)
    y[3] = np.nan
    found = fit_curve("gauss", X[order], y[order])
    assert math.isclose(found.center, 1.0, abs_tol=1e-6)


def test_the_errors_are_as_large_as_what_repeated_fits_differ_by() -> None:
    random, centers, errors = np.random.default_rng(2), [], []
    for _ in range(100):
        y = gauss(X, 1.0, 0.5, 10.0, 1.0) + random.normal(0, 0.3, X.size)
        found = fit_curve("gauss", X, y)
        centers.append(found.center)
        errors.append(found.center_error)
    assert 0.7 < np.std(centers) / np.mean(errors) < 1.4


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 1.0, 0.0], "4 different points are too few"),
        ([1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0], "1 different points"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5, "all values are 2"),
    ],
)
def test_what_can_not_be_fitted_is_told(x: list[float], y: list[float], why: str) -> None:
    with pytest.raises(InputError, match=why):
        fit_curve("gauss", np.array(x), np.array(y))
