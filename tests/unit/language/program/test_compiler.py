import gc
import json

import pytest

from orchestrator.errors import CheckError
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Program, walk
from orchestrator.language.program.parts import Count, Listed, Range
from orchestrator.language.text.document import document_of, parse
from orchestrator.language.values.conditions import Relation
from orchestrator.verbs import (
    DelayNode,
    IfNode,
    LetNode,
    LogNode,
    LoopNode,
    SampleNode,
    SetNode,
    WaitNode,
)
from orchestrator.verbs.flow.loop import POINT
from tests.unit.language.conftest import ALIASES, World
from tests.unit.language.text.test_document import ALIGN

NAMES = Names(frozenset({"stage", "det", "shutter"}), ALIASES)
WORLD = World(channels={"stage.x": 1.5}, variables={"x": 0.5, POINT: 0.25})


def program(text: str, **arguments: object) -> Program:
    return compile_program(parse(text, "a.yaml"), arguments, NAMES)


def findings(text: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        program(text)
    return caught.value.findings


def test_the_document_of_the_interface_becomes_a_program() -> None:
    result = program(ALIGN, start="-2")
    assert [type(node).__name__ for node in walk(result.steps)] == [
        "SetNode", "LoopNode", "SetNode", "SampleNode", "LetNode", "IfNode", "LogNode", "SetNode",
    ]  # fmt: skip
    assert result.arguments == {"start": -2.0, "stop": 1.0, "points": 21}
    assert result.reads == {"shutter.state_rbv", "stage.x_rbv", "det.counts"}
    assert result.writes == {"shutter.state", "stage.x", "det.acquire"}
    assert (result.name, result.origin, result.warnings) == ("align", "a.yaml", ())
    loop = result.steps[1]
    assert isinstance(loop, LoopNode)
    assert (loop.path, loop.where, loop.label) == (("steps", 1), "a.yaml:9:5", "loop stage.x")
    assert loop.body[1].path == ("steps", 1, "do", 1)
    assert result.finally_[0].path == ("finally", 0)


def test_parameters_are_constants_of_the_program() -> None:
    loop = program(ALIGN, points=5).steps[1]
    assert isinstance(loop, LoopNode)
    assert isinstance(loop.points, Range)
    assert loop.points.num is not None
    assert loop.points.num.constant
    assert loop.points.num.evaluate(WORLD) == 5


def test_constants_that_are_equal_and_yet_others_stay_so() -> None:
    values = [1, True, 1.0, 0.0, -0.0, "1", 1]
    steps = [{"set": {"pv": "stage.x", "value": value}} for value in values]
    nodes = program(json.dumps({"steps": steps})).steps
    found = [node.targets[0].value for node in nodes if isinstance(node, SetNode)]
    assert [repr(operand.evaluate(WORLD)) for operand in found] == [repr(v) for v in values]


def test_a_step_of_a_long_document_is_a_few_objects() -> None:
    """The garbage collector looks through all of them at once, and all else stands still then."""
    steps = [{"set": {"pv": "stage.x", "value": number}} for number in range(1000)]
    document = document_of({"steps": steps}, "a.yaml")
    gc.collect()
    before = len(gc.get_objects())
    result = compile_program(document, {}, NAMES)
    gc.collect()
    made = len(gc.get_objects()) - before
    assert made / len(result.steps) < 10


def test_set_has_its_defaults_spelled_out() -> None:
    [node] = program("steps: [{set: {pv: SIM:STAGE:X, value: 1}}]").steps
    assert isinstance(node, SetNode)
    [target] = node.targets
    assert (target.pv, target.completion, target.readback) == ("stage.x", True, None)
    assert (target.readback_value, target.tolerance) == (None, None)
    assert target.settle.evaluate(WORLD) == 0.0
    assert node.timeout.evaluate(WORLD) == 10.0
    assert node.label == "set stage.x"


def test_wait_has_a_relation_and_only_the_spelled_none_waits_for_ever() -> None:
    equals, between, until = program(
        """
steps:
  - wait: {pv: stage.x, not: 5, tolerance: 0.1, timeout: none}
  - wait: {pv: stage.x, between: [1, "=1+1"], timeout: 3}
  - wait: {until: "stage.x > 1 and connected(det.counts)", timeout: 3}
"""
    ).steps
    assert isinstance(equals, WaitNode)
    assert isinstance(between, WaitNode)
    assert isinstance(until, WaitNode)
    assert equals.comparison is not None
    assert equals.comparison.relation is Relation.NOT
    assert equals.timeout is None
    assert between.comparison is not None
    assert between.comparison.operand.evaluate(WORLD) == [1, 2]
    assert until.until is not None
    assert until.until.channels == {"stage.x"}


def test_channels_only_asked_whether_they_are_connected_are_not_needed() -> None:
    result = program("steps: [{if: connected(det.counts), then: [{delay: 1}]}]")
    assert result.reads == frozenset()
    assert result.links == {"det.counts"}


def test_a_loop_over_a_channel_binds_its_value_to_a_name_or_to_the_reserved_one() -> None:
    named, unnamed, counted, listed = program(
        """
steps:
  - loop: {pv: stage.x, values: [1, 2], as: x, readback: stage.x_rbv, readback_value: "=x*2"}
    do: [{log: $(x)}]
  - loop: {pv: stage.x, from: 0, to: 1, num: 2}
    do: [{delay: 1}]
  - loop: {count: 3, as: i}
    do: [{log: $(i)}]
  - loop: {values: "=[1, 2]", as: x}
    do: [{log: $(x)}]
"""
    ).steps
    assert isinstance(named, LoopNode)
    assert named.targets
    assert named.variable == "x"
    assert named.targets[0].value.evaluate(WORLD) == 0.5
    assert named.targets[0].readback_value is not None
    assert named.targets[0].readback_value.evaluate(WORLD) == 1.0
    assert isinstance(unnamed, LoopNode)
    assert unnamed.variable == POINT
    assert unnamed.targets
    assert unnamed.targets[0].value.evaluate(WORLD) == 0.25
    assert isinstance(counted, LoopNode)
    assert counted.targets == ()
    assert isinstance(counted.points, Count)
    assert counted.points.count.evaluate(WORLD) == 3
    assert isinstance(listed, LoopNode)
    assert isinstance(listed.points, Listed)
    assert listed.points.values.evaluate(WORLD) == [1, 2]


def test_let_holds_for_the_rest_of_its_list_and_inside_it() -> None:
    result = program(
        """
steps:
  - let: {x: stage.x * 2, y: x + 1}
  - group:
      - log: "$(x) $(y)"
      - let: {z: y}
  - if: y > 1
    then: [{delay: $(y)}]
"""
    )
    let = result.steps[0]
    assert isinstance(let, LetNode)
    assert [name for name, _ in let.bindings] == ["x", "y"]
    assert let.bindings[1][1].variables == {"x"}


@pytest.mark.parametrize(
    "steps",
    [
        "[{group: [{let: {z: 1}}]}, {log: $(z)}]",
        "[{log: $(z)}, {let: {z: 1}}]",
        "[{let: {a: z, z: 1}}]",
        "[{if: 'true', then: [{let: {z: 1}}], else: [{log: $(z)}]}]",
        "[{loop: {count: 2, as: z}, do: [{delay: 1}]}, {log: $(z)}]",
        "[{loop: {from: 0, to: $(z), num: 2, as: z}, do: [{delay: 1}]}]",
    ],
)
def test_a_name_is_unknown_outside_its_list(steps: str) -> None:
    [line] = findings(f"steps: {steps}")
    assert "'$(z)'" in line or "unknown name 'z'" in line


def test_let_of_a_parameters_name_hides_it() -> None:
    result = program("parameters: {x: 1}\nsteps: [{let: {x: 2}}, {delay: $(x)}]")
    node = result.steps[1]
    assert isinstance(node, DelayNode)
    assert not node.seconds.constant


def test_parameters_may_stand_in_names_of_channels_and_steps() -> None:
    result = program(
        """
parameters: {axis: X}
steps:
  - set: {pv: "SIM:STAGE:$(axis)", value: 1}
    name: Move $(axis)
"""
    )
    assert result.writes == {"stage.x"}
    assert result.steps[0].label == "Move X"


def test_log_text_is_text_whatever_stands_in_it() -> None:
    number, channel = program("steps: [{log: 5}, {log: 'x = $(stage.x)'}]").steps
    assert isinstance(number, LogNode)
    assert isinstance(channel, LogNode)
    assert number.text.evaluate(WORLD) == "5"
    assert channel.text.evaluate(WORLD) == "x = 1.5"
    assert channel.text.channels == {"stage.x"}


def test_sample_keeps_the_order_of_its_channels() -> None:
    [node] = program(
        "steps: [{sample: {channels: [stage.x, 'A:B'], missing: nan, fresh: false}}]"
    ).steps
    assert isinstance(node, SampleNode)
    assert node.channels == ("stage.x", "A:B")
    assert (node.fresh, node.missing_nan) == (False, True)
    assert node.timeout.evaluate(WORLD) == 5.0


def test_an_if_without_else_has_none() -> None:
    [node] = program("steps: [{if: 'true', then: [{delay: 1}]}]").steps
    assert isinstance(node, IfNode)
    assert node.else_ == ()
    assert node.condition.evaluate(WORLD) is True


def test_a_loop_that_misses_its_end_is_a_warning() -> None:
    result = program("steps: [{loop: {pv: stage.x, from: 0, to: 1, step: 0.3}, do: [{delay: 1}]}]")
    [warning] = result.warnings
    assert "'to' 1 is not visited" in warning
    assert "the last point is 0.9" in warning


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("set: {pv: stage.y, value: 1}", "2:15: steps[0].set.pv: unknown channel 'stage.y'"),
        ("set: {pv: stage.x, value: $(foo)}", "steps[0].set.value: undefined name '$(foo)'"),
        ("set: {pv: stage.x, value: $(stage.x)}", 'only by an expression: "=stage.x"'),
        ("set: {pv: stage.x, value: '=1/0'}", "`1/0`: division by zero"),
        ("set: {pv: stage.x, value: 1, timeout: 0}", "has to be above 0"),
        ("set: {pv: stage.x, value: 1, settle: -1}", "can't be negative"),
        (
            "set: {pv: stage.x, value: 1, timeout: '=[1]'}",
            "a number of seconds above 0, not a list",
        ),
        ("set: {pv: stage.x, value: 1, readback: stage.x_rvb}", "did you mean 'stage.x_rbv'"),
        (
            "set: {all: [{pv: stage.x, value: 1}, {pv: 'SIM:STAGE:X', value: 1}]}",
            "steps[0].set.all[1].pv: stage.x is set twice",
        ),
        ("{group: [{let: {n: 1}}, {set: {pv: 'A:$(n)', value: 1}}]}", "only parameters may stand"),
        (
            "set: {pv: '=stage.x', value: 1}",
            "before the run starts: it can't be read from channels",
        ),
        ("sample: ['=data(stage.x)[0]']", "before the run starts: it can't be read from channels"),
        ("{group: [{let: {n: 1}}, {set: {pv: '=n', value: 1}}]}", "only parameters may stand"),
        ("{let: {n: 1}, name: x$(m)}", "steps[0].name: undefined name"),
        ("wait: {pv: stage.x, between: '=[1]', timeout: 1}", "takes two values, not a list of 1"),
        ("wait: {pv: stage.x, in: '=3', timeout: 1}", "has to be a list, not the number 3"),
        ("wait: {until: stage.q > 1, timeout: 1}", "steps[0].wait.until: `stage.q > 1`: unknown"),
        ("delay: -1", "can't be negative"),
        ("delay: '=''a'''", "has to be a number, not the text 'a'"),
        ("sample: [stage.x, 'SIM:STAGE:X']", "stage.x stands twice in one sample"),
        ("sample: [A:B,C]", "unknown channel 'C'"),
        ("sample: [A:B,C]", "(a PV name with a comma needs quotes)"),
        ("let: {a: data('stage.x')}", "no step samples 'stage.x'"),
        ("let: {a: Open}", "(a text needs quotes of its own: 'Open')"),
        ("{loop: {count: 1.5}, do: [{delay: 1}]}", "has to be a whole number"),
        ("{loop: {count: -1}, do: [{delay: 1}]}", "can't be negative"),
        ("{loop: {count: 1e300}, do: [{delay: 1}]}", "for ever is written 'while: true'"),
        ("{loop: {pv: stage.x, from: 0, to: 1, step: -1}, do: [{delay: 1}]}", "leads away"),
        ("{loop: {pv: stage.x, from: 0, to: 1, num: 0}, do: [{delay: 1}]}", "whole number from 1"),
        ("{loop: {pv: stage.x, values: '=3'}, do: [{delay: 1}]}", "has to be a list"),
        ("{if: '''a''', then: [{delay: 1}]}", "the text 'a' is neither true nor false"),
    ],
)
def test_a_finding_has_its_place_and_says_what_would_be_right(step: str, told: str) -> None:
    lines = findings(f"steps:\n  - {step}\n")
    assert any(told in line for line in lines), lines
    assert all(line.startswith("a.yaml:2:") for line in lines)


