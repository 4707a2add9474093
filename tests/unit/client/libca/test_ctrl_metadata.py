"""What a server says with FORMAT_CTRL, from libca's memory."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import pytest
from epicscorelibs.ca import dbr

from orchestrator.client.libca.ctrl_metadata import Details, describer
from orchestrator.types import Limits, NativeType

NUMBERS = {
    NativeType.SHORT: dbr.dbr_ctrl_short,
    NativeType.FLOAT: dbr.dbr_ctrl_float,
    NativeType.CHAR: dbr.dbr_ctrl_char,
    NativeType.LONG: dbr.dbr_ctrl_long,
    NativeType.DOUBLE: dbr.dbr_ctrl_double,
}


def described(native: NativeType, structure: Any) -> Details:
    code, describe = describer(native)
    assert dbr.DbrCodeToType[code] is type(structure)
    return describe(ctypes.addressof(structure), code, 1)


def a_number(native: NativeType, **others: Any) -> Any:
    fields = {
        "units": b"mm",
        "lower_ctrl_limit": 1,
        "upper_ctrl_limit": 100,
        "lower_disp_limit": 2,
        "upper_disp_limit": 90,
        "lower_warning_limit": 3,
        "upper_warning_limit": 80,
        "lower_alarm_limit": 4,
        "upper_alarm_limit": 70,
    }
    return NUMBERS[native](**(fields | others))


@pytest.mark.parametrize("native", NUMBERS)
def test_a_number_has_units_and_four_pairs_of_limits(native: NativeType) -> None:
    precise = native in (NativeType.FLOAT, NativeType.DOUBLE)
    given = a_number(native, **({"precision": 3} if precise else {}))
    assert described(native, given) == Details(
        units="mm",
        precision=3 if precise else None,
        control=Limits(1, 100),
        display=Limits(2, 90),
        warning=Limits(3, 80),
        alarm=Limits(4, 70),
    )


def test_the_value_and_its_alarm_are_no_part_of_it() -> None:
    one = a_number(NativeType.DOUBLE)
    other = a_number(NativeType.DOUBLE, status=17, severity=3)
    other.raw_value[0] = 5.5
    assert described(NativeType.DOUBLE, one) is described(NativeType.DOUBLE, other)


@pytest.mark.parametrize("field", ["units", "precision", "upper_ctrl_limit", "lower_alarm_limit"])
def test_whatever_else_changes_is_seen(field: str) -> None:
    before = described(NativeType.DOUBLE, a_number(NativeType.DOUBLE))
    changed = a_number(NativeType.DOUBLE, **{field: b"um" if field == "units" else 7})
    assert described(NativeType.DOUBLE, changed) != before


def test_units_may_fill_their_eight_bytes_and_be_latin_1() -> None:
    given = a_number(NativeType.DOUBLE, units=b"\xb0C/12345")
    assert described(NativeType.DOUBLE, given).units == "°C/12345"


def test_a_limit_that_is_nan_does_not_limit() -> None:
    nan = math.nan
    given = a_number(NativeType.DOUBLE, lower_alarm_limit=nan, upper_alarm_limit=nan)
    given.lower_warning_limit = nan
    got = described(NativeType.DOUBLE, given)
    assert (got.alarm, got.warning) == (Limits(), Limits(-math.inf, 80))


def test_an_enum_has_as_many_labels_as_its_server_says() -> None:
    given = dbr.dbr_ctrl_enum(no_str=2)
    for index, label in enumerate([b"Off", b"On", b"left over"]):
        given.raw_strs[index].value = label
    assert described(NativeType.ENUM, given) == Details(labels=("Off", "On"))


def test_a_text_has_none() -> None:
    assert described(NativeType.STRING, dbr.dbr_time_string()) == Details()
