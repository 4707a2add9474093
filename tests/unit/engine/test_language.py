"""The steps beyond the first ones: branches, errors, held puts, edges, sub-sequences."""

from __future__ import annotations

import asyncio
import math
import tracemalloc

import pytest

from orchestrator.types import Cause, RunStatus, Severity, Verb


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


# parallel


def test_branches_run_at_the_same_time_and_are_all_awaited(play):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run("steps: [{parallel: [{delay: 3}, {delay: 5}, {delay: 1}]}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(5.0))


def test_first_failure_cancels_the_other_branches_moves_by_their_stop_channels(play):
    async def scenario(it):
        it.sim.channels["sim.y"].put_takes = math.inf
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            "steps:\n- parallel:\n"
            "  - set: {pv: sim.y, value: 5, timeout: 900}\n"
            "  - wait: {pv: sim.x, above: 1, timeout: 2}\n"
            "  - delay: 800"
        )
        return ended, it.puts("stop"), asyncio.get_running_loop().time() - began

    ended, stop, took = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "sim.x above 1" in ended.message
    assert "parallel[1]" in ended.message
    assert stop == [1.0]
    assert took == pytest.approx(2.0)


def test_abort_after_a_tolerated_failure_of_a_branch_still_runs_finally(play):
    """Up to Python 3.12 a TaskGroup that failed left a cancellation too many with its parent."""

    async def scenario(it):
        it.start(
            "steps:\n- parallel: [{delay: 9}, {wait: {pv: sim.x, above: 1, timeout: 1}}]\n"
            "  on_error: continue\n- delay: 50\nfinally: [{set: {pv: sim.fin, value: 1}}]"
        )
        await asyncio.sleep(5)
        it.ask(Verb.ABORT)
        ended = await it.ended()
        return ended.status, it.puts("fin")

    assert play(scenario) == (RunStatus.ABORTED, [1.0])


def test_let_in_a_branch_is_seen_by_no_other(play):
    async def scenario(it):
        return (
            await it.run(
                "steps:\n- let: {a: 1}\n- parallel:\n"
                "  - group: [{let: {a: 2}}, {delay: 1}, {set: {pv: sim.x, value: $(a)}}]\n"
                "  - group: [{delay: 2}, {set: {pv: sim.y, value: $(a)}}]"
            ),
            it.puts("x"),
            it.puts("y"),
        )

    ended, x, y = play(scenario)
    assert ended.status is RunStatus.SUCCESS
    assert (x, y) == ([2.0], [1.0])


def test_stop_lets_each_branch_come_to_its_own_boundary(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 5.0
        it.start("steps: [{parallel: [{set: {pv: sim.x, value: 1}}, {delay: 100}]}]")
        await asyncio.sleep(1)
        it.ask(Verb.STOP)
        ended = await it.ended()
        return ended.status, it.device.table.channel("sim.x").reading.value

    assert play(scenario) == (RunStatus.STOPPED, 1.0)


def test_skip_interrupts_the_innermost_step_of_every_branch(play):
    async def scenario(it):
        it.start(
            "steps: [{parallel: [{delay: 100}, {group: [{delay: 100}, "
            "{set: {pv: sim.x, value: 1}}]}]}]"
        )
        await asyncio.sleep(1)
        it.ask(Verb.SKIP)
        ended = await it.ended()
        return ended.status, it.puts("x")

    assert play(scenario) == (RunStatus.SUCCESS, [1.0])


# on_error


def test_continue_goes_on_and_tells(run):
    def refuse(it):
        it.sim.channels["sim.x"].refuses = "stuck"

    ended, it = run(
        "steps:\n- set: {pv: sim.x, value: 1}\n  on_error: continue\n"
        "- set: {pv: sim.fin, value: 1}",
        before=refuse,
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("fin") == [1.0]
    assert any("stuck" in m for m in it.values("message"))
    assert "1 error was tolerated" in ended.message


def test_retry_is_counted_anew_each_time_the_step_is_entered(play):
    async def scenario(it):
        tried = []

        def put(channel, value):
            tried.append(value)
            channel.refuses = "" if len(tried) % 3 == 2 else "not yet"

        it.sim.channels["sim.x"].on_put = put
        waits = "{wait: {pv: sim.counts, above: 0, timeout: 5}, on_error: {retry: 2, delay: 1}}"
        it.start(f"steps: [{{loop: {{count: 2}}, do: [{waits}]}}]")
        began = asyncio.get_running_loop().time()
        later(14, it.sim.post, "sim.counts", 1.0)
        ended = await it.ended()
        return ended.status, asyncio.get_running_loop().time() - began

    # Tries end at 5 and 11 s, the third is met at 14 s; the second pass is met at once.
    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(14.0))


def test_retry_gives_up_with_the_last_error_after_n_more_tries(play):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            "steps: [{wait: {pv: sim.x, above: 0, timeout: 5}, on_error: {retry: 2, delay: 1}}]"
        )
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.TIMEOUT, pytest.approx(17.0))


