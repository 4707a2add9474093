"""`relative`: from where the channel, or its readback, is when the step is entered."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Limits, Metadata, NativeType, RunStatus
from tests.unit.language.foresight.test_checks import lines
from tests.unit.language.foresight.test_duration import took
from tests.unit.language.program.test_compiler import findings


def placed(it):
    it.sim.post("sim.x", 4.0)
    it.sim.post("sim.x_rbv", 3.5)

    def arrives(_channel, value):
        it.sim.post("sim.x", value)
        it.sim.post("sim.x_rbv", value)

    it.sim.channels["sim.x"].on_put = arrives


def test_a_set_counts_from_the_setpoint_or_from_the_readback_where_asked(run):
    ended, it = run(
        "steps: [{set: {pv: sim.x, value: 1, relative: readback, readback: sim.x_rbv}}, "
        "{set: {pv: sim.x, value: -2, relative: true, readback: sim.x_rbv}}, "
        "{set: {all: [{pv: sim.x, value: 1, relative: true}, {pv: sim.y, value: 1}]}}]",
        before=placed,
    )
    assert ended.status is RunStatus.SUCCESS
    assert (it.puts("x"), it.puts("y")) == ([4.5, 2.5, 3.5], [1.0])


def test_all_points_of_a_loop_count_from_where_it_began_and_its_name_is_what_is_added(run):
    _, it = run(
        "steps: [{loop: {pv: sim.x, from: -1, to: 1, num: 3, as: by, relative: true}, "
        "do: [{set: {pv: sim.det, value: $(by)}}]}]",
        before=placed,
    )
    assert (it.puts("x"), it.puts("det")) == ([3.0, 4.0, 5.0], [-1.0, 0.0, 1.0])


def test_a_loop_in_a_loop_counts_anew_each_time_that_it_is_entered(run):
    _, it = run(
        "steps: [{loop: {count: 2}, do: [{loop: {pv: sim.x, values: [1, 2], relative: true}, "
        "do: [{delay: 0}]}]}]",
        before=placed,
    )
    assert it.puts("x") == [5.0, 6.0, 7.0, 8.0]


def test_all_tries_count_from_the_same(run):
    _, it = run(
        "steps: [{set: {pv: sim.x, value: 1, relative: true, readback: sim.y, timeout: 1}, "
        "on_error: {retry: 2}}]",
        before=placed,
    )
    assert it.puts("x") == [5.0, 5.0, 5.0]


def test_after_a_rewind_into_a_loop_its_points_still_count_from_where_it_began(play):
    async def scenario(it):
        placed(it)
        await it.pull.idle()
        loop = asyncio.get_running_loop()
        loop.call_later(15, it.sim.post, "sim.y", 9.0)
        loop.call_later(16, it.sim.post, "sim.y", 0.0)
        await it.run(
            "suspend: {beam: {when: sim.y > 5, rewind: checkpoint}}\n"
            "steps: [{loop: {pv: sim.x, values: [1, 2, 3], relative: true}, "
            "do: [checkpoint, {delay: 10}]}]"
        )
        return it.puts("x")

    assert play(scenario) == [5.0, 6.0, 7.0]


def test_limits_are_looked_at_before_the_put(run):
    def limited(it):
        metadata = Metadata(NativeType.DOUBLE, control=Limits(-5, 5))
        it.sim.add("sim.x", 4.0, metadata=metadata)

    ended, it = run("steps: [{set: {pv: sim.x, value: 2, relative: true}}]", before=limited)
    assert "6 is outside its limits" in ended.message
    assert it.puts("x") == []


def test_a_lost_channel_has_no_place_to_count_from(play):
    async def scenario(it):
        it.sim.channels["sim.fin"].on_put = lambda _channel, _value: it.sim.disconnect("sim.x")
        ended = await it.run(
            "steps: [{set: {pv: sim.fin, value: 1}}, {set: {pv: sim.x, value: 1, relative: true}}]"
        )
        return ended.status, ended.message

    status, message = play(scenario)
    assert status is RunStatus.FAILED
    assert "disconnected" in message


def test_what_is_no_number_is_refused(run):
    ended, _ = run("steps: [{set: {pv: sim.x, value: [1, 2], relative: true}}]")
    assert "sim.x: relative takes numbers, not a list of 2" in ended.message


def test_the_same_in_python(play):
    async def moving(run):
        await run.set("sim.x", 1, relative=True)
        await run.set("sim.x", 1.5, relative=True)

    async def scenario(it):
        placed(it)
        await it.pull.idle()
        await it.run("steps: [{run: moving}]")
        return it.puts("x")

    assert play(scenario, registry=Registry({"moving": moving}, {})) == [5.0, 6.5]


# Beforehand ------------------------------------------------------------------------------------


def test_the_check_knows_no_place_to_count_from():
    step = "{set: {pv: stage.x, value: 99, relative: true}}"
    assert lines(f"steps: [{step}]") == []
    assert lines(f"steps: [{step.replace('true', 'false')}]") != []


def test_the_estimate_goes_from_where_it_stands():
    assert took("[{set: {pv: stage.x, value: 4, relative: true}}]").seconds == 2
    loop = "{loop: {pv: stage.x, values: [2, 4], relative: true}, do: [{delay: 0}]}"
    assert took(f"[{{set: {{pv: stage.x, value: 2}}}}, {loop}]").seconds == 3


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("relative: maybe", "expected true, false or readback, got the text 'maybe'"),
        ("relative: readback", "'relative: readback' needs 'readback'"),
    ],
)
def test_mistakes_are_told(fields, wrong):
    told = findings(f"steps: [{{set: {{pv: stage.x, value: 1, {fields}}}}}]")
    assert any(wrong in line for line in told), told
    told = findings(f"steps: [{{loop: {{pv: stage.x, values: [1], {fields}}}, do: [checkpoint]}}]")
    assert any(wrong in line for line in told), told


def test_it_belongs_to_a_loop_with_a_channel():
    [line] = findings("steps: [{loop: {count: 3, relative: true}, do: [checkpoint]}]")
    assert "'relative' does nothing without 'pv'" in line
