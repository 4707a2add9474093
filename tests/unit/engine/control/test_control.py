"""Pause, resume, stop, skip and abort, in the situations that the language names."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.engine.runs.engine import RunIds
from orchestrator.types import Control, Controlled, RunEnded, RunStatus, StateChanged, Verb

FINALLY = "\nfinally: [{set: {pv: sim.fin, value: 1}}]"


def states(it):
    return [e.state.value for e in it.events if isinstance(e, StateChanged)]


def test_pause_is_shown_when_requested_and_takes_effect_inside_a_delay(play):
    async def scenario(it):
        it.start("steps: [{delay: 10}]")
        await asyncio.sleep(4)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(100)
        it.ask(Verb.RESUME)
        began = asyncio.get_running_loop().time()
        ended = await it.ended()
        return ended.status, asyncio.get_running_loop().time() - began, states(it)

    status, left, seen = play(scenario)
    assert status is RunStatus.SUCCESS
    assert left == pytest.approx(6.0)
    assert seen == ["Checking", "Running", "Paused", "Running"]


def test_pause_in_a_move_is_pausing_until_the_move_has_ended(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 5.0
        it.start("steps: [{set: {pv: sim.x, value: 1}}, {set: {pv: sim.y, value: 1}}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        during = it.values("state")[-1]
        await asyncio.sleep(10)
        after, puts = it.values("state")[-1], it.puts("y")
        it.ask(Verb.RESUME)
        ended = await it.ended()
        return ended.status, during, after, puts, it.puts("y")

    assert play(scenario) == (RunStatus.SUCCESS, "Pausing", "Paused", [], [1.0])


def test_pause_pv_shows_the_pause_and_goes_back_to_0_when_the_run_ends(play):
    async def scenario(it):
        it.start("steps: [{delay: 10}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        it.ask(Verb.ABORT)
        await it.ended()
        return it.values("pause")

    assert play(scenario) == [1, 0]


def test_pause_resume_pause_in_quick_succession_ends_paused(play):
    async def scenario(it):
        it.start("steps: [{delay: 10}]")
        await asyncio.sleep(1)
        for verb in (Verb.PAUSE, Verb.RESUME, Verb.PAUSE):
            it.ask(verb)
        await asyncio.sleep(1000)
        state = it.values("state")[-1]
        it.ask(Verb.RESUME)
        return state, (await it.ended()).status

    assert play(scenario) == ("Paused", RunStatus.SUCCESS)


@pytest.mark.parametrize("step", ["delay: 50", "wait: {pv: sim.x, above: 5, timeout: 50}"])
def test_stop_ends_a_delay_or_wait_at_once_and_runs_finally(play, step):
    async def scenario(it):
        it.start(f"steps: [{{{step}}}, {{set: {{pv: sim.y, value: 1}}}}]{FINALLY}")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        it.ask(Verb.STOP)
        ended = await it.ended()
        took = asyncio.get_running_loop().time() - began
        return ended.status, took, it.puts("y"), it.puts("fin")

    assert play(scenario) == (RunStatus.STOPPED, 0.0, [], [1.0])


def test_stop_lets_a_move_finish(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 5.0
        it.start(
            f"steps: [{{set: {{pv: sim.x, value: 1}}}}, {{set: {{pv: sim.y, value: 1}}}}]{FINALLY}"
        )
        await asyncio.sleep(1)
        it.ask(Verb.STOP)
        await asyncio.sleep(1)
        during = it.values("state")[-1]
        ended = await it.ended()
        return during, ended.status, it.device.table.channel("sim.x").reading.value, it.puts("y")

    assert play(scenario) == ("Stopping", RunStatus.STOPPED, 1.0, [])


def test_abort_interrupts_a_move_and_carries_its_reason(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 500.0
        it.start(f"steps: [{{set: {{pv: sim.x, value: 1, timeout: 900}}}}]{FINALLY}")
        await asyncio.sleep(1)
        it.ask(Verb.ABORT, "smoke")
        ended = await it.ended()
        return ended.status, ended.message, it.puts("fin")

    status, message, fin = play(scenario)
    assert status is RunStatus.ABORTED
    assert message.startswith("aborted: smoke")
    assert fin == [1.0]


def test_second_abort_gives_up_on_completions_in_finally(play):
    async def scenario(it):
        it.sim.channels["sim.fin"].put_takes = math.inf
        it.start(
            "steps: [{delay: 100}]\nfinally: "
            "[{set: {pv: sim.fin, value: 1, timeout: 900}}, {set: {pv: sim.y, value: 1}}]"
        )
        await asyncio.sleep(1)
        it.ask(Verb.ABORT)
        await asyncio.sleep(5)
        still, began = it.values("busy"), asyncio.get_running_loop().time()
        it.ask(Verb.ABORT)
        ended = await it.ended()
        return still, ended.status, it.puts("y"), asyncio.get_running_loop().time() - began

    assert play(scenario) == ([1], RunStatus.ABORTED, [1.0], 0.0)


def test_third_abort_drops_the_finalisers(play):
    async def scenario(it):
        it.start("steps: [{delay: 100}]\nfinally: [{delay: 1000}, {set: {pv: sim.y, value: 1}}]")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        for _ in range(3):
            it.ask(Verb.ABORT)
            await asyncio.sleep(1)
        ended = await it.ended()
        return ended.status, it.puts("y"), asyncio.get_running_loop().time() - began < 10

    assert play(scenario) == (RunStatus.ABORTED, [], True)


def test_first_abort_in_finally_only_sets_the_outcome(play):
    async def scenario(it):
        it.start("steps: [{delay: 1}]\nfinally: [{delay: 10}, {set: {pv: sim.fin, value: 1}}]")
        await asyncio.sleep(5)
        it.ask(Verb.ABORT)
        ended = await it.ended()
        return ended.status, it.puts("fin")

    assert play(scenario) == (RunStatus.ABORTED, [1.0])


@pytest.mark.parametrize("step", ["delay: 50", "wait: {pv: sim.x, above: 5, timeout: 50}"])
def test_skip_ends_the_step_and_goes_on(play, step):
    async def scenario(it):
        it.start(f"steps: [{{{step}}}, {{set: {{pv: sim.y, value: 1}}}}]")
        await asyncio.sleep(1)
        it.ask(Verb.SKIP)
        ended = await it.ended()
        return ended.status, it.puts("y")

    assert play(scenario) == (RunStatus.SUCCESS, [1.0])


def test_skip_while_paused_takes_the_step_away_but_stays_paused(play):
    async def scenario(it):
        it.start("steps: [{delay: 50}, {set: {pv: sim.y, value: 1}}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        it.ask(Verb.SKIP)
        await asyncio.sleep(100)
        during = it.puts("y"), it.values("state")[-1]
        it.ask(Verb.RESUME)
        await it.ended()
        return during, it.puts("y")

    assert play(scenario) == (([], "Paused"), [1.0])


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.RESUME, Verb.STOP, Verb.ABORT, Verb.SKIP])
def test_commands_are_harmless_when_idle(play, verb):
    async def scenario(it):
        it.ask(verb)
        it.ask(verb)
        ended = await it.run("steps: [{delay: 1}]")
        return ended.status, it.values("busy")

    assert play(scenario) == (RunStatus.SUCCESS, [1, 0])


def test_stop_before_the_first_step_runs_no_finaliser(play):
    async def scenario(it):
        it.sim.disconnect("sim.x")
        it.start(f"steps: [{{set: {{pv: sim.x, value: 1}}}}]{FINALLY}")
        await asyncio.sleep(1)
        it.ask(Verb.STOP)
        ended = await it.ended()
        return ended.status, it.puts("fin")

    assert play(scenario) == (RunStatus.STOPPED, [])


def test_service_that_ends_aborts_the_run_and_waits_for_its_finalisers(play):
    async def scenario(it):
        it.start(f"steps: [{{delay: 100}}]{FINALLY}")
        await asyncio.sleep(1)
        await it.engine.close("the service ends")
        ended = await it.ended()
        return ended.status, ended.message, it.puts("fin")

    status, message, fin = play(scenario)
    assert (status, fin) == (RunStatus.ABORTED, [1.0])
    assert "the service ends" in message


@pytest.mark.parametrize(
    "step",
    [
        "sample: [sim.counts]",
        "let: {a: sim.counts}",
        "log: 'at $(sim.counts)'",
        "if: sim.counts > 1\n  then: [{set: {pv: sim.y, value: 1}}]",
        "loop: {while: sim.counts > 1}\n  do: [{set: {pv: sim.y, value: 1}}]",
        "set: {pv: sim.counts, value: 1}",
    ],
)
def test_a_step_that_waits_for_its_channel_is_skipped_as_a_whole(play, step):
    """Otherwise it went on with a channel that is not there, and failed."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, it.sim.disconnect, "sim.counts")
        loop.call_later(2, it.ask, Verb.SKIP)
        ended = await it.run(
            f"steps:\n- delay: 1\n- {step}\n  on_disconnect: wait\n- set: {{pv: sim.fin, value: 1}}"
        )
        return ended.status, it.puts("fin"), it.puts("y"), loop.time() - 1000

    assert play(scenario) == (RunStatus.SUCCESS, [1.0], [], pytest.approx(2))


