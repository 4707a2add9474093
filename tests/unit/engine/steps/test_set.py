from __future__ import annotations

import asyncio
import math

import pytest

from orchestrator.types import (
    START_UNITS,
    Alarm,
    Cause,
    Limits,
    Metadata,
    NativeType,
    RunStatus,
    Severity,
    Update,
    Verb,
)
from tests.unit.engine.bench import at_iteration

ENUM = Metadata(NativeType.ENUM, labels=("Closed", "Open"))


def test_set_puts_the_value_and_ends_with_success(run):
    ended, it = run("steps: [{set: {pv: sim.x, value: 5}}]")
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("x") == [5.0]


def test_completion_is_waited_for(run):
    def slow(it):
        it.sim.channels["sim.x"].put_takes = 3.0

    _, it = run(
        "steps: [{set: {pv: sim.x, value: 5}}, {set: {pv: sim.fin, value: 1}}]", before=slow
    )
    began, done = (it.sim.channels[n].puts[0][0] for n in ("sim.x", "sim.fin"))
    assert done - began == pytest.approx(3.0)


def test_completion_false_goes_on_at_once(run):
    def slow(it):
        it.sim.channels["sim.x"].put_takes = 3.0

    _, it = run(
        "steps: [{set: {pv: sim.x, value: 5, completion: false}}, {set: {pv: sim.fin, value: 1}}]",
        before=slow,
    )
    assert it.sim.channels["sim.fin"].puts[0][0] == it.sim.channels["sim.x"].puts[0][0]


def never(it):
    it.sim.channels["sim.x"].put_takes = math.inf


def stuck_readback(it):
    it.sim.post("sim.x_rbv", 4.2)


@pytest.mark.parametrize(
    ("fields", "before", "said"),
    [
        ("", never, "sim.x: put of 5 got no completion within 2 s; sim.x was last seen at 0"),
        (
            "readback: sim.x_rbv, tolerance: 0.1,",
            never,
            "got no completion within 2 s; sim.x_rbv was last seen at 0, wanted 5 ± 0.1",
        ),
        (
            "readback: sim.x_rbv,",
            stuck_readback,
            "completed, but its readback did not come within 2 s: "
            "sim.x_rbv was last seen at 4.2, wanted 5",
        ),
        (
            "completion: false, readback: sim.x_rbv,",
            stuck_readback,
            "was written without completion, but its readback did not come within 2 s: "
            "sim.x_rbv was last seen at 4.2",
        ),
    ],
)
def test_each_case_of_completion_and_readback_has_its_own_text(run, fields, before, said):
    ended, _ = run(f"steps: [{{set: {{pv: sim.x, value: 5, {fields} timeout: 2}}}}]", before=before)
    assert ended.status is RunStatus.TIMEOUT
    assert said in ended.message
    assert "test.yaml:1:" in ended.message
    assert "steps[0]" in ended.message


