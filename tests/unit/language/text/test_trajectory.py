import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.language.text.trajectory import (
    MOST_ITEMS,
    MOST_TEXT,
    is_trajectory,
    parse_trajectory,
    trajectory_text,
)
from orchestrator.language.values.points import range_points

numbers = st.one_of(
    st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False)
)
scalars = st.one_of(numbers, st.text(max_size=20))
arguments = st.dictionaries(
    st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True),
    st.one_of(scalars, st.booleans()),
    max_size=4,
)
items = st.lists(st.one_of(scalars, arguments), min_size=1, max_size=30)
small = st.integers(-50, 50)


@given(items)
def test_what_is_written_as_json_is_what_is_loaded(given: list[Any]) -> None:
    assert list(parse_trajectory(json.dumps(given))) == given
    assert list(parse_trajectory(trajectory_text(given))) == given


@given(small, small, st.sampled_from([1, 2, 0.5, 0.1, 3]))
def test_linear_has_the_points_of_a_range(start: int, end: int, step: float) -> None:
    step = step if end >= start else -step
    text = f"linear(start={start}, end={end}, step={step})"
    assert list(parse_trajectory(text)) == list(range_points(start, end, step))


@given(st.text(max_size=60))
def test_any_text_is_a_trajectory_or_an_input_error(text: str) -> None:
    for candidate in (text, f"[{text}]", f"linear({text})", f"linear(start={text}, end=1, step=1)"):
        try:
            trajectory = parse_trajectory(candidate)
        except InputError:
            continue
        assert 0 < len(trajectory) <= MOST_ITEMS


def test_points_are_computed_by_their_index() -> None:
    trajectory = parse_trajectory("linear(start=0, end=1, step=0.1)")
    assert list(trajectory) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert list(parse_trajectory(" linear( 0 , 1 , num = 3 ) ")) == [0, 0.5, 1]


@pytest.mark.parametrize("text", ["linear(0, 3, 1)", "linear(0, 3, step=1)", "linear(3, 0, -1)"])
def test_that_the_end_is_a_point_is_told_where_arange_is_expected(text: str) -> None:
    trajectory = parse_trajectory(text)
    assert len(trajectory) == 4
    first, last = int(trajectory[0]), int(trajectory[-1])  # type: ignore[arg-type]
    assert f"{text} has 4 points, {first} … {last}: the end is one of them" in trajectory.remark


@pytest.mark.parametrize("text", ["linear(start=0, end=3, step=1)", "linear(0, 3.5, 1)", "[0, 1]"])
def test_nothing_is_told_where_nothing_else_can_be_meant(text: str) -> None:
    assert parse_trajectory(text).remark == ""


def test_values_shows_numbers_and_nan_for_the_rest() -> None:
    shown = parse_trajectory('[1, "a", {"x": 2}, 2.5]').numbers
    assert shown[0] == 1.0
    assert math.isnan(shown[1])
    assert math.isnan(shown[2])
    assert shown[3] == 2.5


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_an_index_beyond_it_is_told_with_what_there_is(index: int) -> None:
    with pytest.raises(InputError, match=rf"no index {index}: 0 … 2 are loaded"):
        parse_trajectory("[1, 2, 3]").at(index)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "empty"),
        ("[1, 2", "at character 6"),
        ("[1, NaN]", "NaN can't be an item"),
        ("[-Infinity]", "finite"),
        ("[1e999]", "item 0 of the trajectory has to be a finite number"),
        ("[true]", "item 0 of the trajectory has to be a number"),
        ("[1, [2]]", "item 1"),
        ("[null]", "item 0"),
        ('[{"a": 1, "a": 2}]', "'a' stands twice"),
        ('[{"a b": 1}]', "names no argument"),
        ('[{"a": [1]}]', "argument 'a'"),
        ("[" * 100_000, "65,535"),
        ("[" * 60_000, "at character 51: nested more than 50 levels"),
        ("[1" + "0" * 5000 + "]", "finite|can't be read"),
        ("linear(start=0, end=10, step=-1)", "leads away.*has to be positive"),
        ("linear(start=10, end=0, step=1)", "has to be negative"),
        ("linear(start=0, end=10, step=0)", "is 0"),
        ("linear(start=0, end=10)", "one of 'step' and 'num'"),
        ("linear(start=0, end=10, step=1, num=11)", "one of 'step' and 'num'"),
        ("linear(end=10, step=1)", "needs 'start'"),
        ("linear(start=0, stop=10, step=1)", "at character 17: unknown argument 'stop'"),
        ("linear(start=0, start=1, end=3, step=1)", "'start' is given twice"),
        ("linear(start=0, 10, 1, 2)", "linear, at character 24: name this argument"),
        ("linear(start=nan, end=10, step=1)", "'start' has to be a number, not 'nan'"),
        (f"linear(start=0, end={'x' * 40}, step=1)", f"not '{'x' * 40}'"),
        (f"linear(start=0, end={'x' * 41}, step=1)", f"not '{'x' * 39}…'"),
        ("linear(start=0, end=inf, step=1)", "at character 21: 'end'"),
        ("linear(start=0, end=1e999, step=1)", "finite"),
        ("linear(start=0, end=1e308, step=1e-300)", "allowed"),
        ("linear(start=0, end=10, step=1); import os", "expected the end"),
        ("linear(start=__import__('os'), end=1, step=1)", "at character"),
        ("linear(start=0, end=100000, step=1)", "100,001 points; at most 10,000"),
        ("linear(0, 1, 0.1", "at character"),
        ("range(10)", "is no trajectory"),
        ("", "is no trajectory"),
    ],
)
def test_what_is_no_trajectory_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_trajectory(text)


def test_its_size_is_bounded_and_the_bound_told() -> None:
    with pytest.raises(InputError, match="10,001 items; at most 10,000"):
        parse_trajectory(json.dumps([0] * (MOST_ITEMS + 1)))
    with pytest.raises(InputError, match=f"at most {MOST_TEXT:,}"):
        trajectory_text(["a" * MOST_TEXT])
    assert len(parse_trajectory(json.dumps([0] * MOST_ITEMS))) == MOST_ITEMS


@pytest.mark.parametrize("given", [[math.nan], [math.inf], [[1]], [None], [{1: 2}], [], [10**400]])
def test_items_that_are_none_are_refused_before_they_are_sent(given: list[Any]) -> None:
    with pytest.raises(InputError):
        trajectory_text(given)


def test_what_begins_like_a_trajectory_is_meant_as_one() -> None:
    assert is_trajectory(" [1, 2")
    assert is_trajectory("linear (0, 1, 1)")
    assert not is_trajectory("run linear")
    assert not is_trajectory('{"steps": []}')
