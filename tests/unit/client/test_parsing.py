from typing import Any

import numpy as np
import pytest

from orchestrator.client import parse_value
from orchestrator.errors import PutError
from orchestrator.types import Metadata, NativeType

MODE = Metadata(NativeType.ENUM, labels=("Off", "Slow", "1"))


@pytest.mark.parametrize(
    ("metadata", "text", "value"),
    [
        (MODE, "Slow", 1),
        (MODE, "2", 2),
        (MODE, "1", 2),  # a label comes first
        (Metadata(NativeType.ENUM), "3", 3),
        (Metadata(NativeType.STRING), "[1, 2]", "[1, 2]"),
        (Metadata(NativeType.STRING, 5), '["a", "b c"]', ("a", "b c")),
        (Metadata(NativeType.STRING, 5), "a", ("a",)),
        (Metadata(NativeType.CHAR, 40), "12 apples", "12 apples"),
        (Metadata(NativeType.CHAR, 40), "[1, 2]", [1, 2]),
        (Metadata(NativeType.CHAR, 40, text=True), "[1, 2]", "[1, 2]"),
        (Metadata(NativeType.CHAR, text=True), "7", "7"),
        (Metadata(NativeType.CHAR), "7", 7),
        (Metadata(NativeType.DOUBLE), "-1e3", -1000.0),
        (Metadata(NativeType.DOUBLE), "inf", float("inf")),
        (Metadata(NativeType.LONG), "0x10", 16),
        (Metadata(NativeType.LONG), "-5", -5),
        (Metadata(NativeType.DOUBLE, 9), "1 2,3", [1, 2, 3]),
        (Metadata(NativeType.DOUBLE, 9), "[1.5, 2]", [1.5, 2]),
        (Metadata(NativeType.SHORT, 9), "4", [4]),
        (Metadata(NativeType.DOUBLE), "9007199254740992", 2.0**53),
        (Metadata(NativeType.DOUBLE), "-7", -7.0),
        (Metadata(NativeType.FLOAT), "0.7", 0.7),
        (Metadata(NativeType.FLOAT), "-inf", float("-inf")),
        (Metadata(NativeType.LONG), "-2147483648", -(2**31)),
        (Metadata(NativeType.CHAR), "255", 255),
    ],
)
def test_text_is_understood_in_the_channels_own_terms(
    metadata: Metadata, text: str, value: Any
) -> None:
    got = parse_value("x", text, metadata)
    if isinstance(got, np.ndarray):
        assert got.tolist() == value
    else:
        assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("metadata", "text", "message"),
    [
        (MODE, "Fast", "x: 'Fast' is none of its states: 0 Off, 1 Slow, 2 1"),
        (MODE, "3", "x: '3' is none of its states: 0 Off, 1 Slow, 2 1"),
        (MODE, "-1", "x: '-1' is none of its states: 0 Off, 1 Slow, 2 1"),
        (Metadata(NativeType.LONG), "1.5", "x: '1.5' was to be written, it takes an integer"),
        (Metadata(NativeType.DOUBLE), "one", "x: 'one' was to be written, it takes a number"),
        (Metadata(NativeType.DOUBLE, 9), "1,x", "x: 'x' was to be written, it takes a number"),
        (
            Metadata(NativeType.DOUBLE),
            "9007199254740993",
            "x: '9007199254740993' was to be written, but a DOUBLE can't hold the number "
            "9007199254740993 exactly: the nearest is 9007199254740992",
        ),
        (Metadata(NativeType.DOUBLE), "1e400", "x: '1e400' was to be written, it takes a number"),
        (
            Metadata(NativeType.FLOAT),
            "1e39",
            "x: '1e39' was to be written, but a FLOAT holds nothing so large as the number 1e+39",
        ),
        (
            Metadata(NativeType.CHAR),
            "-1",
            "x: '-1' was to be written, but a CHAR holds 0 … 255, not -1",
        ),
        (
            Metadata(NativeType.LONG, 3),
            "[1, 2147483648]",
            "x: '2147483648' was to be written, but a LONG holds -2147483648 … 2147483647, "
            "not 2147483648",
        ),
    ],
)
def test_text_that_the_channel_can_not_take_is_an_error_that_says_what_it_takes(
    metadata: Metadata, text: str, message: str
) -> None:
    with pytest.raises(PutError) as error:
        parse_value("x", text, metadata)
    assert str(error.value) == message
