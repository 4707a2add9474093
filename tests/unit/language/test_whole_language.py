"""Branches, errors, held conditions, relative waits, checkpoints: what each field becomes."""

import pytest

from orchestrator.errors import CheckError, ExpressionError
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Handler, Program, walk
from orchestrator.language.program.parts import Abort, Continue, OnDisconnect, Retry, While
from orchestrator.language.text.document import parse
from orchestrator.language.values.conditions import Relation
from orchestrator.verbs import (
    AskNode,
    CheckpointNode,
    DelayNode,
    GroupNode,
    LoopNode,
    ParallelNode,
    SetNode,
    WaitNode,
)
from tests.unit.language.conftest import ALIASES, World

NAMES = Names(frozenset({"stage", "det", "shutter"}), ALIASES)
WORLD = World(channels={"stage.x": 1.5}, variables={"i": 2})


def program(text: str, **arguments: object) -> Program:
    return compile_program(parse(text, "a.yaml"), arguments, NAMES)


def findings(step: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        program(f"steps:\n  - {step}\n")
    return caught.value.findings


def test_a_parallel_has_branches_each_with_names_of_its_own() -> None:
    [node] = program("steps: [{parallel: [{delay: 1}, {group: [{delay: 2}]}]}]").steps
    assert isinstance(node, ParallelNode)
    assert [type(branch) for branch in node.branches] == [DelayNode, GroupNode]
    assert node.branches[1].path == ("steps", 0, "parallel", 1)
    [line] = findings("parallel: [{let: {a: 1}}, {log: $(a)}]")
    assert "steps[0].parallel[1].log: undefined name '$(a)'" in line


def test_an_error_aborts_unless_something_else_is_said() -> None:
    plain, on, again, handled = program(
        """
parameters: {n: 3}
steps:
  - delay: 1
  - {delay: 1, on_error: continue}
  - {delay: 1, on_error: {retry: $(n), delay: 0.5}}
  - {delay: 1, on_error: [{log: x}, {delay: 2}]}
"""
    ).steps
    assert plain.on_error == Abort()
    assert on.on_error == Continue()
    assert isinstance(again.on_error, Retry)
    assert (again.on_error.tries, again.on_error.delay.evaluate(WORLD)) == (3, 0.5)
    assert isinstance(handled.on_error, Handler)
    assert handled.on_error.body[1].path == ("steps", 3, "on_error", 1)


def test_steps_that_handle_an_error_are_walked_and_their_channels_known() -> None:
    result = program(
        "steps: [{delay: 1, on_error: [{set: {pv: stage.x, value: 1, readback: stage.x_rbv}}]}]"
    )
    assert [type(node) for node in walk(result.steps)] == [DelayNode, SetNode]
    assert (result.writes, result.reads) == ({"stage.x"}, {"stage.x_rbv"})


def test_what_a_disconnection_does_is_the_steps_default_unless_said() -> None:
    plain, waits, fails = program(
        "steps: [{delay: 1}, {delay: 1, on_disconnect: wait}, {delay: 1, on_disconnect: fail}]"
    ).steps
    assert plain.on_disconnect is None
    assert waits.on_disconnect is OnDisconnect.WAIT
    assert fails.on_disconnect is OnDisconnect.FAIL


def test_a_wait_has_its_hold_edge_and_what_it_accepts() -> None:
    plain, full = program(
        """
steps:
  - wait: {pv: stage.x, above: 1, timeout: 5}
  - wait: {pv: stage.x, decrease_by: 0.5, hold: 2, edge: true, accept_restart: true,
           accept_invalid: true, timeout: none}
"""
    ).steps
    assert isinstance(plain, WaitNode)
    assert isinstance(full, WaitNode)
    assert plain.hold.evaluate(WORLD) == 0.0
    assert (plain.edge, plain.accept_restart, plain.accept_invalid) == (False, False, False)
    assert full.hold.evaluate(WORLD) == 2.0
    assert (full.edge, full.accept_restart, full.accept_invalid) == (True, True, True)
    assert full.comparison is not None
    assert full.comparison.relation is Relation.DECREASE_BY
    assert full.comparison.operand.evaluate(WORLD) == 0.5
    assert full.timeout is None


def test_a_readback_has_what_it_accepts_in_a_set_and_in_a_loop() -> None:
    put, loop = program(
        """
steps:
  - set: {pv: stage.x, value: 1, readback: stage.x_rbv, accept_restart: true}
  - loop: {pv: stage.x, values: [1], readback: stage.x_rbv, accept_invalid: true}
    do: [checkpoint]
"""
    ).steps
    assert isinstance(put, SetNode)
    assert isinstance(loop, LoopNode)
    (target,) = loop.targets
    assert (put.targets[0].accept_restart, put.targets[0].accept_invalid) == (True, False)
    assert (target.accept_restart, target.accept_invalid) == (False, True)


def test_a_loop_runs_while_a_condition_holds_and_counts_its_passes() -> None:
    [node] = program("steps: [{loop: {while: stage.x < 2, as: i}, do: [{log: $(i)}]}]").steps
    assert isinstance(node, LoopNode)
    assert isinstance(node.points, While)
    assert node.points.condition.evaluate(WORLD) is True
    assert (node.variable, node.label) == ("i", "loop while stage.x < 2")


def test_serpentine_is_for_a_loop_in_a_loop() -> None:
    inside = "{loop: {values: [1, 2], as: y, serpentine: true}, do: [{log: $(y)}]}"
    outer = program(f"steps: [{{loop: {{count: 2}}, do: [{inside}]}}]")
    inner = outer.steps[0]
    assert isinstance(inner, LoopNode)
    assert isinstance(inner.body[0], LoopNode)
    assert (inner.serpentine, inner.body[0].serpentine) == (False, True)
    assert outer.warnings == ()
    [warning] = program(f"steps: [{inside}]").warnings
    assert warning == (
        "a.yaml:1:52: steps[0].loop.serpentine: does nothing: there is no loop around this one"
    )


def test_a_checkpoint_has_a_name_or_none() -> None:
    bare, named = program("parameters: {n: 7}\nsteps: [checkpoint, {checkpoint: p$(n)}]").steps
    assert isinstance(bare, CheckpointNode)
    assert isinstance(named, CheckpointNode)
    assert (bare.name, bare.label) == ("", "checkpoint")
    assert (named.name, named.label) == ("p7", "checkpoint p7")


def test_a_question_is_text_with_names_and_channels_in_it() -> None:
    [node] = program("steps: [{ask: 'Is $(stage.x) right?'}]").steps
    assert isinstance(node, AskNode)
    assert node.text.evaluate(WORLD) == "Is 1.5 right?"


def test_a_document_has_a_timeout_and_suspenders() -> None:
    result = program(
        """
parameters: {low: 50}
steps: [{delay: 1}]
timeout: 600
suspend:
  beam: {when: det.counts < low, resume: det.counts > 80, settle: 5, rewind: checkpoint}
  gone: {when: not connected(stage.x)}
"""
    )
    assert result.timeout is not None
    assert result.timeout.evaluate(WORLD) == 600.0
    beam, gone = result.suspend
    assert (beam.name, beam.rewind, gone.rewind) == ("beam", True, False)
    assert beam.when.evaluate(World(channels={"det.counts": 40})) is True
    assert beam.resume is not None
    assert beam.resume.channels == {"det.counts"}
    assert (beam.settle.evaluate(WORLD), gone.settle.evaluate(WORLD)) == (5.0, 0.0)
    assert gone.resume is None
    assert beam.where == "a.yaml:6:9"
    assert (result.reads, result.links) == ({"det.counts"}, {"stage.x"})


def test_a_document_without_a_timeout_may_take_any_time() -> None:
    assert program("steps: [{delay: 1}]").timeout is None
    assert program("steps: [{delay: 1}]\ntimeout: none").timeout is None


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("{delay: 1, on_error: {retry: 0}}", "on_error.retry: `0`: 'retry' has to be at least 1"),
        ("{delay: 1, on_error: {retry: 1.5}}", "'retry' has to be a whole number, not"),
        ("{delay: 1, on_error: {retry: '=stage.x'}}", "has to be known before the run starts"),
        ("{delay: 1, on_error: {retry: 1, delay: -1}}", "on_error.delay: `-1`: can't be negative"),
        ("{delay: 1, on_error: [{delay: -1}]}", "on_error[0].delay: `-1`: can't be negative"),
        (
            "wait: {pv: stage.x, above: 1, hold: -1, timeout: 1}",
            "wait.hold: `-1`: can't be negative",
        ),
        (
            "wait: {pv: stage.x, increase_by: -1, timeout: 1}",
            "increase_by: `-1`: can't be negative",
        ),
        ("{loop: {while: stage.q}, do: [checkpoint]}", "loop.while: `stage.q`: unknown channel"),
        ("{loop: {while: '''a'''}, do: [checkpoint]}", "is neither true nor false"),
        ("ask: $(who)", "steps[0].ask: undefined name '$(who)'"),
        ("{group: [{let: {n: 1}}, {checkpoint: $(n)}]}", "only parameters may stand"),
    ],
)
def test_a_finding_has_its_place_and_says_what_would_be_right(step: str, told: str) -> None:
    lines = findings(step)
    assert any(told in line for line in lines), lines
    assert all(line.startswith("a.yaml:2:") for line in lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timeout: 0", "a.yaml:2:10: timeout: `0`: has to be above 0"),
        ("timeout: $(t)", "timeout: undefined name '$(t)'"),
        ("suspend: {a: {when: stage.q > 1}}", "suspend.a.when: `stage.q > 1`: unknown channel"),
        ("suspend: {a: {when: 1 > 2}}", "suspend.a.when: names no channel, so that it never"),
        ("suspend: {a: {when: stage.x, resume: 'true'}}", "suspend.a.resume: names no channel"),
        ("suspend: {a: {when: stage.x, settle: -1}}", "suspend.a.settle: `-1`: can't be negative"),
        ("suspend: {a: {when: len(data(stage.x)) > 1}}", "suspend.a.when: a suspender can't ask"),
    ],
)
def test_a_finding_of_the_document_has_its_place(text: str, told: str) -> None:
    with pytest.raises(CheckError) as caught:
        program(f"steps: [{{delay: 1}}]\n{text}\n")
    [line] = caught.value.findings
    assert told in line


def test_a_parameter_that_nothing_uses_is_a_warning() -> None:
    result = program(
        """
parameters: {a: 1, b: 2, c: X, d: 4, e: 5}
steps:
  - {delay: $(a), name: "step $(c)"}
  - if: b > stage.x
    then: [{delay: "=d"}]
"""
    )
    assert result.warnings == ("a.yaml:2:41: parameters.e: this parameter is not used",)


def test_a_change_that_would_be_negative_is_told_when_it_is_needed() -> None:
    node = program("steps: [{let: {i: 1}}, {wait: {pv: stage.x, increase_by: '=i-3', timeout: 1}}]")
    wait = node.steps[1]
    assert isinstance(wait, WaitNode)
    assert wait.comparison is not None
    with pytest.raises(ExpressionError, match="can't be negative"):
        wait.comparison.operand.evaluate(WORLD)