def test_rows_of_failed_tries_stay_marked(run):
    _, it = run(
        "steps:\n- group:\n  - sample: [sim.x]\n  - wait: {pv: sim.x, above: 1, timeout: 1}\n"
        "  on_error: {retry: 1, delay: 0}"
    )
    assert it.store.recorders[0].tries == [(1,), (2,)]


def test_handler_steps_run_when_the_step_fails(run):
    ended, it = run(
        "steps:\n- wait: {pv: sim.x, above: 1, timeout: 1}\n"
        "  on_error: [{set: {pv: sim.fin, value: 7}}]"
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("fin") == [7.0]


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.SKIP])
def test_aborts_and_skips_are_never_caught_by_on_error(play, verb):
    async def scenario(it):
        it.start("steps: [{delay: 50, on_error: [{set: {pv: sim.fin, value: 1}}]}]")
        await asyncio.sleep(1)
        it.ask(verb)
        ended = await it.ended()
        return ended.status, it.puts("fin")

    wanted = RunStatus.ABORTED if verb is Verb.ABORT else RunStatus.SUCCESS
    assert play(scenario) == (wanted, [])


# on_disconnect


def test_put_is_held_with_us_until_the_channel_is_back(play):
    async def scenario(it):
        it.start(
            "steps: [{delay: 2}, {set: {pv: sim.x, value: 5, timeout: 20}, on_disconnect: wait}]"
        )
        await asyncio.sleep(1)
        it.sim.disconnect("sim.x")
        later(7, it.sim.reconnect, "sim.x")
        ended = await it.ended()
        return ended.status, it.sim.channels["sim.x"].puts[0][0] - 1000.0

    status, at = play(scenario)
    assert status is RunStatus.SUCCESS
    assert at == pytest.approx(8.0, abs=0.2)


def test_held_put_is_never_sent_when_the_channel_does_not_come_back(play):
    async def scenario(it):
        it.start(
            "steps: [{delay: 2}, {set: {pv: sim.x, value: 5, timeout: 4}, on_disconnect: wait}]"
        )
        await asyncio.sleep(1)
        it.sim.disconnect("sim.x")
        ended = await it.ended()
        it.sim.reconnect("sim.x")
        await asyncio.sleep(100)
        return ended, it.puts("x")

    ended, puts = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "was held: sim.x did not come back within 4 s" in ended.message
    assert puts == []


def test_wait_may_fail_on_a_disconnection_instead(play):
    async def scenario(it):
        it.start("steps: [{wait: {pv: sim.x, above: 5, timeout: 50}, on_disconnect: fail}]")
        await asyncio.sleep(3)
        it.sim.disconnect("sim.x")
        return await it.ended()

    ended = play(scenario)
    assert ended.status is RunStatus.FAILED
    assert "sim.x: disconnected" in ended.message


# wait


