"""Loops over several channels at once, and over what is known before the run."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import RunStatus
from tests.unit.language.program.test_compiler import findings

TOGETHER = "steps: [{loop: {set: {sim.x: [1, 2, 3], sim.y: [4, 5, 6]}}, do: [{sample: [sim.x]}]}]"
EACH = (
    "parameters: {axes: [sim.x, sim.y]}\n"
    "steps: [{loop: {each: $(axes), as: axis}, do: [{set: {pv: $(axis), value: 7}}]}]"
)


def test_several_channels_are_set_point_by_point(run):
    ended, it = run(TOGETHER)
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [1, 2, 3], [4, 5, 6])
    assert it.values("data_npts")[-1] == 3


def test_they_are_set_at_the_same_time(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = it.sim.channels["sim.y"].put_takes = 2.0
        began = asyncio.get_running_loop().time()
        await it.run(TOGETHER)
        return asyncio.get_running_loop().time() - began

    assert play(scenario) == pytest.approx(6, abs=0.1)


def test_lists_that_are_not_as_long_are_told():
    text = "steps: [{loop: {set: {stage.x: [1, 2], det.counts: [4]}}, do: [{delay: 1}]}]"
    told = "the lists are not all as long: 2 of stage.x, 1 of det.counts"
    assert told in "\n".join(findings(text))


def test_lists_may_be_parameters(run):
    text = (
        "parameters: {xs: {type: list, min: 0, max: 5}}\n"
        "steps: [{loop: {set: {sim.x: $(xs), sim.y: '=xs'}}, do: [{delay: 1}]}]"
    )
    ended, it = run(text, xs="1, 2.5,3")
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, *[[1, 2.5, 3]] * 2)
    ended, _ = run(text, xs="[1, 6]")
    assert "parameter 'xs' takes a list of values from 0 to 5, not 6" in ended.message
    ended, _ = run(text, xs="[1, [2]]")
    assert "parameter 'xs' takes a list of values from 0 to 5, not the text" in ended.message


def test_each_value_may_name_a_channel(run):
    ended, it = run(EACH)
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [7.0], [7.0])


def test_every_one_is_looked_at_before_the_run(run):
    ended, it = run(EACH, axes=["sim.x", "sim.nowhere"])
    assert ended.status is RunStatus.FAILED
    assert "sim.nowhere" in ended.message
    assert it.puts("x") == []


def test_break_and_continue_are_of_the_loop(run):
    text = (
        "steps: [{loop: {each: [1, 2, 3, 4], as: n}, do: [{if: n == 2, then: [continue]},"
        " {if: n == 4, then: [break]}, {set: {pv: sim.x, value: $(n)}}]},"
        " {set: {pv: sim.y, value: 9}}]"
    )
    ended, it = run(text)
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [1, 3], [9])


def test_all_its_steps_are_counted(run):
    _, it = run(EACH)
    assert it.values("step")[-1] == it.values("nsteps")[-1]


def test_what_is_not_known_before_the_run_is_refused():
    text = "steps: [{loop: {each: '=[stage.x]', as: a}, do: [{delay: 1}]}]"
    assert "has to be known before the run" in "\n".join(findings(text))


@pytest.mark.parametrize(
    ("loop", "wrong"),
    [
        ("{each: [1]}", "'as', which names it"),
        ("{set: {stage.x: [1]}, tolerance: 1}", "'tolerance' does nothing without 'pv'"),
        ("{each: [1], pv: stage.x}", "'each' sets no 'pv'"),
        ("{each: [1], count: 2}", "runs over one of"),
        ("{set: {}}", "set"),
    ],
)
def test_what_makes_no_sense_is_told(loop, wrong):
    assert wrong in "\n".join(findings(f"steps: [{{loop: {loop}, do: [{{delay: 1}}]}}]"))


def test_a_parameter_may_be_a_channel(run):
    text = "parameters: {axis: {type: channel}}\nsteps: [{set: {pv: $(axis), value: 1}}]"
    ended, it = run(text, axis="sim.y")
    assert (ended.status, it.puts("y")) == (RunStatus.SUCCESS, [1.0])
    ended, _ = run(text, axis="sim.yy")
    assert "sim.yy" in ended.message
    assert "did you mean" in ended.message
