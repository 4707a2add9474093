"""Numbers as text, held against EPICS base's own."""

from __future__ import annotations

import ctypes
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ioc.pvs.decimal import record_text
from orchestrator.startup.libca import library

_COM = ctypes.CDLL(library("Com"))


def of_epics(value: float, precision: int, *, single: bool = False) -> str:
    text = ctypes.create_string_buffer(400)
    convert, kind = (
        (_COM.cvtFloatToString, ctypes.c_float)
        if single
        else (_COM.cvtDoubleToString, ctypes.c_double)
    )
    convert(kind(value), text, ctypes.c_uint16(precision & 0xFFFF))
    return text.value.decode()


VALUES = [0.0, -0.0, 1.23456789, -0.5, 1e7, 1.5e7, -2.5e9, 1e15, 2e16, -3e300, 9.9999, 1e-9]


@pytest.mark.parametrize("precision", [0, 1, 3, 8, 9, 15, 17, 40, -2, -400, 32767])
@pytest.mark.parametrize("value", [*VALUES, math.nan, math.inf, -math.inf])
def test_a_double_is_worded_as_epics_does(value: float, precision: int) -> None:
    assert record_text(value, precision) == of_epics(value, precision)


@pytest.mark.parametrize("precision", [0, 3, 8, 9, 12, 15])
@pytest.mark.parametrize("value", [0.0, 0.5, -1.25, 2e7, 1e8, -1e9, math.nan, math.inf])
def test_a_float_is_worded_as_epics_does(value: float, precision: int) -> None:
    assert record_text(value, precision, single=True) == of_epics(value, precision, single=True)


@given(st.floats(-1e8, 1e8), st.integers(0, 8))
def test_every_number_is_rounded_as_epics_does(value: float, digits: int) -> None:
    assert record_text(value, digits) == of_epics(value, digits)