def test_all_findings_are_told_in_the_order_of_the_lines() -> None:
    lines = findings(
        """
steps:
  - if: nothing > 1
    then:
      - set: {pv: foo, value: $(bar)}
  - let: {a: data('det.counts')}
finally:
  - delay: $(a)
"""
    )
    assert [int(line.split(":")[1]) for line in lines] == [3, 5, 5, 6, 8]


def test_the_reserved_name_is_never_proposed() -> None:
    [line] = findings("steps: [{loop: {pv: stage.x, values: [1]}, do: [{log: $(point)}]}]")
    assert "$point" not in line


def test_a_check_that_depends_on_the_run_is_made_when_it_is_needed() -> None:
    node = program("steps: [{let: {x: 1}}, {delay: '=x - 1'}]").steps[1]
    assert isinstance(node, DelayNode)
    with pytest.raises(Exception, match=r"can't be negative, as -0.5 is \(x = 0.5\)"):
        node.seconds.evaluate(WORLD)


@pytest.mark.parametrize(("value", "fits"), [(2**63, True), (2**64 - 1, True), (2**64, False)])
def test_a_whole_number_from_python_has_so_many_bits_and_no_more(value: int, fits: bool) -> None:
    step = {"steps": [{"set": {"pv": "A:B", "value": value}}]}
    if fits:
        assert document_of(step, "plans.py:3").steps
    else:
        with pytest.raises(CheckError, match=r"plans\.py:3: .*is beyond 64 bits"):
            document_of(step, "plans.py:3")
