"""Values as JSON and back."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from orchestrator.config import Config, NotifyConfig, load_config
from orchestrator.errors import CheckError, NotConnectedError
from orchestrator.replay.codec import RecordingError, UnrecordableError, decode, encode
from orchestrator.replay.record import _header
from orchestrator.types import (
    Command,
    LinkChange,
    Metadata,
    NativeType,
    Reading,
    Severity,
    Verb,
)


def there_and_back(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False), st.binary()
)
nested = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    ),
    max_leaves=10,
)
numeric = arrays.arrays(
    dtype=arrays.scalar_dtypes().filter(lambda dtype: dtype.kind in "biuf"),
    shape=arrays.array_shapes(max_dims=1, min_side=0),
)


@given(nested)
def test_plain_values_come_back_as_they_were(value: object) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


@given(numeric)
def test_arrays_come_back_bit_by_bit(array: Any) -> None:
    back = there_and_back(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32(1.1), -0.0])
def test_odd_numbers_come_back(value: Any) -> None:
    back = there_and_back(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "item",
    [
        Reading("a.x", 1, 2.5, Severity.MAJOR, 3, unconfirmed=True, received=7.25),
        Reading("a.s", ("one", "two"), 0.1),
        LinkChange("a.x", True, Metadata(NativeType.ENUM, 1, labels=("Off", "On"))),
        Command(Verb.START, 3, args={"points": 5}, document="steps: []", owner="me@here"),
    ],
)
def test_what_the_queues_carry_comes_back(item: object) -> None:
    back = there_and_back(item)
    assert back == item
    assert repr(back) == repr(item)


@pytest.mark.parametrize("error", [NotConnectedError("a.x is lost"), CheckError(["one", "two"])])
def test_errors_come_back_with_their_kind_and_text(error: Exception) -> None:
    back = there_and_back(error)
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_a_configuration_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "orchestrator.toml"
    file.write_text("""
        prefix = "T:"
        [chain.a]
        prefix = "A:"
        channels.x = { pv = "X", stop = "X.STOP", buffer = 5, type = "double" }
        [suspend.beam]
        when = "a.x < 50"
        resume = "a.x > 80"
        settle = 5
        rewind = "checkpoint"
    """)
    config = load_config(file)
    assert there_and_back(config) == config
    assert there_and_back(Config()) == Config()


@pytest.mark.parametrize("value", [object(), np.array([object()]), {1, 2}, [print]])
def test_what_can_t_be_recorded_is_named(value: object) -> None:
    with pytest.raises(UnrecordableError, match="can't be recorded"):
        encode(value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"!Future": {}}, "this version knows no Future"),
        ({"!Reading": {"channel": "x", "colour": "red"}}, "colour"),
        ({"!array": ["<f8", [3], "AAAA"]}, "array can't be read"),
        ({"!Severity": 17}, "17"),
    ],
)
def test_what_another_version_wrote_is_an_error_that_says_so(data: Any, text: str) -> None:
    with pytest.raises(RecordingError, match=text):
        decode(data)


def test_a_recording_has_no_password_of_who_is_told() -> None:
    notify = NotifyConfig(("mailto://me:secret@desk",))
    header = _header(Config(notify=notify), datetime(2026, 1, 31, tzinfo=UTC))
    assert "secret" not in json.dumps(encode(header))
