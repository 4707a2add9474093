"""Positions of a run: their text, and the step that they name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.foresight.position import Position, parse_position, resolve
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Program, walk
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import parse
from tests.unit.language.conftest import ALIASES, Shelf

TEXT = """
steps:
  - delay: 1
  - loop: {count: 3}
    do:
      - loop: {values: [1, 2], as: i}
        do: [{log: $(i)}]
      - parallel: [{delay: 1}, {group: [{delay: 2}]}]
    on_error: [{log: failed}]
  - if: stage.x > 1
    then: [{run: inner}]
    else: [{run: plan}]
  - loop: {while: stage.x < 3}
    do: [checkpoint]
  - loop: {from: 0, to: 1, step: 0.3, as: x}
    do: [{run: {sequence: later, args: {x: $(x)}}}]
finally:
  - log: done
"""
LIBRARY = Shelf(
    {
        "inner": "steps: [{loop: {count: 2}, do: [{delay: 1}]}]\nfinally: [{delay: 2}]",
        "later": "parameters: {x: 1}\nsteps: [{log: $(x)}]",
    },
    python={"plan": PythonSignature("plan")},
)


@pytest.fixture
def program() -> Program:
    names = Names(frozenset({"stage"}), ALIASES)
    return compile_program(parse(TEXT, "a.yaml"), {}, names, LIBRARY)


words = st.sampled_from(["steps", "finally", "do", "then", "else", "parallel", "on_error", "run"])
index = st.integers(0, 10**6)


@given(words, st.lists(words | index, max_size=8), st.lists(index, max_size=5))
def test_a_position_is_read_back_from_its_text(
    first: str, rest: list[str | int], loops: list[int]
) -> None:
    position = Position((first, *rest), tuple(loops))
    assert parse_position(str(position)) == position


def test_the_text_is_a_path_and_the_passes_of_its_loops() -> None:
    assert str(Position(("steps", 2, "do", 0), (3, 1))) == "steps[2].do[0] @3,1"
    assert str(Position(("finally", 0))) == "finally[0]"
    assert parse_position(" steps[2].do[0]@3,1 ") == Position(("steps", 2, "do", 0), (3, 1))


@pytest.mark.parametrize(
    "text", ["", "steps[", "steps[a]", "[2]", "steps[2] 3", "steps[2] @", "steps @1,", "a b", "@1"]
)
def test_what_is_no_position_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        InputError, match=r"is no position; one is written 'steps\[2\].do\[0\] @3,1'"
    ):
        parse_position(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("steps[0]", "delay 1"),
        ("steps[1]", "loop"),
        ("steps[1] @2", "loop"),
        ("steps[1].do[0].do[0] @2,1", "log"),
        ("steps[1].do[0] @1,0", "loop"),
        ("steps[1].do[1].parallel[1].group[0] @0", "delay 2"),
        ("steps[1].on_error[0]", "log"),
        ("steps[2].then[0].run.steps[0].do[0] @1", "delay 1"),
        ("steps[2].then[0].run.finally[0]", "delay 2"),
        ("steps[3].do[0] @1234", "checkpoint"),
        ("steps[4].do[0].run.steps[0] @3", "log"),
        ("finally[0]", "log"),
    ],
)
def test_a_position_names_a_step(program: Program, text: str, label: str) -> None:
    position = parse_position(text)
    node = resolve(program, position)
    assert (node.path, node.label) == (position.path, label)


def test_every_step_has_a_position(program: Program) -> None:
    for node in walk(program.steps + program.finally_):
        loops = node.path.count("do")
        assert resolve(program, Position(node.path, (0,) * loops)) is node


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps[9]", "there is no such step in a.yaml; has the document been changed?"),
        ("stps[0]", "there is no such step in a.yaml"),
        ("steps", "there is no such step"),
        ("steps[1].do[7] @0", r"no such step in steps\[1\] \(loop, a.yaml:4:5\)"),
        ("steps[0].do[0]", r"no such step in steps\[0\] \(delay 1, a.yaml:3:5\)"),
        ("steps[2].else[0].run.steps[0]", "run plan .* is a Python sequence, which can only be"),
        ("steps[1].do[0].do[0] @1", "is inside 2 loops, but the position has 1 passes"),
        ("steps[1].do[0].do[0] @1,1,1", "is inside 2 loops, but the position has 3 passes"),
        ("steps[0] @1", "is inside 0 loops, but the position has 1 passes"),
        ("steps[1].do[0].do[0] @3,0", r"loop \(a.yaml:4:5\) has 3 passes, 0 … 2, none is 3"),
        ("steps[1].do[0].do[0] @0,2", "has 2 passes, 0 … 1, none is 2"),
        ("steps[1] @3", "has 3 passes"),
        ("steps[4].do[0] @4", "has 4 passes, 0 … 3, none is 4"),
    ],
)
def test_a_position_without_a_step_says_what_is_there(
    program: Program, text: str, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        resolve(program, parse_position(text))
    assert str(caught.value).startswith(f"{parse_position(text)}: ")


def test_passes_over_a_computed_array_are_counted_as_those_over_a_list() -> None:
    loop = "steps: [{loop: {values: '=[1, 2] * 2', as: i}, do: [{delay: 1}]}]"
    program = compile_program(parse(loop, "a.yaml"), {}, Names())
    assert count_steps(program.steps) == 3
    with pytest.raises(InputError, match="has 2 passes, 0 … 1, none is 2"):
        resolve(program, parse_position("steps[0].do[0] @2"))