def test_readback_within_tolerance_ends_the_step(run):
    def follow(it):
        def moved(channel, value):
            loop = asyncio.get_running_loop()
            for i, part in enumerate((0.5, 0.9, 0.999)):
                loop.call_later(1.0 + i, it.sim.post, "sim.x_rbv", value * part)

        it.sim.channels["sim.x"].on_put = moved

    ended, it = run(
        "steps: [{set: {pv: sim.x, value: 5, readback: sim.x_rbv, tolerance: 0.01}}]",
        before=follow,
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.device.table.channel("sim.x_rbv").reading.value == pytest.approx(4.995)


def test_a_readback_that_was_there_before_the_put_is_looked_at_anew(run):
    """The put-callback may come before the monitors of what the put has caused."""

    def leaves_and_returns(it):
        def moved(channel, value):
            loop = asyncio.get_running_loop()
            it.sim.channels["sim.x_rbv"].value = 3.0  # its monitor is still on its way
            loop.call_later(1.0, it.sim.post, "sim.x_rbv", 3.0)
            loop.call_later(2.0, it.sim.post, "sim.x_rbv", 5.0)

        it.sim.post("sim.x_rbv", 5.0)
        it.sim.channels["sim.x"].on_put = moved

    _, it = run(
        "steps: [{set: {pv: sim.x, value: 5, readback: sim.x_rbv}}, "
        "{set: {pv: sim.fin, value: 1}}]",
        before=leaves_and_returns,
    )
    began, done = (it.sim.channels[n].puts[0][0] for n in ("sim.x", "sim.fin"))
    assert done - began == pytest.approx(2.0)


def test_a_readback_that_need_not_change_ends_the_step(run):
    def there(it):
        it.sim.post("sim.x_rbv", 5.0)
        it.sim.channels["sim.x"].on_put = lambda channel, value: None

    ended, it = run(
        "steps: [{set: {pv: sim.x, value: 5, readback: sim.x_rbv}}, "
        "{set: {pv: sim.fin, value: 1}}]",
        before=there,
    )
    assert ended.status is RunStatus.SUCCESS
    began, done = (it.sim.channels[n].puts[0][0] for n in ("sim.x", "sim.fin"))
    assert done == began


def test_a_readback_that_can_not_be_looked_at_anew_is_told_as_from_before_the_put(run):
    def unread(it):
        it.sim.post("sim.x_rbv", 5.0)
        it.sim.channels["sim.x_rbv"].get_takes = math.inf
        it.sim.channels["sim.x"].on_put = lambda channel, value: None

    ended, _ = run(
        "steps: [{set: {pv: sim.x, value: 5, readback: sim.x_rbv, timeout: 2}}]", before=unread
    )
    assert ended.status is RunStatus.TIMEOUT
    assert "sim.x_rbv was last seen at 5 (before the put), wanted 5" in ended.message


def test_invalid_readback_satisfies_nothing(run):
    def invalid(it):
        it.sim.post("sim.x_rbv", 5.0, Severity.INVALID)

    ended, _ = run(
        "steps: [{set: {pv: sim.x, value: 5, readback: sim.x_rbv, timeout: 3}}]", before=invalid
    )
    assert ended.status is RunStatus.TIMEOUT
    assert "its alarm is INVALID" in ended.message


def test_all_are_started_together_and_awaited_together(run):
    def slow(it):
        it.sim.channels["sim.x"].put_takes = 2.0
        it.sim.channels["sim.y"].put_takes = 3.0

    _, it = run(
        "steps:\n"
        "- set: {all: [{pv: sim.x, value: 1}, {pv: sim.y, value: 2}], timeout: 5}\n"
        "- set: {pv: sim.fin, value: 1}",
        before=slow,
    )
    x, y, fin = (it.sim.channels[f"sim.{n}"].puts[0][0] for n in ("x", "y", "fin"))
    assert x == y
    assert fin - y == pytest.approx(3.0)


def test_one_timeout_holds_for_all_and_names_the_late_ones(run):
    def slow(it):
        it.sim.channels["sim.x"].put_takes = 1.0
        it.sim.channels["sim.shutter"].put_takes = math.inf

    ended, _ = run(
        "steps: [{set: {all: [{pv: sim.x, value: 1}, {pv: sim.shutter, value: 2}], timeout: 5}}]",
        before=slow,
    )
    assert ended.status is RunStatus.TIMEOUT
    assert "sim.shutter: put of 2" in ended.message
    assert "sim.x" not in ended.message.split(": ", 2)[2].replace("set sim.x", "")


def test_value_beyond_limits_is_found_before_anything_is_written(run):
    def limited(it):
        it.sim.add("sim.x", metadata=Metadata(NativeType.DOUBLE, control=Limits(0, 10)))

    ended, it = run(
        "steps: [{set: {pv: sim.y, value: 1}}, {set: {pv: sim.x, value: 50}}]", before=limited
    )
    assert ended.status is RunStatus.FAILED
    assert ended.cause is Cause.INPUT
    assert "50" in ended.message
    assert "10" in ended.message
    assert it.puts("y") == []


def test_limits_of_computed_values_are_looked_at_before_the_put(run):
    def limited(it):
        it.sim.add("sim.x", metadata=Metadata(NativeType.DOUBLE, control=Limits(0, 10)))
        it.sim.post("sim.counts", 50.0)

    ended, it = run(
        "steps: [{set: {pv: sim.y, value: 1}}, {set: {pv: sim.x, value: '=sim.counts'}}]",
        before=limited,
    )
    assert ended.status is RunStatus.FAILED
    assert ended.cause is Cause.DURING
    assert it.puts("y") == [1.0]
    assert it.puts("x") == []


def test_unknown_label_is_found_before_anything_is_written_and_lists_the_labels(run):
    def enum(it):
        it.sim.add("sim.shutter", 0, metadata=ENUM)

    ended, it = run(
        "steps: [{set: {pv: sim.y, value: 1}}, {set: {pv: sim.shutter, value: Opne}}]", before=enum
    )
    assert ended.cause is Cause.INPUT
    assert "Closed" in ended.message
    assert "Open" in ended.message
    assert it.puts("y") == []


@pytest.mark.parametrize("moment", range(1, 8))
def test_unknown_label_is_found_before_the_run_whenever_its_channel_connects(play, moment):
    # The client offers the link; the check must not look before the device has examined it.
    async def scenario(it):
        def connect():
            for number in range(500):
                it.sim.add(f"SIM:{number}")
            it.sim.add("SIM:late", 0, metadata=ENUM)

        at_iteration(moment, connect)
        return await it.run("steps: [{set: {pv: 'SIM:late', value: Opne}}]")

    ended = play(scenario)
    assert ended.cause is Cause.INPUT, ended.message


def test_label_is_written_as_its_index(run):
    def enum(it):
        it.sim.add("sim.shutter", 0, metadata=ENUM)

    _, it = run("steps: [{set: {pv: sim.shutter, value: Open}}]", before=enum)
    assert it.puts("shutter") == [1]


def test_channel_configured_write_false_is_refused_before_the_run(run):
    ended, it = run("steps: [{set: {pv: sim.gate, value: 1}}]")
    assert ended.cause is Cause.INPUT
    assert "write = false" in ended.message
    assert it.puts("gate") == []


def test_channel_that_is_not_there_fails_the_run_before_anything_is_written(run):
    def gone(it):
        it.sim.disconnect("sim.x")

    ended, it = run(
        "steps: [{set: {pv: sim.y, value: 1}}, {set: {pv: sim.x, value: 1}}]", before=gone
    )
    assert ended.cause is Cause.NOT_CONNECTED
    assert "sim.x (SIM:x)" in ended.message
    assert it.puts("y") == []


def test_lost_ioc_in_the_middle_of_a_move_fails_the_run_and_finally_runs(run):
    def dies(it):
        it.sim.channels["sim.x"].put_takes = math.inf
        it.sim.channels["sim.x"].on_put = lambda *_: asyncio.get_running_loop().call_later(
            1.0, it.sim.disconnect, "sim.x"
        )

    ended, it = run(
        "steps: [{set: {pv: sim.x, value: 1}}]\nfinally: [{set: {pv: sim.fin, value: 1}}]",
        before=dies,
    )
    assert ended.status is RunStatus.FAILED
    assert ended.cause is Cause.DURING
    assert "sim.x" in ended.message
    assert it.puts("fin") == [1.0]


def test_timeout_leaves_an_orphan_that_is_told_with_its_age(run):
    _, it = run("steps: [{set: {pv: sim.x, value: 5, timeout: 2}}]", before=never)
    told = [m for m in it.values("message") if "still owes" in m]
    assert told[0] == "sim.x still owes the completion of a put 2.0 s ago"
    assert told[-1].endswith(told[0])  # in the outcome as well


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.SKIP])
def test_orphan_left_by_abort_or_skip_is_in_the_last_message(play, verb):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = math.inf
        it.start("steps: [{set: {pv: sim.x, value: 5}}]")
        await asyncio.sleep(3)
        it.ask(verb)
        return (await it.ended()).message

    assert "sim.x still owes the completion of a put 3.0 s ago" in play(scenario)


