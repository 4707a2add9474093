import math
from typing import Any

import numpy as np
import pytest

from orchestrator.client.channels.put_lane import brief
from orchestrator.client.libca.dbr import is_of_alarm, outgoing, outgoing_number
from orchestrator.errors import PutError
from orchestrator.types import NativeType, Value


@pytest.mark.parametrize(
    ("native", "value", "sent"),
    [
        (NativeType.LONG, True, 1),
        (NativeType.LONG, -(2**31), -(2**31)),
        (NativeType.CHAR, -1, 255),
        (NativeType.CHAR, 255, 255),
        (NativeType.SHORT, 3.0, 3),
        (NativeType.DOUBLE, 3, 3),
    ],
)
def test_a_number_that_the_type_holds_is_sent_as_it_is(
    native: NativeType, value: Value, sent: Any
) -> None:
    assert outgoing("x", value, native, 1)[1].tolist() == [sent]


@pytest.mark.parametrize("native", NativeType)
@pytest.mark.parametrize(
    "value", [1, 1.0, -1.5, 2**15, 2**31, 10**40, math.inf, math.nan, True, "1", (), np.zeros(2)]
)
def test_the_quick_way_sends_the_same_or_leaves_it_to_the_other(
    native: NativeType, value: Value
) -> None:
    quick = outgoing_number(value, native)
    if quick is not None:
        kind, array = outgoing("x", value, native, 1)
        assert (native, array.tobytes(), array.size) == (kind, bytes(quick), 1)


@pytest.mark.parametrize(
    ("native", "value"), [(NativeType.DOUBLE, 1.0), (NativeType.LONG, 1), (NativeType.ENUM, 1)]
)
def test_common_numbers_go_the_quick_way(native: NativeType, value: Value) -> None:
    assert outgoing_number(value, native) is not None


@pytest.mark.parametrize(
    ("native", "value"),
    [
        (NativeType.SHORT, 2**15),
        (NativeType.CHAR, 256),
        (NativeType.LONG, float("nan")),
        (NativeType.LONG, float("inf")),
        (NativeType.LONG, np.array([1.0, 2.5])),
        (NativeType.SHORT, np.array([1, 2**40])),
        (NativeType.STRING, 10**40),
        (NativeType.DOUBLE, 2**53 + 1),
        (NativeType.DOUBLE, np.array([2**53 + 1])),
        (NativeType.FLOAT, 1e39),
        (NativeType.FLOAT, 16_777_217),
        (NativeType.FLOAT, np.array([0.0, -1e39])),
    ],
)
def test_a_number_that_would_be_changed_on_its_way_is_refused(
    native: NativeType, value: Value
) -> None:
    with pytest.raises(PutError, match=r"^x: "):
        outgoing("x", value, native, 5)


@pytest.mark.parametrize("native", [n for n in NativeType if n is not NativeType.STRING])
def test_an_empty_array_is_sent_to_an_array_only(native: NativeType) -> None:
    """libca takes it for a single value too, does nothing, and calls that a success."""
    assert outgoing("x", np.array([]), native, 5)[1].size == 0
    with pytest.raises(PutError, match=r"^x: an empty array was to be written"):
        outgoing("x", np.array([]), native, 1)


def test_a_text_is_sent_as_characters_to_an_array_of_them_only() -> None:
    """What else takes a text makes of it what it can: a menu its choice, a CHAR its number."""
    native, sent = outgoing("x", "Open", NativeType.CHAR, 5)
    assert (native, bytes(sent)) == (NativeType.CHAR, b"Open\0")
    for kind, count in ((NativeType.CHAR, 1), (NativeType.ENUM, 1), (NativeType.SHORT, 5)):
        assert outgoing("x", "65", kind, count)[0] is NativeType.STRING


def test_no_texts_are_sent_as_an_empty_array_of_text() -> None:
    native, sent = outgoing("x", (), NativeType.STRING, 5)
    assert (native, sent.size) == (NativeType.STRING, 0)


def test_an_array_of_the_right_type_is_not_copied() -> None:
    array = np.zeros(5)
    assert outgoing("x", array, NativeType.DOUBLE, 5)[1].base is array


def test_long_values_are_shortened_in_messages() -> None:
    assert brief("x" * 100) == "'" + "x" * 56 + "…"
    assert brief(np.zeros(7)) == "7 elements"
    assert brief(1.5) == "1.5"


@pytest.mark.parametrize(
    ("pv", "tells"),
    [
        ("A:X.STAT", True),
        ("A:X.SEVR", True),
        ("A:X.AMSG$", True),
        ("A:X.UDF", True),
        ("A:X", False),
        ("A:X.VAL", False),
        ("STAT", False),
        ("ORCH:STAT", False),
    ],
)
def test_fields_that_tell_of_the_alarm_are_known_by_their_name(pv: str, tells: bool) -> None:
    assert is_of_alarm(pv) is tells