def test_edge_has_to_become_true_after_the_step_began(play):
    async def scenario(it):
        it.sim.post("sim.x", 1.0)
        began = asyncio.get_running_loop().time()
        later(2, it.sim.post, "sim.x", 0.0)
        later(3, it.sim.post, "sim.x", 1.0)
        ended = await it.run("steps: [{wait: {pv: sim.x, equals: 1, edge: true, timeout: 9}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(3.0))


@pytest.mark.parametrize(("first", "told"), [(1.0, True), (0.0, False)])
def test_a_wait_for_an_edge_tells_that_the_condition_was_true_from_the_start(play, first, told):
    async def scenario(it):
        it.sim.post("sim.x", first)
        text = "steps: [{wait: {pv: sim.x, equals: 1, edge: true, timeout: 3}}]"
        return (await it.run(text)).message

    assert ("it was true with the first value that counted" in play(scenario)) is told


def test_hold_needs_the_condition_without_a_break(play):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        for at, value in ((1, 1.0), (2, 0.0), (3, 1.0)):
            later(at, it.sim.post, "sim.x", value)
        ended = await it.run("steps: [{wait: {pv: sim.x, equals: 1, hold: 2, timeout: 9}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(5.0))


@pytest.mark.parametrize(("field", "met"), [("increase_by: 2", 12.0), ("decrease_by: 2", 8.0)])
def test_increase_and_decrease_count_from_the_value_at_the_beginning(play, field, met):
    async def scenario(it):
        it.sim.post("sim.x", 10.0)
        later(1, it.sim.post, "sim.x", 11.0 if met > 10 else 9.0)
        later(2, it.sim.post, "sim.x", met)
        began = asyncio.get_running_loop().time()
        ended = await it.run(f"steps: [{{wait: {{pv: sim.x, {field}, timeout: 9}}}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(2.0))


def test_accept_invalid_and_accept_restart_accept(play):
    async def scenario(it):
        it.sim.post("sim.x", 5.0, Severity.INVALID)
        it.sim.disconnect("sim.y")
        it.sim.reconnect("sim.y", 3.0)
        return await it.run(
            "steps:\n- wait: {pv: sim.x, equals: 5, accept_invalid: true, timeout: 1}\n"
            "- wait: {pv: sim.y, equals: 3, accept_restart: true, timeout: 1}"
        )

    assert play(scenario).status is RunStatus.SUCCESS


# while, serpentine, ask, checkpoint, run, call, timeout


def test_while_looks_at_its_condition_before_each_pass(run):
    def counting(it):
        it.sim.channels["sim.x"].on_put = lambda c, v: it.sim.post(
            "sim.counts", it.sim.channels["sim.counts"].value + 1
        )

    ended, it = run(
        "steps: [{loop: {while: sim.counts < 3}, do: [{set: {pv: sim.x, value: 1}}]}]",
        before=counting,
    )
    assert ended.status is RunStatus.SUCCESS
    assert len(it.puts("x")) == 3


def test_serpentine_runs_every_other_pass_backwards(run):
    _, it = run(
        "steps:\n- loop: {count: 3}\n  do:\n"
        "  - loop: {pv: sim.x, values: [1, 2, 3], serpentine: true}\n    do: [{delay: 0}]"
    )
    assert it.puts("x") == [1, 2, 3, 3, 2, 1, 1, 2, 3]


def test_a_serpentine_of_millions_of_points_makes_no_list_of_them(run):
    """Its points are computed one by one, backwards too: a list held the event loop up for 5 s."""
    tracemalloc.start()
    ended, it = run(
        "parameters: {n: 5000000}\nsteps:\n- loop: {count: 2, as: i}\n  do:\n  - if: i == 1\n"
        "    then:\n    - loop: {pv: sim.x, from: 0, to: 1, num: $(n), serpentine: true}\n"
        "      do: [{wait: {pv: sim.y, above: 1, timeout: 1}}]"
    )
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ended.status, it.puts("x")) == (RunStatus.TIMEOUT, [1.0])
    assert most < 20e6


def test_ask_pauses_with_its_text_until_resumed(play):
    async def scenario(it):
        it.start("steps: [{ask: Change the sample}, {set: {pv: sim.x, value: 1}}]")
        await asyncio.sleep(100)
        seen = it.values("message")[-1], it.values("state")[-1], it.puts("x")
        it.ask(Verb.RESUME)
        ended = await it.ended()
        return seen, ended.status, it.puts("x"), it.values("message")[-1]

    seen, status, puts, message = play(scenario)
    assert seen == ("Change the sample", "Paused", [])
    assert (status, puts, message) == (RunStatus.SUCCESS, [1.0], "resumed")


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT, Verb.SKIP])
def test_ask_ends_at_once_by_stop_abort_and_skip(play, verb):
    async def scenario(it):
        it.start("steps: [{ask: Ready}, {delay: 1}]")
        await asyncio.sleep(1)
        it.ask(verb)
        return (await it.ended()).status

    wanted = {Verb.STOP: "Stopped", Verb.ABORT: "Aborted", Verb.SKIP: "Success"}
    assert play(scenario) == wanted[verb]


