import pytest

from orchestrator.errors import CheckError, InputError
from orchestrator.language.text.arguments import bind, parse_assignments
from orchestrator.language.text.document import parse

DOCUMENT = parse(
    """
name: scan
parameters:
  start: {default: -1.0, units: mm}
  stop: 1
  points: {type: int, default: 21, min: 2, max: 100}
  mode: {default: fast, choices: [fast, slow]}
  open: true
  label: {type: str}
steps: [{delay: 1}]
"""
)


def bound(**args: object) -> dict[str, object]:
    return bind(DOCUMENT, {"label": "x", **args})


def test_a_default_that_is_not_allowed_is_told_with_its_place_even_where_another_is_given() -> None:
    text = (
        "parameters:\n  a: {default: 3, min: 5}\n  b: {type: int, default: x}\nsteps: [{delay: 1}]"
    )
    with pytest.raises(CheckError) as caught:
        bind(parse(text, "own.yaml"), {"a": 7})
    assert caught.value.findings == [
        "own.yaml:2:16: parameters.a.default: takes a number from 5, not 3",
        "own.yaml:3:27: parameters.b.default: takes a whole number, not the text 'x'",
    ]


def test_what_is_not_given_has_its_default_in_the_order_of_the_document() -> None:
    values = bound()
    assert list(values) == ["start", "stop", "points", "mode", "open", "label"]
    assert values["start"] == -1.0
    assert values["open"] is True


def test_text_is_converted_to_the_parameters_type() -> None:
    values = bound(start="-2.5", points="5", open="false", label="12", mode="slow")
    assert values["start"] == -2.5
    assert values["points"] == 5
    assert values["open"] is False
    assert values["label"] == "12"


def test_whole_numbers_are_numbers_and_float_is_float() -> None:
    assert type(bound(start=2)["start"]) is float
    assert type(bound(points=3.0)["points"]) is int


def test_a_whole_default_without_a_type_allows_any_number() -> None:
    assert bound(stop="0.5")["stop"] == 0.5
    assert type(bound(stop="2")["stop"]) is int


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"strat": 1}, r"unknown parameter 'strat'; did you mean 'start'\?"),
        ({"start": "a"}, "'start' takes a number in mm, not the text 'a'"),
        ({"start": True}, "not true"),
        ({"start": ".nan"}, "takes a number"),
        ({"start": "1e999"}, "too large"),
        ({"points": 2.5}, "'points' takes a whole number from 2 to 100, not the number 2.5"),
        ({"points": "1"}, "takes a whole number from 2 to 100, not 1"),
        ({"points": 101}, "not 101"),
        ({"mode": "fats"}, "'mode' takes one of fast, slow, not 'fats'"),
        ({"open": "yes"}, "takes true or false"),
        ({"open": 1}, "takes true or false"),
        ({"label": 5}, "takes text, not the number 5"),
        ({"start": [1]}, "not a list of 1"),
        ({"start": None}, "not nothing"),
    ],
)
def test_a_wrong_argument_is_told_with_what_is_allowed(args: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        bound(**args)


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(InputError, match=r"scan: parameter 'label' \(text\) must be given"):
        bind(DOCUMENT, {})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(CheckError) as caught:
        bind(DOCUMENT, {"strat": 1, "points": 0})
    assert len(caught.value.findings) == 3


def test_a_default_must_be_allowed_too() -> None:
    document = parse("parameters: {n: {default: 1, min: 2}}\nsteps: [{delay: 1}]")
    with pytest.raises(InputError, match="from 2"):
        bind(document, {})


def test_a_document_without_parameters_takes_none() -> None:
    with pytest.raises(InputError, match="it takes none"):
        bind(parse("steps: [{delay: 1}]"), {"a": 1})


def test_assignments_are_split_at_the_first_equals_sign() -> None:
    assert parse_assignments(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize(
    ("texts", "told"),
    [(["a"], "NAME=VALUE"), (["=1"], "NAME=VALUE"), (["a=1", "a=2"], "given twice")],
)
def test_what_is_no_assignment_is_refused(texts: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_assignments(texts)
