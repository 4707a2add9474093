"""What a number is as a FLOAT, and what was meant by one that a FLOAT holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.language.values.number_types import shortest


@pytest.mark.parametrize("meant", [0.7, 0.1, 0.3, -0.7, 1e-30, 16777216.0, 3.4e38, 0.0, 1.0])
def test_a_number_read_from_a_float_is_the_decimal_that_was_meant(meant: float) -> None:
    assert shortest(float(np.float32(meant))) == meant


@pytest.mark.parametrize(
    "number",
    # What no FLOAT holds: the nearest one that it does is above some of these, below the others.
    [0.7, 0.1, 0.3, -0.7, 16777217.0, 1e39, -1e39, math.inf, -math.inf],
)
def test_what_no_float_holds_is_left_as_it_is(number: float) -> None:
    assert shortest(number) == number
