"""`restore` of a document or group: what channels hold on entering is put back at the end."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import RunStatus, Verb
from tests.unit.language.foresight.test_checks import lines
from tests.unit.language.program.test_compiler import findings

MOVED = "{set: {pv: sim.x, value: 9}}, {set: {pv: sim.y, value: 8}}"


def placed(it):
    it.sim.post("sim.x", 1.0)
    it.sim.post("sim.y", 2.0)


def order(it, *names):
    puts = [
        (time, name, value)
        for name in names
        for time, value, _ in it.sim.channels[f"sim.{name}"].puts
    ]
    return [(name, value) for _, name, value in sorted(puts, key=lambda put: put[0])]


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ("{delay: 1}", RunStatus.SUCCESS),
        ("{fail: x}", RunStatus.FAILED),
        ("{end: x}", RunStatus.SUCCESS),
    ],
)
def test_of_a_document_it_comes_behind_finally_however_it_ends(run, last, status):
    ended, it = run(
        f"restore: [sim.x, sim.y]\nsteps: [{MOVED}, {last}]\n"
        "finally: [{set: {pv: sim.x, value: 5}}]",
        before=placed,
    )
    assert ended.status is status
    assert (it.puts("x"), it.puts("y")) == ([9.0, 5.0, 1.0], [8.0, 2.0])


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.STOP])
def test_it_is_done_where_an_operator_ends_the_run(play, verb):
    async def scenario(it):
        placed(it)
        await it.pull.idle()
        asyncio.get_running_loop().call_later(2, it.ask, verb)
        await it.run(
            f"restore: [sim.x]\nsteps: [{{group: [{MOVED}, {{delay: 9}}], restore: [sim.y]}}]"
        )
        return it.puts("x"), it.puts("y")

    assert play(scenario) == ([9.0, 1.0], [8.0, 2.0])


def test_the_last_of_the_list_is_put_back_first_and_a_group_at_the_same_time(play):
    async def scenario(it):
        placed(it)
        for name, takes in (("x", 2.0), ("y", 2.0), ("counts", 1.0)):
            it.sim.channels[f"sim.{name}"].put_takes = takes
        await it.pull.idle()
        began = asyncio.get_running_loop().time()
        await it.run("restore: [sim.det, {group: [sim.x, sim.y]}, sim.counts]\nsteps: [{delay: 1}]")
        return order(it, "det", "x", "y", "counts"), asyncio.get_running_loop().time() - began

    done, took = play(scenario)
    assert [name for name, _ in done] == ["counts", "x", "y", "det"]
    assert took == pytest.approx(4, abs=0.1)


def test_of_a_group_it_is_done_at_its_end_and_the_error_goes_on(run):
    ended, it = run(
        f"steps: [{{group: [{MOVED}, {{fail: odd}}], restore: [sim.x], on_error: continue}}, "
        "{set: {pv: sim.det, value: =sim.x}}]",
        before=placed,
    )
    assert ended.status is RunStatus.SUCCESS
    assert (it.puts("x"), it.puts("det")) == ([9.0, 1.0], [1.0])


def test_of_a_group_in_a_loop_it_is_done_in_each_pass_a_break_included(run):
    _, it = run(
        "steps: [{loop: {count: 3, as: i}, do: [{set: {pv: sim.x, value: $(i)}}, "
        "{group: [{set: {pv: sim.x, value: 9}}, {if: i == 1, then: [break]}], restore: [sim.x]}]}]"
    )
    assert it.puts("x") == [0.0, 9.0, 0.0, 1.0, 9.0, 1.0]


def test_all_tries_put_the_same_back(run):
    _, it = run(
        "steps: [{group: [{set: {pv: sim.x, value: 3}}, {fail: x}], restore: [sim.x], "
        "on_error: {retry: 1}}]",
        before=placed,
    )
    assert it.puts("x") == [3.0, 1.0, 3.0, 1.0]


def test_readback_and_tolerance_are_as_given(run):
    ended, _ = run(
        "restore: [{pv: sim.x, readback: sim.x_rbv, tolerance: 0.5, timeout: 3}]\n"
        "steps: [{delay: 1}]",
        before=placed,
    )
    assert ended.status is RunStatus.TIMEOUT
    assert "restore sim.x" in ended.message
    assert "its readback did not come within 3 s" in ended.message


def test_what_can_not_be_read_fails_before_anything_is_done(play):
    async def scenario(it):
        it.sim.channels["sim.fin"].on_put = lambda _channel, _value: it.sim.disconnect("sim.x")
        ended = await it.run(
            "steps: [{set: {pv: sim.fin, value: 1}}, "
            "{group: [{set: {pv: sim.det, value: 1}}], restore: [sim.x]}]"
        )
        return ended.status, it.puts("det")

    assert play(scenario) == (RunStatus.FAILED, [])


def test_after_a_rewind_into_a_group_it_puts_back_what_was_there_at_first(play):
    async def scenario(it):
        placed(it)
        await it.pull.idle()
        loop = asyncio.get_running_loop()
        loop.call_later(5, it.sim.post, "sim.y", 9.0)
        loop.call_later(7, it.sim.post, "sim.y", 0.0)
        await it.run(
            "suspend: {beam: {when: sim.y > 5, rewind: checkpoint}}\n"
            "steps: [{group: [{set: {pv: sim.x, value: 9}}, checkpoint, {delay: 10}], "
            "restore: [sim.x]}]"
        )
        return it.puts("x")

    assert play(scenario) == [9.0, 1.0]


# Beforehand ------------------------------------------------------------------------------------


def test_it_is_a_put_as_any_other():
    two = "{parallel: [{group: [{delay: 1}], restore: [stage.x]}, {set: {pv: stage.x, value: 1}}]}"
    [line] = lines(f"steps: [{two}]")
    assert "is put by two branches at the same time" in line


@pytest.mark.parametrize(
    ("item", "wrong"),
    [
        ("stage.y", "restore[0]"),
        ("{pv: stage.x, tolerance: 1}", "'tolerance' does nothing without 'readback'"),
        ("{pv: stage.x, valu: 1}", "unknown field 'valu'"),
        ("{group: []}", "is empty"),
    ],
)
def test_mistakes_are_told(item, wrong):
    told = findings(f"restore: [{item}]\nsteps: [{{delay: 1}}]")
    assert any(wrong in line for line in told), told
    told = findings(f"steps: [{{group: [{{delay: 1}}], restore: [{item}]}}]")
    assert any(wrong in line for line in told), told
