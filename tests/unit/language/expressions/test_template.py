import numpy as np
import pytest

from orchestrator.errors import InputError
from orchestrator.language.expressions.functions import check_name
from orchestrator.language.expressions.template import (
    as_text,
    compile_bare,
    compile_text,
    compile_value,
)
from orchestrator.language.names import Names
from tests.unit.language.conftest import World

WORLD = World(channels={"stage.x": 1.25, "SIM:Y": "on"}, variables={"x": 0.5, "n": 3})


def value(text: object, names: Names, **options: bool) -> object:
    return compile_value(text, names, ["x", "n"], {"p": 21, "flag": True}, **options).evaluate(
        WORLD
    )


def test_exactly_a_name_is_its_typed_value(names: Names) -> None:
    assert value("$(x)", names) == 0.5
    assert value("$(p)", names) == 21
    assert value("$(flag)", names) is True


def test_inside_longer_text_a_name_is_formatted(names: Names) -> None:
    assert value("at $(x) of $(p), $(flag)", names) == "at 0.5 of 21, true"


def test_a_leading_equals_sign_begins_an_expression(names: Names) -> None:
    assert value("=x * 2 + stage.x", names) == 2.25


def test_doubled_signs_are_literals(names: Names) -> None:
    assert value("==x", names) == "=x"
    assert value("$$(x) $(n)", names) == "$(x) 3"
    assert value("==$(n)", names) == "=3"


def test_other_text_is_text(names: Names) -> None:
    assert value("Open", names) == "Open"
    assert value("5 $ (x) $", names) == "5 $ (x) $"
    assert value("", names) == ""


def test_what_is_no_text_is_itself(names: Names) -> None:
    assert value(5, names) == 5
    assert value(True, names) is True
    assert value([1, "$(x)", "=n"], names) == [1, 0.5, 3]


def test_a_value_is_constant_unless_it_needs_something(names: Names) -> None:
    assert compile_value(["$(p)", "a$(p)"], names, (), {"p": 1}).constant
    operand = compile_value(["$(x)", "=stage.x"], names, ["x"], {})
    assert not operand.constant
    assert operand.channels == {"stage.x"}
    assert operand.variables == {"x"}


def test_log_text_takes_channels_too(names: Names) -> None:
    told = value("x is $(stage.x), y is $(SIM:Y)", names, channels_in_text=True)
    assert told == "x is 1.25, y is on"


def test_log_text_is_text_even_if_it_is_exactly_a_number(names: Names) -> None:
    assert compile_text("$(x)", names, ["x"]).evaluate(WORLD) == "0.5"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("$(stage.x)", r'only by an expression: "=stage.x"'),
        ("a $(SIM:Y)", r"only by an expression: \"=pv\('SIM:Y'\)\""),
        ("$(xx)", r"undefined name '\$\(xx\)'; did you mean 'x'"),
        ("$(stage.q)", "unknown channel 'stage.q'"),
        ("a $(x", "is not closed"),
        ("$(x + (1))", "is not closed by"),
        ("$()", "has no name in it"),
        ("$(1+1)", r"has no name in it; of an expression the value is named by 'let' first"),
        ("=x +", "ends too early"),
        ("=$(x)", "stands bare"),
    ],
)
def test_a_mistake_says_what_would_be_right(names: Names, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        value(text, names)


def test_where_an_expression_is_expected_text_is_one(names: Names) -> None:
    def bare(given: object) -> object:
        return compile_bare(given, names, ["x", "n"], {"p": 21}).evaluate(WORLD)

    assert bare("x + 1") == 1.5
    assert bare("=x + 1") == 1.5
    assert bare("$(p)") == 21
    assert bare("'Open'") == "Open"
    assert bare(7) == 7
    assert bare([1, "=x"]) == [1, 0.5]


def test_values_are_formatted_for_people() -> None:
    shown = [as_text(v) for v in (0.1 + 0.2, True, 3, "a", [1.0, 2.5], np.arange(20.0))]
    assert shown == ["0.3", "true", "3", "a", "[1, 2.5]", "[0, 1, 2, 3, 4, 5, 6, 7, … (20)]"]


@pytest.mark.parametrize("name", ["max", "data", "true", "if", "1x", "a-b", "", "_x", "é", "pv"])
def test_a_name_that_expressions_can_not_use_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


def test_a_name_of_letters_and_digits_is_accepted() -> None:
    check_name("best_x2")
