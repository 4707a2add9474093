"""`or` and `and` decide by the side that decides; ages count from the IOC's updates."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

import pytest

from orchestrator.types import RunStatus, Severity, Verb


def invalid(it):
    it.sim.post("sim.x", 0.0, Severity.INVALID)


def lost(it):
    it.sim.disconnect("sim.x")


def unconfirmed(it):
    it.sim.disconnect("sim.x")
    it.sim.reconnect("sim.x", 0.0)


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


WAIT = "steps: [{{wait: {{until: {until}, timeout: 9}}, on_disconnect: {lost}}}]"


@pytest.mark.parametrize("doubt", [invalid, lost, unconfirmed])
@pytest.mark.parametrize(
    "until",
    [
        "sim.x > 1 or sim.y > 1",
        "sim.y > 1 or sim.x > 1",
        "not (sim.x < 9 and sim.y < 1)",
        "not (sim.y < 1 and sim.x < 9)",
        "sim.x > 9 or sim.x < -9 or sim.y > 1",
        "(sim.x > 1 and sim.y > 0) or sim.y > 1",
    ],
)
def test_the_side_that_can_be_read_decides(play, until, doubt):
    async def scenario(it):
        later(1, doubt, it)
        later(3, it.sim.post, "sim.y", 2.0)
        began = asyncio.get_running_loop().time()
        ended = await it.run(WAIT.format(until=f'"{until}"', lost="wait"))
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(3, abs=0.1))


@pytest.mark.parametrize("doubt", [invalid, lost, unconfirmed])
@pytest.mark.parametrize(
    "until", ["sim.x > 1 or sim.y > 1", "sim.y < 1 and sim.x > 1", "sim.x > 1 and sim.y < 1"]
)
def test_where_the_side_that_can_be_read_does_not_decide_the_wait_goes_on(play, until, doubt):
    async def scenario(it):
        it.sim.post("sim.x", 0.0)
        await it.pull.idle()
        later(1, doubt, it)
        return await it.run(WAIT.format(until=until, lost="wait"))

    assert play(scenario).status is RunStatus.TIMEOUT


@pytest.mark.parametrize("text", ["sim.x > 1 or sim.y == 0", "sim.y == 0 or sim.x > 1"])
@pytest.mark.parametrize("on_disconnect", ["fail", "wait"])
def test_if_and_while_read_what_they_need(play, text, on_disconnect):
    async def scenario(it):
        it.sim.channels["sim.fin"].on_put = lambda _channel, _value: it.sim.disconnect("sim.x")
        step = f'{{if: "{text}", then: [{{set: {{pv: sim.det, value: 1}}}}], on_disconnect: '
        ended = await it.run(
            f"steps: [{{set: {{pv: sim.fin, value: 1}}}}, {step}{on_disconnect}}}]"
        )
        return ended.status, it.puts("det")

    assert play(scenario) == (RunStatus.SUCCESS, [1.0])


@pytest.mark.parametrize("text", ["sim.x > 1 and sim.y == 0", "sim.y == 0 and sim.x > 1"])
def test_what_they_need_and_can_not_read_is_an_error(play, text):
    async def scenario(it):
        it.sim.channels["sim.fin"].on_put = lambda _channel, _value: it.sim.disconnect("sim.x")
        return await it.run(
            f'steps: [{{set: {{pv: sim.fin, value: 1}}}}, {{if: "{text}", then: [checkpoint]}}]'
        )

    ended = play(scenario)
    assert ended.status is RunStatus.FAILED
    assert "sim.x is disconnected" in ended.message


@pytest.mark.parametrize("text", ["sim.x > 1 or sim.y == 0", "sim.y == 0 or sim.x > 1"])
def test_a_server_that_does_not_answer_matters_only_where_its_answer_is_needed(play, text):
    async def scenario(it):
        it.sim.channels["sim.x"].get_takes = math.inf
        one = f'steps: [{{set: {{pv: sim.fin, value: 1}}}}, {{let: {{yes: "{text}"}}}}'
        ended = await it.run(f"{one}, {{set: {{pv: sim.det, value: $(yes)}}}}]")
        return ended.status, it.puts("det")

    assert play(scenario) == (RunStatus.SUCCESS, [1.0])


def test_a_suspender_goes_by_the_side_that_decides(play):
    async def scenario(it):
        later(1, lost, it)
        later(2, it.sim.post, "sim.y", 9.0)
        later(5, it.sim.post, "sim.y", 0.0)
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            "suspend: {beam: {when: sim.x > 9 and sim.y > 5}}\nsteps: [{delay: 3}]"
        )
        return ended.status, asyncio.get_running_loop().time() - began

    status, took = play(scenario)
    assert status is RunStatus.SUCCESS
    assert took == pytest.approx(6, abs=0.1)


# Ages ----------------------------------------------------------------------------------------


def test_what_we_read_ourselves_is_no_update(play):
    """A source that has died stays old, however often a run puts and reads."""

    async def scenario(it):
        await asyncio.sleep(20)
        ended = await it.run(
            "steps: [{set: {pv: sim.fin, value: 1}}, {let: {old: 'sim.x + age(sim.x)'}}, "
            "{set: {pv: sim.det, value: $(old)}}, "
            "{wait: {until: sim.x == 0 and age(sim.x) > 15, timeout: 1}}, "
            "{if: age(sim.x) < 15, then: [{ask: 'never'}]}]"
        )
        return ended.status, it.puts("det")

    status, [age] = play(scenario)
    assert status is RunStatus.SUCCESS
    assert age == pytest.approx(20, abs=0.1)


def test_an_update_makes_it_young_again(play):
    async def scenario(it):
        await asyncio.sleep(20)
        later(1, it.sim.post, "sim.x", 0.0)
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            "steps: [{set: {pv: sim.fin, value: 1}}, {wait: {until: age(sim.x) < 5, timeout: 9}}]"
        )
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(1, abs=0.1))


# Time and changes ------------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["elapsed() > 4", "sim.x > 1 or elapsed() > 4"])
def test_a_wait_for_a_time_is_looked_at_as_it_goes_by(play, until):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run(f"steps: [{{wait: {{until: '{until}', timeout: 9}}}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(4, abs=0.2))


def test_now_is_the_clock_of_the_service(play):
    def wall():
        return datetime.fromtimestamp(1.8e9 + asyncio.get_running_loop().time(), UTC)

    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            "steps: [{let: {start: now()}}, {wait: {until: now() >= start + 5, timeout: 9}}]"
        )
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario, wall=wall) == (RunStatus.SUCCESS, pytest.approx(5, abs=0.2))


def test_elapsed_stands_while_the_run_is_paused(play):
    async def scenario(it):
        it.start("steps: [{ask: 'go on?'}, {set: {pv: sim.det, value: =elapsed()}}]")
        await asyncio.sleep(50)
        it.ask(Verb.RESUME)
        await it.ended()
        return it.puts("det")

    assert play(scenario) == [pytest.approx(0, abs=0.2)]


def test_the_stamp_of_a_value_is_its_iocs(play):
    async def scenario(it):
        await it.run("steps: [{set: {pv: sim.det, value: =timestamp(sim.x)}}]")
        return it.puts("det") == [it.device.table.channel("sim.x").reading.timestamp]

    assert play(scenario)


@pytest.mark.parametrize(
    ("until", "at"), [("changed(sim.x)", 6), ("changed(sim.x) and elapsed() > 8", 8)]
)
def test_a_wait_for_a_change_begins_with_the_step(play, until, at):
    """What changed before is none; away and back again is one."""

    async def scenario(it):
        for second, value in ((1, 5.0), (4, 5.0), (6, 7.0), (7, 5.0)):
            later(second, it.sim.post, "sim.x", value)
        began = asyncio.get_running_loop().time()
        wait = f"{{wait: {{until: '{until}', timeout: 9}}}}"
        ended = await it.run(f"steps: [{{delay: 2}}, {wait}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(at, abs=0.2))


def test_if_tells_what_changed_in_this_pass_of_the_loop_around_it(play):
    async def scenario(it):
        for second, value in ((1, 1.0), (4, 2.0)):
            later(second, it.sim.post, "sim.x", value)
        await it.run(
            "steps: [{loop: {count: 4, as: i}, do: [{delay: 2}, "
            "{if: changed(sim.x), then: [{set: {pv: sim.det, value: $(i)}}]}]}]"
        )
        return it.puts("det")

    assert play(scenario) in ([0, 1], [0, 2])  # at 4 s the second pass ends and the third begins


def test_without_a_loop_a_change_counts_from_the_beginning_of_the_run(play):
    async def scenario(it):
        it.sim.post("sim.y", 3.0)
        await it.pull.idle()
        later(1, it.sim.post, "sim.x", 1.0)
        await it.run(
            "steps: [{delay: 2}, {set: {pv: sim.det, value: '=1 if changed(sim.x) else 0'}}, "
            "{set: {pv: sim.counts, value: '=1 if changed(sim.y) else 0'}}]"
        )
        return it.puts("det"), it.puts("counts")

    assert play(scenario) == ([1], [0])


def test_a_loop_runs_while_nothing_has_changed_since_it_began(play):
    async def scenario(it):
        later(1, it.sim.post, "sim.x", 1.0)
        later(5, it.sim.post, "sim.x", 2.0)
        await it.run(
            "steps: [{delay: 2}, {loop: {while: not changed(sim.x)}, do: [{delay: 2}]}, "
            "{set: {pv: sim.det, value: '=round(elapsed())'}}]"
        )
        return it.puts("det")

    assert play(scenario) == [6]


def test_a_suspender_can_not_ask_for_changes(run):
    ended, _ = run("suspend: {beam: {when: changed(sim.x)}}\nsteps: [{delay: 3}]")
    assert "has no beginning that changed() could count from" in getattr(
        ended, "message", str(ended)
    )


def test_the_check_does_not_know_the_time(run):
    ended, _ = run(
        "steps: [{loop: {while: elapsed() < 3}, do: [{delay: 1}]}, "
        "{if: elapsed() > 99, then: [{ask: 'never'}]}]"
    )
    assert ended.status is RunStatus.SUCCESS
