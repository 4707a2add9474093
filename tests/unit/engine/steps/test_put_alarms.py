"""A put whose record ends INVALID is told; `accept_invalid: false` makes it a failure."""

from __future__ import annotations

import asyncio
import math

import pytest

from orchestrator.types import RunStatus, Severity, Told, Verb

TEXT = "sim.x: the put of 5 was done, but its record is in INVALID alarm"
SET = "steps: [{set: {pv: sim.x, value: 5%s}}]"


def dead_link(it):
    """A record whose OUT link leads nowhere: it takes the value, and says INVALID."""

    def put(channel, value):
        it.sim.post("sim.x", value, Severity.INVALID)

    it.sim.channels["sim.x"].on_put = put


def silent_dead_link(it):
    """The same, INVALID from before with just this value: it posts nothing."""
    it.sim.channels["sim.x"].on_put = lambda channel, value: None
    it.sim.post("sim.x", 5.0, Severity.INVALID)


def late_dead_link(it):
    """The same, whose update comes a while after the completion."""
    loop = asyncio.get_running_loop()

    def put(channel, value):
        channel.severity = Severity.INVALID
        loop.call_later(0.2, it.sim.post, "sim.x", value, Severity.INVALID)

    it.sim.channels["sim.x"].on_put = put


def told(it):
    return [e.text for e in it.events if isinstance(e, Told)]


@pytest.mark.parametrize("before", [dead_link, silent_dead_link, late_dead_link])
@pytest.mark.parametrize("more", ["", ", completion: false", ", readback: sim.x_rbv"])
def test_a_put_that_leaves_its_record_invalid_is_a_success_that_tells(run, before, more):
    def both(it):
        it.sim.post("sim.x_rbv", 5.0)
        before(it)

    ended, _ = run(SET % more, before=both)
    assert ended.status is RunStatus.SUCCESS
    assert ended.message.startswith(TEXT)


@pytest.mark.parametrize("before", [dead_link, silent_dead_link, late_dead_link])
@pytest.mark.parametrize("more", ["", ", completion: false", ", readback: sim.x_rbv"])
def test_where_that_is_not_accepted_it_fails(run, before, more):
    ended, it = run(
        f"steps: [{{set: {{pv: sim.x, value: 5, accept_invalid: false{more}}}}}, "
        "{set: {pv: sim.fin, value: 1}}]",
        before=before,
    )
    assert ended.status is RunStatus.FAILED
    assert f"steps[0] set {TEXT}" in ended.message
    assert it.puts("fin") == []


@pytest.mark.parametrize("before", [dead_link, silent_dead_link, late_dead_link])
def test_where_it_is_accepted_nothing_is_told(run, before):
    ended, it = run(SET % ", accept_invalid: true", before=before)
    assert (ended.status, ended.message, told(it)) == (RunStatus.SUCCESS, "", [])


@pytest.mark.parametrize("step", ["", ", accept_invalid: true"])
def test_a_channel_may_say_so_for_all_its_puts(play, step):
    async def scenario(it):
        dead_link(it)
        return await it.run(SET % step)

    ended = play(scenario, rules={"x": {"accept_invalid": False}})
    assert ended.status is (RunStatus.SUCCESS if step else RunStatus.FAILED)


def test_a_put_that_leaves_its_record_well_tells_nothing(run):
    ended, it = run(SET % "")
    assert (ended.message, told(it)) == ("", [])
    ended, it = run(SET % ", accept_invalid: false")
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")


def test_a_put_that_makes_its_record_well_tells_nothing(run):
    """A record that was never processed is INVALID (UDF) until its first put."""

    def undefined(it):
        it.sim.post("sim.x", 0.0, Severity.INVALID)
        it.sim.channels["sim.x"].on_put = lambda channel, value: it.sim.post("sim.x", value)

    for more in ("", ", accept_invalid: false"):
        ended, it = run(SET % more, before=undefined)
        assert (ended.status, ended.message, told(it)) == (RunStatus.SUCCESS, "", [])


def test_many_puts_to_a_dead_link_are_told_once_while_they_last(run):
    ended, it = run(
        "steps: [{loop: {pv: sim.x, from: 1, to: 9, step: 1}, do: [checkpoint]}]", before=dead_link
    )
    assert [text for text in told(it) if "INVALID" in text] == [
        TEXT.replace("of 5", "of 1") + " (NO_ALARM)"
    ]
    assert ended.message == TEXT.replace("of 5", "of 9") + " (NO_ALARM)"


def test_an_alarm_long_after_a_put_is_none_of_its(play):
    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(20, it.sim.post, "sim.x", 5.0, Severity.INVALID)
        ended = await it.run("steps: [{set: {pv: sim.x, value: 5}}, {delay: 30}]")
        return ended.message, told(it)

    assert play(scenario) == ("", [])


def test_nor_is_one_of_a_put_that_posted_nothing(play):
    async def scenario(it):
        it.sim.channels["sim.x"].on_put = lambda channel, value: None  # it has that value already
        asyncio.get_running_loop().call_later(20, it.sim.post, "sim.x", 5.0, Severity.INVALID)
        ended = await it.run("steps: [{set: {pv: sim.x, value: 5}}, {delay: 30}]")
        return ended.message, told(it)

    assert play(scenario) == ("", [])


def test_a_server_that_does_not_answer_delays_the_end_of_a_run_little(play):
    async def scenario(it):
        it.sim.channels["sim.x"].on_put = lambda channel, value: None
        it.sim.channels["sim.x"].get_takes = math.inf
        began = asyncio.get_running_loop().time()
        ended = await it.run(SET % "")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(0.5, abs=0.1))


def test_nothing_is_watched_once_the_run_has_ended(play):
    async def scenario(it):
        await it.run(SET % "")
        after_success = it.device.table.channel("sim.x").watchers
        it.start("steps: [{set: {pv: sim.x, value: 5}}, {delay: 9}]")
        await asyncio.sleep(1)
        during = it.device.table.channel("sim.x").watchers
        it.ask(Verb.ABORT)
        await asyncio.sleep(1)
        return after_success, len(during), it.device.table.channel("sim.x").watchers

    assert play(scenario) == ((), 1, ())