HELD = [
    "let: {a: sim.counts}",
    "log: 'at $(sim.counts)'",
    "if: sim.counts > 1\n  then: [{set: {pv: sim.y, value: 1}}]",
    "loop: {while: sim.counts > 1}\n  do: [{set: {pv: sim.y, value: 1}}]",
    "sample: {channels: [sim.counts], timeout: 900}",
]


@pytest.mark.parametrize("aborts_at", [(2, 5), (1, 1.2)])
@pytest.mark.parametrize("step", HELD)
def test_second_abort_gives_up_a_step_of_finally_that_waits_for_its_channel(play, step, aborts_at):
    """It has no timeout; also where it begins to wait only after that abort."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, it.sim.disconnect, "sim.counts")
        for at in (*aborts_at, 30):  # the third ends it in any case
            loop.call_later(at, it.ask, Verb.ABORT)
        ended = await it.run(
            "steps: [{delay: 100}]\nfinally:\n- delay: 0.5\n"
            f"- {step}\n  on_disconnect: wait\n- set: {{pv: sim.fin, value: 1}}"
        )
        return ended.status, ended.message, it.puts("fin"), loop.time() - 1000

    status, message, fin, took = play(scenario)
    assert (status, fin) == (RunStatus.ABORTED, [1.0])
    assert took == pytest.approx(5 if aborts_at[1] == 5 else 1.5)
    assert "sim.counts: disconnected" in message


def beside_a_slow_server(play, step, *acts, doc="steps:"):
    """A step right behind a put, where reading sim.counts anew takes 3 s."""

    async def scenario(it):
        it.sim.channels["sim.counts"].get_takes = 3.0
        for at, verb in acts:
            asyncio.get_running_loop().call_later(at, it.ask, verb)
        last = "- set: {pv: sim.fin, value: 1}"
        ended = await it.run(f"{doc}\n- set: {{pv: sim.x, value: 1}}\n- {step}\n{last}")
        return ended, it.puts("y"), it.puts("fin"), asyncio.get_running_loop().time() - 1000

    return play(scenario)


PUTS_Y = "[{set: {pv: sim.y, value: 1}}]"
READING = [
    f"if: sim.counts < 1\n  then: {PUTS_Y}\n  else: {PUTS_Y}",
    "set: {pv: sim.y, value: =sim.counts}",
    f"loop: {{while: sim.counts + sim.y < 1}}\n  do: {PUTS_Y}",
    f"loop: {{count: =sim.counts + 1}}\n  do: {PUTS_Y}",
    "wait: {pv: sim.y, equals: =sim.counts + 1, timeout: 9}",
]


@pytest.mark.parametrize("step", READING)
def test_a_step_that_reads_a_value_anew_is_skipped_as_a_whole(play, step):
    """It went on with the older value, which the put may have changed."""
    ended, y, fin, took = beside_a_slow_server(play, step, (1, Verb.SKIP))
    assert (ended.status, y, fin, took) == (RunStatus.SUCCESS, [], [1.0], pytest.approx(1))


def test_the_body_of_a_loop_follows_where_its_positioner_is_skipped(play):
    target = "pv: sim.x, values: [1, 2], tolerance: =sim.counts, readback: sim.x, timeout: 9"
    step = f"loop: {{{target}}}\n  do: {PUTS_Y}"
    ended, y, _, took = beside_a_slow_server(play, step, (1, Verb.SKIP))
    assert (ended.status, y, took) == (RunStatus.SUCCESS, [1.0, 1.0], pytest.approx(4))


def test_a_let_that_is_skipped_binds_nothing(play):
    step = "let: {a: sim.counts}\n- set: {pv: sim.y, value: $(a)}"
    ended, y, _, took = beside_a_slow_server(play, step, (1, Verb.SKIP))
    assert (ended.status, y, took) == (RunStatus.FAILED, [], pytest.approx(1))
    assert "a has no value: the step that gives it one did not end" in ended.message


def test_a_skip_between_two_tries_goes_on_behind_the_step(play):
    wait = "wait: {pv: sim.y, equals: 9, timeout: 0.5}"
    step = f"{wait}\n  on_error: {{retry: 9, delay: =sim.counts + 5}}"
    ended, _, fin, took = beside_a_slow_server(play, step, (1, Verb.SKIP))
    assert (ended.status, fin, took) == (RunStatus.SUCCESS, [1.0], pytest.approx(1))


def test_second_abort_gives_up_a_value_that_is_read_anew(play):
    """An older one may be wrong: the step fails, and the finaliser behind it runs."""
    aborts = (1, Verb.ABORT), (2, Verb.ABORT)
    for step in (READING[0], READING[1]):
        ended, y, fin, took = beside_a_slow_server(
            play, step, *aborts, doc="steps: [{delay: 1}]\nfinally:"
        )
        assert (ended.status, y, fin, took) == (RunStatus.ABORTED, [], [1.0], pytest.approx(2))
        assert "sim.counts" in ended.message


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "abort", "skip"])
@pytest.mark.parametrize("by", ["op@console", ""])
def test_who_controls_a_run_is_told_in_events_and_message(play, verb, by):
    async def scenario(it):
        it.start("steps: [{delay: 9}]")
        await asyncio.sleep(1)
        if verb == "resume":
            it.ask(Verb.PAUSE)
        it.ask(Verb(verb), "smoke" if verb == "abort" else "", by)
        if verb == "pause":
            await asyncio.sleep(1)
            it.ask(Verb.RESUME)
        await it.ended()
        told = [e for e in it.events if isinstance(e, Controlled) and e.verb == verb]
        named = [e.run_id for e in it.events if isinstance(e, RunEnded)]
        return told, named, next(text for text in it.values("message") if text.startswith(verb))

    reason = "smoke" if verb == "abort" else ""
    text = f"{verb} asked for{f' by {by}' if by else ''}{f': {reason}' if reason else ''}"
    told, (run_id,), message = play(scenario)
    assert (told, message) == ([Controlled(Verb(verb), by, reason, run_id=run_id)], text)


@pytest.mark.parametrize(
    ("verb", "reason", "message"),
    [
        (Verb.STOP, "", "stopped by op@console"),
        (Verb.ABORT, "", "aborted by op@console"),
        (Verb.ABORT, "smoke", "aborted: smoke by op@console"),
    ],
)
def test_outcome_tells_who_ended_the_run_first(play, verb, reason, message):
    async def scenario(it):
        it.start("steps: [{delay: 9}]\nfinally: [{delay: 2}]")
        await asyncio.sleep(1)
        it.ask(verb, reason, "op@console")
        await asyncio.sleep(1)
        it.ask(verb, "too late", "somebody@else")
        return (await it.ended()).message

    assert play(scenario) == message


def test_who_answers_a_question_is_told(play):
    async def scenario(it):
        it.start("steps: [{ask: go on?}]")
        await asyncio.sleep(1)
        it.ask(Verb.RESUME, by="op@console")
        await it.ended()
        return it.values("message")[-1]

    assert play(scenario) == "resumed by op@console"


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        (Verb.RESUME, "Paused"),
        (Verb.SKIP, "Paused"),
        (Verb.ABORT, "Aborted"),
        (Verb.STOP, "Stopped"),
    ],
)
def test_what_was_asked_of_a_run_that_has_ended_lets_no_other_go_on(play, verb, status):
    """Asked for while the end of the run before is on its way; to end one is always right."""

    async def scenario(it):
        it.start("steps: [{delay: 9}]")
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        it.requests.offer(Control(verb, run_id="the run before"))
        await asyncio.sleep(20)
        shown = it.values("state")[-1] if it.values("busy")[-1] else it.values("status")[-1]
        it.ask(Verb.ABORT)
        await asyncio.sleep(1)
        return shown, it.values("message")

    shown, messages = play(scenario)
    assert shown == status
    late = f"{verb} was asked of the run the run before, which has ended"
    assert (late in messages) is (status == "Paused")


def test_control_that_is_refused_is_not_told_as_done(play):
    async def scenario(it):
        it.start("steps: [{delay: 9}]\nfinally: [{delay: 2}]")
        await asyncio.sleep(1)
        it.ask(Verb.STOP, by="op@console")
        it.ask(Verb.PAUSE, by="op@console")
        await it.ended()
        return [e.verb for e in it.events if isinstance(e, Controlled)]

    assert play(scenario) == [Verb.STOP]


def test_elapsed_stands_still_while_paused(play):
    async def scenario(it):
        it.start("steps: [{delay: 10}]")
        await asyncio.sleep(4)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        before = it.values("elapsed")[-1]
        await asyncio.sleep(1000)
        after = it.values("elapsed")[-1]
        it.ask(Verb.RESUME)
        await it.ended()
        return before, after, it.values("elapsed")[-1]

    before, after, last = play(scenario)
    assert before == after == pytest.approx(4, abs=0.3)
    assert last == pytest.approx(10, abs=0.3)


def test_the_ids_of_runs_go_on_whatever_the_clock_does():
    """More than a thousand in a millisecond, as a flood of START makes, and a clock set back."""
    now = datetime(2026, 10, 25, 2, 59, 59, 999_000, tzinfo=UTC)
    names = RunIds(lambda: now)
    ids = [names.next() for _ in range(2500)]
    now -= timedelta(hours=1)
    ids += [names.next() for _ in range(2500)]
    now += timedelta(hours=2)
    ids.append(names.next())
    assert ids == sorted(set(ids))
    assert {len(run_id) for run_id in ids} == {23}
    assert {run_id[20:] for run_id in ids} == {f"-{ids[0][-2:]}"}
    assert (ids[0][:20], ids[1][:20]) == ("20261025T025959.999Z", "20261025T030000.000Z")
    assert ids[-1][:20] == "20261025T035959.999Z"
