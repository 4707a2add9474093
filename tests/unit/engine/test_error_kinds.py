"""`on_error` by the kind of error, and what the steps know of it that handle one."""

from __future__ import annotations

import pytest

from orchestrator.types import Limits, Metadata, NativeType, RunStatus, Told
from tests.unit.language.program.test_compiler import findings

TOLD = "log: '$(error.kind) | $(error.text) | $(error.pv) | $(error.step)'"
KINDS = (
    "{timeout: [{set: {pv: sim.det, value: 1}}], disconnect: [{set: {pv: sim.det, value: 2}}], "
    "limits: [{set: {pv: sim.det, value: 3}}], refused: [{set: {pv: sim.det, value: 4}}], "
    "else: [{set: {pv: sim.det, value: 5}}]}"
)


def limited(it):
    it.sim.add("sim.x", metadata=Metadata(NativeType.DOUBLE, control=Limits(-5, 5)))


def lost(it):
    it.sim.channels["sim.fin"].on_put = lambda _channel, _value: it.sim.disconnect("sim.x")


def refusing(it):
    it.sim.channels["sim.x"].refuses = "no"


LATE = "{set: {pv: sim.x, value: 1, readback: sim.x_rbv, timeout: 2}}"
BEYOND = "{let: {far: 'sim.y + 9'}}, {set: {pv: sim.x, value: $(far)}"
GONE = "{set: {pv: sim.fin, value: 1}}, {set: {pv: sim.x, value: 1}"
CASES = [
    (f"[{LATE[:-1]}", None, 1),
    (f"[{GONE}", lost, 2),
    ("[{set: {pv: sim.fin, value: 1}}, {sample: [sim.x]", lost, 2),
    (f"[{BEYOND}", limited, 3),
    ("[{set: {pv: sim.x, value: 1}", refusing, 4),
    ("[{fail: enough}".removesuffix("}"), None, 5),
    ("[{let: {a: '1 / sim.x'}", None, 5),
]


@pytest.mark.parametrize(("step", "before", "handled"), CASES)
def test_each_kind_has_its_steps(run, step, before, handled):
    ended, it = run(f"steps: {step}, on_error: {KINDS}}}]", before=before)
    assert (ended.status, it.puts("det")) == (RunStatus.SUCCESS, [handled])


def test_a_kind_without_steps_is_passed_on(run):
    ended, _ = run(f"steps: [{LATE[:-1]}, on_error: {{limits: [{{delay: 1}}]}}}}]")
    assert ended.status is RunStatus.TIMEOUT
    assert "tolerated" not in ended.message


def told(it):
    [text] = [e.text for e in it.events if isinstance(e, Told) and " | " in e.text]
    return text.split(" | ")


def test_the_steps_know_what_has_failed(run):
    _, it = run(f"steps: [{LATE[:-1]}, on_error: [{{{TOLD}}}]}}]")
    kind, text, pv, step = told(it)
    assert (kind, pv, step) == ("timeout", "sim.x", "steps[0] set sim.x")
    assert text.startswith("sim.x: put of 1 completed, but its readback did not come")


def test_it_is_the_innermost_step_and_the_channel_of_several(run):
    _, it = run(
        "steps: [{group: [{set: {all: [{pv: sim.y, value: 1}, {pv: sim.x, value: 2}]}}], "
        f"on_error: {{refused: [{{{TOLD}}}]}}}}]",
        before=refusing,
    )
    kind, _, pv, step = told(it)
    assert (kind, pv) == ("refused", "sim.x")
    assert step.startswith("steps[0].group[0] set ")


def test_it_can_be_asked_in_expressions_and_the_error_be_passed_on(run):
    ended, _ = run(
        "steps: [{group: [{fail: odd}], on_error: [{if: error.kind == 'fail' and "
        "error.text == 'odd', then: [{fail: 'worse: $(error.text)'}]}]}]"
    )
    assert ended.status is RunStatus.FAILED
    assert "worse: odd" in ended.message


def test_a_name_of_an_error_holds_only_where_one_is_handled():
    [line] = findings("steps: [{delay: 1, on_error: [{delay: 1}]}, {log: $(error.text)}]")
    assert "error.text" in line
    [line] = findings("steps: [{delay: 1}, {if: error.kind == 'x', then: [{delay: 1}]}]")
    assert "'.kind' can't follow 'error', which is no IOC" in line


@pytest.mark.parametrize(
    ("on_error", "wrong"),
    [
        ("{timeot: [{delay: 1}]}", "unknown field 'timeot'; did you mean 'timeout'?"),
        ("{timeout: 5}", "on_error.timeout: expected a list"),
        ("{timeout: [{dely: 1}]}", "on_error.timeout[0]: unknown step 'dely'"),
        ("{else: []}", "on_error.else: is empty"),
        ("{limits: [{log: $(x)}]}", "on_error.limits[0].log: undefined name '$(x)'"),
    ],
)
def test_mistakes_in_it_are_told(on_error, wrong):
    lines = findings(f"steps: [{{delay: 1, on_error: {on_error}}}]")
    assert any(wrong in line for line in lines), lines
