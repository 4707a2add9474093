"""Leaving early: break, continue, end, fail, and the timeout of steps with others inside."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import Progressed, RunStatus, Verb
from tests.unit.language.program.test_compiler import findings

DET = "{set: {pv: sim.det, value: $(i)}}"
FIN = "finally: [{set: {pv: sim.fin, value: 1}}]"


def test_break_leaves_the_innermost_loop_and_goes_on_behind_it(run):
    ended, it = run(
        "steps: [{loop: {count: 2, as: o}, do: [{loop: {count: 5, as: i}, do: "
        f"[{DET}, {{if: i == 2, then: [break]}}, {{set: {{pv: sim.y, value: $(i)}}}}]}}, "
        "{set: {pv: sim.text, value: $(o)}}]}]"
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("det") == [0, 1, 2, 0, 1, 2]
    assert it.puts("y") == [0, 1, 0, 1]
    assert it.puts("text") == [0, 1]


def test_continue_goes_on_with_the_next_pass(run):
    _, it = run(
        f"steps: [{{loop: {{count: 4, as: i}}, do: [{{if: i % 2 == 1, then: [continue]}}, {DET}]}}]"
    )
    assert it.puts("det") == [0, 2]


def test_they_lead_out_of_groups_branches_of_an_if_and_what_handles_errors(run):
    _, it = run(
        f"steps: [{{loop: {{while: true, as: i}}, do: [{DET}, {{group: [{{if: i == 3, then: "
        "[{group: [{fail: enough}], on_error: [{log: leaving}, break]}]}]}]}, "
        "{set: {pv: sim.y, value: 7}}]"
    )
    assert (it.puts("det"), it.puts("y")) == ([0, 1, 2, 3], [7])


def test_on_error_does_not_catch_what_leaves(run):
    _, it = run(
        f"steps: [{{loop: {{count: 9, as: i}}, do: [{DET}, "
        "{group: [break], on_error: continue}]}, {group: [{end: ''}], on_error: {retry: 3}}]"
    )
    assert it.puts("det") == [0]


def test_the_progress_of_a_loop_that_is_left_goes_to_its_end(run):
    _, it = run("steps: [{loop: {count: 100}, do: [{delay: 1}, break]}, {delay: 1}]")
    [*_, last] = [event for event in it.events if isinstance(event, Progressed)]
    assert last.percent > 98


def test_nested_passes_can_be_left_too(run):
    _, it = run(
        "steps:\n- trajectories: {servers: {stage: [0, 1, 2, 3]}}\n- nested: {over: stage}\n"
        "  do: [{let: {i: \"index('stage.INDEX')\"}, on_error: [{let: {i: 0}}]}, "
        "{set: {pv: sim.det, value: 1}}, break]\n- set: {pv: sim.y, value: 1}"
    )
    assert (it.puts("det"), it.puts("y")) == ([1], [1])


def test_end_is_a_success_that_tells_why_and_runs_the_finalisers(run):
    ended, it = run(
        f"steps: [{{loop: {{count: 9, as: i}}, do: [{DET}, {{if: i == 1, then: "
        f"[{{end: 'enough with $(i)'}}]}}]}}, {{set: {{pv: sim.y, value: 1}}}}]\n{FIN}"
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.values("message")[-1] == "enough with 1"
    assert (it.puts("det"), it.puts("y"), it.puts("fin")) == ([0, 1], [], [1])


def test_end_in_a_branch_cancels_the_others(play):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            "steps: [{parallel: [{delay: 50}, {group: [{delay: 2}, {end: done}]}]}, "
            "{set: {pv: sim.y, value: 1}}]"
        )
        return ended.status, it.puts("y"), asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, [], pytest.approx(2, abs=0.1))


def test_of_an_end_and_a_failure_the_first_decides(run):
    ended, _ = run(
        "steps: [{parallel: [{group: [{delay: 2}, {fail: bad}]}, "
        "{group: [{delay: 1}, {end: done}]}]}]"
    )
    assert ended.status is RunStatus.SUCCESS
    ended, _ = run(
        "steps: [{parallel: [{group: [{delay: 1}, {fail: bad}]}, "
        "{group: [{delay: 2}, {end: done}]}]}]"
    )
    assert ended.status is RunStatus.FAILED


def test_end_of_a_sequence_within_another_ends_that_alone(play, tmp_path):
    (tmp_path / "inner.yaml").write_text(
        "steps: [{end: ''}, {set: {pv: sim.y, value: 1}}]\n"
        "finally: [{set: {pv: sim.det, value: 1}}]"
    )

    async def scenario(it):
        ended = await it.run("steps: [{run: inner}, {set: {pv: sim.x, value: 5}}]")
        return ended.status, it.puts("y"), it.puts("det"), it.puts("x")

    assert play(scenario, directory=tmp_path) == (RunStatus.SUCCESS, [], [1], [5])


def test_fail_is_a_failure_with_its_text(run):
    ended, it = run(f"steps: [{{let: {{n: 3}}}}, {{fail: 'only $(n) counts'}}]\n{FIN}")
    assert ended.status is RunStatus.FAILED
    assert ended.message == "test.yaml:1:24: steps[1] fail: only 3 counts"
    assert it.puts("fin") == [1]


def test_fail_is_handled_and_tried_again_as_any_error(run):
    ended, it = run(
        "steps: [{group: [{set: {pv: sim.det, value: 1}}, {fail: bad}], "
        "on_error: {retry: 2}, name: g}]"
    )
    assert (ended.status, it.puts("det")) == (RunStatus.FAILED, [1, 1, 1])


# Timeouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "label"),
    [
        ("group: [{delay: 5}, {delay: 90}]", "group"),
        ("parallel: [{delay: 5}, {delay: 90}]", "parallel"),
        ("loop: {while: true}, do: [{delay: 1}]", "loop while True"),
        ("if: sim.x < 9, then: [{delay: 90}]", "if sim.x < 9"),
    ],
)
def test_a_step_with_others_inside_has_a_time_for_all_of_them(play, step, label):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run(f"steps: [{{{step}, timeout: 20}}]")
        return ended, asyncio.get_running_loop().time() - began

    ended, took = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert (
        f"steps[0] {label}: it did not end within its timeout of 20 s; it was at" in ended.message
    )
    assert took == pytest.approx(20, abs=0.1)


def test_its_time_stands_still_in_pauses_and_begins_anew_with_each_try(play):
    async def scenario(it):
        it.start("steps: [{group: [{delay: 3}, {delay: 3}], timeout: 5, on_error: {retry: 1}}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(30)
        it.ask(Verb.RESUME)
        began = asyncio.get_running_loop().time()
        ended = await it.ended()
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.TIMEOUT, pytest.approx(9, abs=0.2))


def test_the_time_of_the_inner_one_is_an_error_that_the_outer_one_can_handle(run):
    ended, it = run(
        "steps: [{group: [{group: [{delay: 50}], timeout: 2, on_error: continue}, "
        "{set: {pv: sim.y, value: 1}}], timeout: 9}]"
    )
    assert (ended.status, it.puts("y")) == (RunStatus.SUCCESS, [1])


def test_it_may_be_computed(run):
    ended, _ = run("steps: [{let: {n: 2}}, {group: [{delay: 50}], timeout: $(n)}]")
    assert "within its timeout of 2 s" in ended.message


# Beforehand ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["break", "continue"])
@pytest.mark.parametrize(
    "text",
    [
        "steps: [{group: [WORD]}]",
        "steps: [{loop: {count: 2}, do: [{parallel: [{delay: 1}, WORD]}]}]",
        "steps: [{loop: {count: 2}, do: [{delay: 1}], on_error: [WORD]}]",
    ],
)
def test_they_have_to_lead_somewhere(text, word):
    [line] = findings(text.replace("WORD", word))
    assert f"{word!r} stands in no loop, or leads out of a branch of a parallel" in line


def test_end_among_finalisers_is_refused():
    [line] = findings("steps: [{delay: 1}]\nfinally: [{end: x}]")
    assert "'end' does nothing among finalisers" in line


def test_break_takes_nothing():
    [line] = findings("steps: [{loop: {count: 2}, do: [{break: 2}]}]")
    assert "takes nothing, not the number 2: the step is the word alone" in line