def test_next_put_waits_for_the_orphan_within_its_own_timeout(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 5.0
        first = await it.run("steps: [{set: {pv: sim.x, value: 1, timeout: 2}}]")
        it.events.clear()
        second = await it.run("steps: [{set: {pv: sim.x, value: 2, timeout: 20}}]")
        times = [t for t, _, _ in it.sim.channels["sim.x"].puts]
        return first, second, times

    first, second, times = play(scenario)
    assert first.status is RunStatus.TIMEOUT
    assert second.status is RunStatus.SUCCESS
    assert times[1] - times[0] == pytest.approx(5.0)


def test_put_behind_an_orphan_that_never_ends_says_so(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = math.inf
        await it.run("steps: [{set: {pv: sim.x, value: 1, timeout: 2}}]")
        it.events.clear()
        return await it.run("steps: [{set: {pv: sim.x, value: 2, timeout: 3}}]")

    ended = play(scenario)
    assert "could not begin within 3 s: an earlier put is outstanding" in ended.message


def test_in_finally_a_put_behind_an_orphan_goes_out_without_callback(run):
    ended, it = run(
        "steps: [{set: {pv: sim.x, value: 1, timeout: 2}}]\n"
        "finally: [{set: {pv: sim.x, value: 0}}]",
        before=never,
    )
    assert ended.status is RunStatus.TIMEOUT
    assert [(v, c) for _, v, c in it.sim.channels["sim.x"].puts] == [(1.0, True), (0.0, False)]


@pytest.mark.parametrize("how", ["timeout", "abort"])
def test_stop_channel_is_written_when_a_move_is_ended_early(play, how):
    async def scenario(it):
        it.sim.channels["sim.y"].put_takes = math.inf
        it.start("steps: [{set: {pv: sim.y, value: 5, timeout: 10}}]")
        await asyncio.sleep(3)
        if how == "abort":
            it.ask(Verb.ABORT, "enough")
        await it.ended()
        return [(v, c) for _, v, c in it.sim.channels["sim.stop"].puts]

    assert play(scenario) == [(1.0, False)]


def test_stop_channel_is_not_written_by_skip(play):
    async def scenario(it):
        it.sim.channels["sim.y"].put_takes = math.inf
        it.start("steps: [{set: {pv: sim.y, value: 5, timeout: 10}}]")
        await asyncio.sleep(3)
        it.ask(Verb.SKIP)
        ended = await it.ended()
        return ended.status, it.puts("stop")

    assert play(scenario) == (RunStatus.SUCCESS, [])


def test_refused_put_fails_the_run_with_the_reason(run):
    def refuse(it):
        it.sim.channels["sim.x"].refuses = "interlock"

    ended, _ = run("steps: [{set: {pv: sim.x, value: 1}}]", before=refuse)
    assert ended.status is RunStatus.FAILED
    assert "interlock" in ended.message


def test_mirror_of_a_lost_channel_is_link_invalid(play):
    async def scenario(it):
        it.sim.disconnect("sim.x")
        await it.pull.idle()
        await it.push.idle()
        return [u for u in it.published if isinstance(u, Update) and u.key == "sim.x"][-1]

    update = play(scenario)
    assert (update.severity, update.status) == (Severity.INVALID, Alarm.LINK)


@pytest.mark.parametrize("accept", [False, True])
def test_what_is_read_anew_after_a_put_satisfies_only_if_it_is_valid(run, accept):
    """Where no update of the readback comes, since it was there before."""

    def before(it):
        it.sim.post("sim.x_rbv", 1.0)
        it.sim.channels["sim.x"].on_put = lambda *_: setattr(
            it.sim.channels["sim.x_rbv"], "severity", Severity.INVALID
        )

    fields = f"readback: sim.x_rbv, accept_invalid: {str(accept).lower()}, timeout: 5"
    ended, _ = run(f"steps: [{{set: {{pv: sim.x, value: 1, {fields}}}}}]", before)
    assert ended.status is (RunStatus.SUCCESS if accept else RunStatus.TIMEOUT)


def test_loss_of_the_readback_fails_the_step_at_once_and_is_told_as_such(play):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(2, it.sim.disconnect, "sim.x_rbv")
        ended = await it.run("steps: [{set: {pv: sim.x, value: 1, readback: sim.x_rbv}}]")
        return ended, asyncio.get_running_loop().time() - began

    ended, took = play(scenario)
    assert (ended.status, took) == (RunStatus.FAILED, pytest.approx(2))
    assert "sim.x_rbv, the readback of sim.x, was lost" in ended.message


def test_what_was_never_put_is_not_stopped(play):
    """The put is held as its channel is lost: the motor has not been moved by us."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(1, it.sim.disconnect, "sim.y")
        loop.call_later(3, it.ask, Verb.ABORT)
        held = "{set: {pv: sim.y, value: 1, timeout: 60}, on_disconnect: wait}"
        ended = await it.run(f"steps: [{{delay: 2}}, {held}]")
        return ended.status, it.puts("stop")

    assert play(scenario) == (RunStatus.ABORTED, [])


def test_after_a_second_abort_no_readback_is_waited_for(play):
    async def scenario(it):
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at in (1, 2):
            loop.call_later(at, it.ask, Verb.ABORT)
        last = "{set: {pv: sim.x, value: 1, readback: sim.x_rbv, timeout: 50}}"
        await it.run(f"steps: [{{delay: 9}}]\nfinally: [{{delay: 5}}, {last}]")
        return loop.time() - began, it.puts("x")

    assert play(scenario) == (pytest.approx(6), [1.0])


def test_after_a_second_abort_no_put_is_held_for_its_channel(play):
    """Neither the one under way nor those that follow in `finally`."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, it.sim.disconnect, "sim.y")
        for at in (2, 3):
            loop.call_later(at, it.ask, Verb.ABORT)
        held = "{set: {pv: sim.y, value: 1, timeout: 60}, on_disconnect: wait}"
        both = "{set: {all: [{pv: sim.x, value: 1}, {pv: sim.y, value: 1}]}, on_disconnect: wait}"
        last = "{set: {pv: sim.fin, value: 1}}"
        ended = await it.run(
            f"steps: [{{delay: 1}}, {held}]\nfinally: [{held}, {held}, {both}, {last}]"
        )
        return ended, it.puts("fin"), loop.time() - 1000

    ended, fin, took = play(scenario)
    assert (ended.status, fin, took) == (RunStatus.ABORTED, [1], pytest.approx(3))
    assert ended.message.count("disconnected") == 2


BELOW = Metadata(NativeType.LONG, units=START_UNITS)


@pytest.mark.parametrize(
    ("metadata", "value", "ends", "stops"),
    [
        (BELOW, 1, lambda it: it.ask(Verb.ABORT), True),
        (BELOW, 1, lambda it: None, True),  # its timeout
        (BELOW, 1, lambda it: it.ask(Verb.SKIP), False),
        (BELOW, 0, lambda it: it.ask(Verb.ABORT), False),
        (Metadata(NativeType.LONG, units="run"), 1, lambda it: it.ask(Verb.ABORT), False),
    ],
)
@pytest.mark.parametrize("channel", ["sim.det", "sim.shutter"])
def test_a_run_below_is_aborted_where_the_step_that_started_it_is_ended_early(
    play, metadata, value, ends, stops, channel
):
    """By START 0, as by any client of it; `sim.shutter` says stop = false."""

    async def scenario(it):
        below = it.sim.channels[channel]
        below.metadata, below.put_takes = metadata, 500.0
        it.sim.disconnect(channel)
        it.sim.reconnect(channel)
        it.start(f"steps: [{{set: {{pv: {channel}, value: {value}, timeout: 5}}}}]")
        await asyncio.sleep(1)
        ends(it)
        ended = await it.ended()
        return [(v, completion) for _, v, completion in below.puts], ended.status

    puts, status = play(scenario)
    stops = stops and channel != "sim.shutter"
    assert puts == [(value, True), *([(0, False)] if stops else [])], status


# A readback that posts nothing of what it has ------------------------------------------------


def deadband(it, after=0.0, value=1.0, severity=Severity.NO_ALARM):
    """The readback's record holds a value `after` s behind the put, and posts nothing of it."""
    loop = asyncio.get_running_loop()
    rbv = it.sim.channels["sim.x_rbv"]

    def hold():
        rbv.value, rbv.severity = value, severity

    it.sim.post("sim.x_rbv", 0.95)
    it.sim.channels["sim.x"].on_put = lambda *_: loop.call_later(after, hold)


def took(it):
    began, done = (it.sim.channels[n].puts[0][0] for n in ("sim.x", "sim.fin"))
    return done - began


READ_BACK = (
    "steps: [{set: {pv: sim.x, value: 1, readback: sim.x_rbv, timeout: 5%s}}, "
    "{set: {pv: sim.fin, value: 1}}]"
)


def test_a_readback_that_posts_nothing_is_read_after_the_completion(run):
    def slow(it):
        deadband(it)
        it.sim.channels["sim.x"].put_takes = 2.0

    ended, it = run(READ_BACK % "", before=slow)
    assert ended.status is RunStatus.SUCCESS
    assert took(it) == pytest.approx(2.0)


@pytest.mark.parametrize("completion", ["", ", completion: false"])
@pytest.mark.parametrize("several", [False, True])
def test_a_readback_that_posts_nothing_is_read_once_more_before_the_timeout(
    run, completion, several
):
    text = READ_BACK % completion
    if several:
        one = f"{{pv: sim.x, value: 1, readback: sim.x_rbv{completion}}}"
        text = (
            f"steps: [{{set: {{all: [{one}, {{pv: sim.det, value: 1}}], timeout: 5}}}}, "
            "{set: {pv: sim.fin, value: 1}}]"
        )
    ended, it = run(text, before=lambda it: deadband(it, after=3.0))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert took(it) == pytest.approx(5.0)


def test_a_move_that_arrived_in_silence_is_not_stopped(run):
    def still(it):
        deadband(it, after=3.0)
        it.sim.channels["sim.y"].on_put = it.sim.channels["sim.x"].on_put

    text = "steps: [{set: {pv: sim.y, value: 1, readback: sim.x_rbv, timeout: 5}}]"
    ended, it = run(text, before=still)
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("stop") == []


def test_the_timeout_tells_what_was_read(run):
    ended, _ = run(READ_BACK % "", before=lambda it: deadband(it, value=0.97))
    assert ended.status is RunStatus.TIMEOUT
    assert (
        "completed, but its readback did not come within 5 s: sim.x_rbv was last seen at 0.95, "
        "wanted 1 ± 1e-09; read at the end, it was 0.97"
    ) in ended.message


def test_what_is_read_as_invalid_is_no_arrival(run):
    def invalid(it):
        deadband(it, severity=Severity.INVALID)

    ended, _ = run(READ_BACK % "", before=invalid)
    assert ended.status is RunStatus.TIMEOUT
    assert "read at the end, it was 1 (its alarm is INVALID)" in ended.message
    ended, _ = run(READ_BACK % ", accept_invalid: true", before=invalid)
    assert ended.status is RunStatus.SUCCESS


def test_what_is_read_of_a_restarted_ioc_is_no_arrival(run):
    """It may be its default; `accept_restart` takes it."""

    def restarted(it):
        def restart(*_):
            it.sim.disconnect("sim.x_rbv")
            it.sim.reconnect("sim.x_rbv", 1.0)

        it.sim.post("sim.x_rbv", 0.0)
        it.sim.channels["sim.x"].on_put = restart

    held = "{set: {pv: sim.x, value: 1, readback: sim.x_rbv, timeout: 5%s}, on_disconnect: wait}"
    ended, _ = run(f"steps: [{held % ''}]", before=restarted)
    assert ended.status is RunStatus.TIMEOUT
    assert "unconfirmed" in ended.message
    ended, _ = run(f"steps: [{held % ', accept_restart: true'}]", before=restarted)
    assert ended.status is RunStatus.SUCCESS


def test_a_server_that_does_not_answer_does_not_hold_up_the_monitor(run):
    def slow(it):
        it.sim.channels["sim.x_rbv"].get_takes = math.inf
        loop = asyncio.get_running_loop()
        it.sim.channels["sim.x"].on_put = lambda *_: loop.call_later(
            0.5, it.sim.post, "sim.x_rbv", 1.0
        )

    ended, it = run(READ_BACK % "", before=slow)
    assert ended.status is RunStatus.SUCCESS
    assert took(it) == pytest.approx(0.5)


def test_the_last_look_at_a_server_that_does_not_answer_is_short(play):
    async def scenario(it):
        it.sim.channels["sim.x_rbv"].get_takes = math.inf
        it.sim.channels["sim.x"].on_put = lambda *_: None
        began = asyncio.get_running_loop().time()
        ended = await it.run(READ_BACK % "")
        return ended, asyncio.get_running_loop().time() - began

    ended, seconds = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert seconds < 7
    assert "read at the end: sim.x_rbv: no reply within 1 s" in ended.message


def test_a_readback_that_has_come_by_its_monitor_is_not_read(run):
    """A read costs a round trip."""

    def quick(it):
        it.sim.channels["sim.x_rbv"].get_takes = math.inf
        it.sim.channels["sim.x"].put_takes = 1.0
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, it.sim.post, "sim.x_rbv", 1.0)
        it.sim.channels["sim.x"].on_put = lambda *_: None

    ended, it = run(READ_BACK % "", before=quick)
    assert ended.status is RunStatus.SUCCESS
    assert took(it) == pytest.approx(1.0)


def test_an_arrival_in_silence_still_settles(run):
    ended, _ = run(READ_BACK % ", settle: 1", before=lambda it: deadband(it, after=3.0))
    assert ended.status is RunStatus.TIMEOUT
    assert "was done, but did not settle within 5 s" in ended.message


@pytest.mark.parametrize("name", ["sim.x", "sim.x_rbv"])
def test_what_is_lost_while_it_settles_is_nobody_knows_where(run, name):
    def loses(it):
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, it.sim.post, "sim.x_rbv", 1.0)
        loop.call_later(1, it.sim.disconnect, name)
        loop.call_later(1, it.sim.reconnect, name, 1.0)

    ended, _ = run(READ_BACK % ", settle: 3", before=loses)
    assert ended.status is RunStatus.FAILED
    assert f"{name} was lost while sim.x settled" in ended.message


def test_a_held_set_that_is_lost_while_it_settles_is_done_again(run):
    def loses(it):
        it.sim.channels["sim.x"].on_put = lambda *_: it.sim.post("sim.x_rbv", 1.0)
        loop = asyncio.get_running_loop()
        loop.call_later(1, it.sim.disconnect, "sim.x")
        loop.call_later(2, it.sim.reconnect, "sim.x", 0.0)

    text = READ_BACK % ", settle: 2"
    ended, it = run(text.replace("}}", "}, on_disconnect: wait}", 1), before=loses)
    assert ended.status is RunStatus.SUCCESS, ended
    assert [value for _, value, _ in it.sim.channels["sim.x"].puts] == [1, 1]
    assert took(it) == pytest.approx(4.0, abs=0.1)
