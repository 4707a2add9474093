from __future__ import annotations

import asyncio
import math

import pytest

from orchestrator.types import Cause, Metadata, NativeType, RunStatus, Severity, Verb


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


@pytest.mark.parametrize(
    ("condition", "values", "met_at"),
    [
        ("equals: 5", [4, 5], 2),
        ("equals: 5, tolerance: 0.5", [4, 4.6], 2),
        ("not: 0", [0, 1], 2),
        ("above: 5", [5, 5.1], 2),
        ("at_least: 5", [4.9, 5], 2),
        ("below: -5", [-5, -6], 2),
        ("at_most: -5", [-4, -5], 2),
        ("between: [1, 2]", [3, 1.5], 2),
        ("in: [7, 8]", [6, 8], 2),
    ],
)
def test_each_comparison_is_met_by_the_value_that_meets_it(play, condition, values, met_at):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        for i, value in enumerate(values, 1):
            later(i, it.sim.post, "sim.x", float(value))
        ended = await it.run(f"steps: [{{wait: {{pv: sim.x, {condition}, timeout: 10}}}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    status, took = play(scenario)
    assert status is RunStatus.SUCCESS
    assert took == pytest.approx(met_at)


def test_until_waits_for_an_expression(play):
    async def scenario(it):
        later(3, it.sim.post, "sim.x", 3.0)
        later(4, it.sim.post, "sim.y", 2.0)
        return await it.run("steps: [{wait: {until: sim.x + sim.y >= 5, timeout: 10}}]")

    assert play(scenario).status is RunStatus.SUCCESS


def test_age_is_reached_by_time_alone(play):
    async def scenario(it):
        it.sim.post("sim.x", 1.0)
        await it.pull.idle()
        began = asyncio.get_running_loop().time()
        ended = await it.run("steps: [{wait: {until: age(sim.x) > 5, timeout: 10}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(5.0, abs=0.2))


def test_timeout_says_what_was_awaited_and_the_last_value(run):
    ended, _ = run("steps: [{wait: {pv: sim.x, above: 5, timeout: 7}}]")
    assert ended.status is RunStatus.TIMEOUT
    assert "waited 7 s for sim.x above 5" in ended.message
    assert "sim.x was last seen at 0" in ended.message


def test_disconnected_channel_satisfies_no_condition_not_included(play):
    async def scenario(it):
        it.sim.post("sim.x", 1.0)
        later(1, it.sim.disconnect, "sim.x")
        return await it.run("steps: [{wait: {pv: sim.x, not: 1, timeout: 5}}]")

    ended = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "disconnected" in ended.message


def test_first_value_after_a_restart_is_not_taken_for_the_condition(play):
    async def scenario(it):
        it.sim.post("sim.x", 1.0)
        later(1, it.sim.disconnect, "sim.x")
        later(2, it.sim.reconnect, "sim.x", 0.0)
        return await it.run("steps: [{wait: {pv: sim.x, equals: 0, timeout: 5}}]")

    ended = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "unconfirmed since the reconnection" in ended.message


def test_update_after_the_restart_confirms(play):
    async def scenario(it):
        it.sim.post("sim.x", 1.0)
        later(1, it.sim.disconnect, "sim.x")
        later(2, it.sim.reconnect, "sim.x", 0.0)
        later(3, it.sim.post, "sim.x", 0.0)
        return await it.run("steps: [{wait: {pv: sim.x, equals: 0, timeout: 5}}]")

    assert play(scenario).status is RunStatus.SUCCESS


def test_completed_put_of_this_run_confirms(play):
    async def scenario(it):
        it.sim.disconnect("sim.x")
        it.sim.reconnect("sim.x", 0.0)
        await it.pull.idle()
        it.sim.channels["sim.x"].on_put = lambda *_: None  # takes it, posts nothing
        return await it.run(
            "steps: [{set: {pv: sim.x, value: 0}}, {wait: {pv: sim.x, equals: 0, timeout: 5}}]"
        )

    assert play(scenario).status is RunStatus.SUCCESS


def test_invalid_value_satisfies_no_wait(play):
    async def scenario(it):
        later(1, it.sim.post, "sim.x", 5.0, Severity.INVALID)
        return await it.run("steps: [{wait: {pv: sim.x, equals: 5, timeout: 5}}]")

    assert play(scenario).status is RunStatus.TIMEOUT


@pytest.mark.parametrize(
    ("expression", "status"),
    [
        ("not connected(sim.x)", RunStatus.SUCCESS),
        ("not connected(sim.x) and sim.y > -1", RunStatus.SUCCESS),
        ("not connected(sim.x) or sim.x > 5", RunStatus.FAILED),
    ],
)
def test_loss_of_a_channel_fails_a_wait_only_where_its_value_is_asked_for(play, expression, status):
    async def scenario(it):
        later(1, it.sim.disconnect, "sim.x")
        wait = f"{{until: {expression}, timeout: 5}}"
        ended = await it.run(f"steps: [{{wait: {wait}, on_disconnect: fail}}]")
        return ended.status, asyncio.get_running_loop().time() - 1000

    assert play(scenario) == (status, pytest.approx(1))


@pytest.mark.parametrize("expression", ["index(sim.shutter) == 1", "age(sim.shutter) < 1000"])
def test_disconnected_channel_satisfies_no_function_of_it(play, expression):
    async def scenario(it):
        it.sim.add("sim.shutter", 1, metadata=Metadata(NativeType.ENUM, labels=("Closed", "Open")))
        it.sim.post("sim.x", 1.0)
        wait = f"wait: {{until: sim.x == 0 and {expression}, timeout: 5}}"
        later(1, it.sim.disconnect, "sim.shutter")
        later(2, it.sim.post, "sim.x", 0.0)
        waited = await it.run(f"steps: [{{{wait}}}]")
        it.events.clear()
        it.sim.reconnect("sim.shutter", 1)
        later(1, it.sim.disconnect, "sim.shutter")
        looked = await it.run(f"steps: [{{delay: 2}}, {{if: {expression}, then: [{{log: a}}]}}]")
        return waited, looked

    waited, looked = play(scenario)
    assert waited.status is RunStatus.TIMEOUT
    assert (looked.status, "disconnected" in looked.message) == (RunStatus.FAILED, True)


def test_number_of_an_enum_counts_no_more_than_its_label(play):
    async def scenario(it):
        it.sim.add("sim.shutter", 0, metadata=Metadata(NativeType.ENUM, labels=("Closed", "Open")))
        later(1, it.sim.post, "sim.shutter", 1, Severity.INVALID)
        return await it.run("steps: [{wait: {until: index(sim.shutter) == 1, timeout: 5}}]")

    assert play(scenario).status is RunStatus.TIMEOUT


def test_enum_is_compared_by_its_label(play):
    async def scenario(it):
        metadata = Metadata(NativeType.ENUM, labels=("Closed", "Open"))
        it.sim.add("sim.shutter", 0, metadata=metadata)
        later(1, it.sim.post, "sim.shutter", 1)
        return await it.run("steps: [{wait: {pv: sim.shutter, equals: Open, timeout: 5}}]")

    assert play(scenario).status is RunStatus.SUCCESS


def test_comparison_of_an_enum_with_no_label_of_it_is_told_before_the_run(play):
    async def scenario(it):
        it.sim.add("sim.shutter", 0, metadata=Metadata(NativeType.ENUM, labels=("Closed", "Open")))
        wait = "{wait: {until: sim.shutter == 'Opne', timeout: 5}}"
        return await it.run(f"steps: [{{set: {{pv: sim.x, value: 1}}}}, {wait}]"), it.puts("x")

    ended, puts = play(scenario)
    assert (ended.status, ended.cause, puts) == (RunStatus.FAILED, Cause.INPUT, [])
    assert "'Opne' is none of the labels of sim.shutter" in ended.message


@pytest.mark.parametrize("condition", ["pv: sim.y, equals: 1", "until: sim.y == 1"])
def test_value_from_before_the_last_put_does_not_satisfy(play, condition):
    """A put-callback may complete before the monitors that the put caused (facts of libca)."""

    async def scenario(it):
        it.sim.post("sim.y", 1.0)  # done, of an earlier move
        await it.pull.idle()

        def put(_channel, _value):
            it.sim.channels["sim.y"].value = 0.0  # the IOC has it, its monitor comes late
            later(2, it.sim.post, "sim.y", 0.0)
            later(5, it.sim.post, "sim.y", 1.0)

        it.sim.channels["sim.x"].on_put = put
        began = asyncio.get_running_loop().time()
        ended = await it.run(
            f"steps: [{{set: {{pv: sim.x, value: 1}}}}, {{wait: {{{condition}, timeout: 9}}}}]"
        )
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(5.0))


def test_timeout_none_waits_as_long_as_it_takes(play):
    async def scenario(it):
        later(5_000, it.sim.post, "sim.x", 9.0)
        return await it.run("steps: [{wait: {pv: sim.x, above: 5, timeout: none}}]")

    assert play(scenario).status is RunStatus.SUCCESS


def test_condition_met_while_paused_counts(play):
    async def scenario(it):
        it.start("steps: [{wait: {pv: sim.x, above: 5, timeout: 10}}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        it.sim.post("sim.x", 6.0)
        await asyncio.sleep(1)
        it.sim.post("sim.x", 0.0)
        await asyncio.sleep(100)
        it.ask(Verb.RESUME)
        return await it.ended()

    assert play(scenario).status is RunStatus.SUCCESS


def test_timeout_stands_still_while_paused(play):
    async def scenario(it):
        it.start("steps: [{wait: {pv: sim.x, above: 5, timeout: 10}}]")
        await asyncio.sleep(4)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1000)
        it.ask(Verb.RESUME)
        await asyncio.sleep(5)
        it.sim.post("sim.x", 6.0)
        return await it.ended()

    assert play(scenario).status is RunStatus.SUCCESS


@pytest.mark.parametrize(
    ("fields", "acts", "met_at"),
    [
        # What is still true breaks no hold, also where it began with an edge.
        ("edge: true, hold: 3", [(1, 5.0), (2, 6.0), (3, 7.0)], 4),
        # What can't be known holds nothing: it counts anew when it is known again.
        ("hold: 3", [(1, 5.0), (2, None), (3, 6.0)], 6),
        # … and has not become true, where it was true before.
        ("edge: true", [(0, 5.0), (1, None), (2, 6.0), (3, 0.0), (4, 7.0)], 4),
        # Nor where what came first could not be known.
        ("edge: true", [(0, None), (2, 6.0), (3, 0.0), (4, 7.0)], 4),
    ],
)
def test_what_can_not_be_known_breaks_a_hold_and_makes_no_edge(play, fields, acts, met_at):
    def act(it, value):
        severity = Severity.INVALID if value is None else Severity.NO_ALARM
        it.sim.post("sim.x", 5.0 if value is None else value, severity)

    async def scenario(it):
        for at, value in acts:
            later(at, act, it, value) if at else act(it, value)
        await it.pull.idle()
        began = asyncio.get_running_loop().time()
        ended = await it.run(f"steps: [{{wait: {{pv: sim.x, above: 1, {fields}, timeout: 20}}}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(met_at))


def after_a_put(play, step, *, get_takes=1.0, acts=()):
    """A wait on sim.counts right behind a put, where gets take long: status, when it ended."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        it.sim.channels["sim.counts"].get_takes = get_takes
        for at, action in acts:
            loop.call_later(at, action, it)
        ended = await it.run(f"steps: [{{set: {{pv: sim.x, value: 1}}}}, {step}]")
        return ended.status, loop.time() - 1000

    return play(scenario)


def posting(value):
    return lambda it: it.sim.post("sim.counts", value)


@pytest.mark.parametrize("how", ["edge: true", "hold: 0"])
def test_a_pulse_right_behind_a_put_is_not_missed(play, how):
    """The value then is read anew, as it may be from before the put: nobody must look away."""
    step = f"{{wait: {{pv: sim.counts, equals: 1, {how}, timeout: 9}}}}"
    acts = (0.3, posting(1.0)), (0.301, posting(0.0))
    status, took = after_a_put(play, step, acts=acts)
    assert (status, took) == (RunStatus.SUCCESS, pytest.approx(0.3 if "edge" in how else 1))


def test_an_update_behind_a_put_is_not_taken_together_with_what_is_older(play):
    """One channel tells at once, the other has changed by the put, but tells of it later."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        counts = it.sim.channels["sim.counts"]
        counts.get_takes = 1.0
        before = counts.value
        it.sim.channels["sim.x"].on_put = lambda *_: setattr(counts, "value", before + 5)
        loop.call_later(0.3, it.sim.post, "sim.gate", 1.0)
        until = f"{{wait: {{until: sim.counts == {before} and sim.gate == 1, timeout: 3}}}}"
        ended = await it.run(f"steps: [{{set: {{pv: sim.x, value: 1}}}}, {until}]")
        return ended.status, loop.time() - 1000

    assert play(scenario) == (RunStatus.TIMEOUT, pytest.approx(3))


def test_the_timeout_of_a_wait_is_for_reading_a_value_anew_as_well(play):
    step = "{wait: {pv: sim.counts, equals: 1, timeout: 3}}"
    assert after_a_put(play, step, get_takes=math.inf) == (RunStatus.TIMEOUT, pytest.approx(3))


def test_a_wait_is_skipped_while_a_value_is_read_anew(play):
    step = "{wait: {pv: sim.counts, equals: 1, timeout: 30}}"
    acts = ((0.5, lambda it: it.ask(Verb.SKIP)),)
    assert after_a_put(play, step, acts=acts) == (RunStatus.SUCCESS, pytest.approx(0.5))


@pytest.mark.parametrize("relation", ["increase_by", "decrease_by"])
def test_the_timeout_of_a_wait_is_for_reading_what_it_counts_from_as_well(play, relation):
    step = f"{{wait: {{pv: sim.counts, {relation}: 1, timeout: 3}}}}"
    assert after_a_put(play, step, get_takes=math.inf) == (RunStatus.TIMEOUT, pytest.approx(3))
    acts = (1.5, posting(1.0)), (2.5, posting(-1.0))
    met_at = 1.5 if relation == "increase_by" else 2.5
    assert after_a_put(play, step, acts=acts) == (RunStatus.SUCCESS, pytest.approx(met_at))
    # Pausable and skippable from its beginning, as any wait.
    acts = ((0.5, lambda it: it.ask(Verb.SKIP)),)
    assert after_a_put(play, step, acts=acts) == (RunStatus.SUCCESS, pytest.approx(0.5))


def test_a_wait_counts_from_no_value_that_may_be_older_than_the_last_put(play):
    """Where reading it anew fails, there is none to count from."""
    step = "{wait: {pv: sim.counts, increase_by: 1, timeout: 30}}"
    acts = ((20, posting(1.0)),)
    status, _ = after_a_put(play, step, get_takes=math.inf, acts=acts)
    assert status is RunStatus.TIMEOUT


@pytest.mark.parametrize("of_alarm", [True, False])
def test_what_tells_of_the_alarm_is_true_in_one_that_is_invalid(play, of_alarm):
    """As REC.STAT does."""

    async def scenario(it):
        metadata = Metadata(NativeType.DOUBLE, of_alarm=of_alarm)
        it.sim.add("sim.counts", 0.0, metadata=metadata)
        later(1, it.sim.post, "sim.counts", 17.0, Severity.INVALID, 17)
        steps = "{wait: {pv: sim.counts, equals: 17, timeout: 5}}, "
        steps += "{wait: {until: sim.counts == 17, timeout: 5}}, "
        steps += "{set: {pv: sim.x, value: 17, readback: sim.counts, timeout: 5}}"
        ended = await it.run(f"steps: [{steps}]")
        return ended.status

    assert play(scenario) is (RunStatus.SUCCESS if of_alarm else RunStatus.TIMEOUT)


AGED = [
    "{wait: {until: age(sim.x) > 2, timeout: 3}}",
    "{let: {a: age(sim.x)}}",
    "{wait: {until: age(sim.x) > 2 and sim.y == 1, timeout: 3}}",
]


@pytest.mark.parametrize("step", AGED)
def test_how_old_a_value_is_needs_no_answer_of_its_server(play, step):
    """Behind a put everything else is read anew; a server that hangs is what the age is for."""

    async def scenario(it):
        it.sim.channels["sim.x"].get_takes = 1e6
        began = asyncio.get_running_loop().time()
        ended = await it.run(f"steps: [{{set: {{pv: sim.y, value: 1}}}}, {step}]")
        return ended.status, asyncio.get_running_loop().time() - began

    status, took = play(scenario)
    assert status is RunStatus.SUCCESS
    assert took < 2.3