def test_document_timeout_decides_and_stands_still_while_paused(play):
    async def scenario(it):
        it.start("timeout: 10\nsteps: [{delay: 6}, {delay: 6}]\nfinally: [{delay: 1}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(100)
        it.ask(Verb.RESUME)
        began = asyncio.get_running_loop().time()
        ended = await it.ended()
        return ended, asyncio.get_running_loop().time() - began

    ended, took = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "did not end within its timeout of 10 s; it was at steps[1]" in ended.message
    assert took == pytest.approx(10.0)


SUB = (
    "parameters: {to: 1.0}\nsteps: [{set: {pv: sim.x, value: $(to)}}]\n"
    "finally: [{set: {pv: sim.y, value: $(to)}}]"
)


def test_sub_sequence_has_its_own_parameters_and_finalisers(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(SUB)

    async def scenario(it):
        ended = await it.run(
            "steps:\n- run: {sequence: sub, args: {to: 3}}\n"
            "- loop: {values: [4, 5], as: v}\n  do: [{run: {sequence: sub, args: {to: $(v)}}}]"
        )
        return ended.status, it.puts("x"), it.puts("y")

    wanted = (RunStatus.SUCCESS, [3, 4, 5], [3, 4, 5])
    assert play(scenario, directory=tmp_path) == wanted


def test_abort_in_a_sub_sequence_runs_its_finalisers_before_the_outer_ones(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(
        "steps: [{delay: 100}]\nfinally: [{delay: 2}, {set: {pv: sim.y, value: 1}}]"
    )

    async def scenario(it):
        it.start("steps: [{run: sub}]\nfinally: [{set: {pv: sim.fin, value: 1}}]")
        await asyncio.sleep(1)
        it.ask(Verb.ABORT)
        ended = await it.ended()
        times = [it.sim.channels[f"sim.{n}"].puts[0][0] for n in ("y", "fin")]
        return ended.status, times[1] - times[0] >= 0, it.puts("y"), it.puts("fin")

    assert play(scenario, directory=tmp_path) == (RunStatus.ABORTED, True, [1.0], [1.0])


def test_recursion_is_found_before_the_run(play, tmp_path):
    (tmp_path / "a.yaml").write_text("steps: [{run: b}]")
    (tmp_path / "b.yaml").write_text("steps: [{run: a}]")

    async def scenario(it):
        return await it.run("steps: [{run: a}]")

    ended = play(scenario, directory=tmp_path)
    assert ended.cause is Cause.INPUT
    assert "a" in ended.message
    assert "b" in ended.message


def test_of_two_failures_at_one_moment_the_first_is_the_error_told(play):
    async def scenario(it):
        waits = [f"{{wait: {{pv: sim.{n}, above: 1, timeout: 2}}}}" for n in ("x", "y")]
        return await it.run(f"steps: [{{parallel: [{', '.join(waits)}]}}]")

    message = play(scenario).message
    assert "steps[0].parallel[0]" in message or "sim.x" in message
    assert "sim.y" not in message
