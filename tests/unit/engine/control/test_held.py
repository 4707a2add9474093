"""A wait that is held up says by what while it lasts, not only at its timeout."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.python.machine import State, When
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Alarm, Command, RunStatus, Severity, Told, Verb

INVALID, UDF = Severity.INVALID, int(Alarm.UDF)

DISCONNECTED = "sim.x: disconnected"
UNDEFINED = "sim.x: its alarm is INVALID (UDF)"
RESTARTED = "sim.x: unconfirmed since the reconnection: perhaps a restarted IOC's default"


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


def told(it):
    texts = [e.text for e in it.events if isinstance(e, Told)]
    return [text for text in texts if "held up" in text or "goes on" in text]


async def spoil(it, how, name="sim.x"):
    match how:
        case "disconnected":
            it.sim.disconnect(name)
        case "undefined":
            it.sim.post(name, 0.0, INVALID, UDF)
        case "restarted":
            it.sim.disconnect(name)
            it.sim.reconnect(name, 0.0)
    await it.pull.idle()


HELD = [("disconnected", DISCONNECTED), ("undefined", UNDEFINED), ("restarted", RESTARTED)]
WAITS = [
    ("wait: {pv: sim.x, above: 5, timeout: 60}", "steps[0] wait for sim.x"),
    ("wait: {until: sim.x + sim.y > 5, timeout: none}", "steps[0] wait until sim.x + sim.y > 5"),
]


@pytest.mark.parametrize(("how", "reason"), HELD)
@pytest.mark.parametrize(("step", "named"), WAITS)
def test_a_wait_says_what_holds_it_up_once_and_that_it_goes_on(play, step, named, how, reason):
    async def scenario(it):
        later(2, asyncio.ensure_future, spoil(it, how))
        it.start(f"steps: [{{{step}}}]")
        await asyncio.sleep(4)
        early = told(it)
        await asyncio.sleep(20)
        late, shown = told(it), it.values("message")[-1]
        it.sim.reconnect("sim.x")
        it.sim.post("sim.x", 9.0)
        ended = await it.ended()
        return early, late, shown, ended.status, told(it)[-1]

    held = f"{named} is held up: {reason}"
    cleared = f"{named} is no longer held up"
    assert play(scenario) == ([], [held], held, RunStatus.SUCCESS, cleared)


def test_what_holds_a_wait_up_is_told_again_when_it_changes_but_not_more_often(play):
    async def scenario(it):
        it.start("steps: [{wait: {pv: sim.x, above: 5, timeout: none}}]")
        await asyncio.sleep(1)
        it.sim.disconnect("sim.x")
        await asyncio.sleep(10)
        it.sim.reconnect("sim.x", 0.0)
        await asyncio.sleep(10)
        it.sim.post("sim.x", 1.0, INVALID, int(Alarm.LINK))
        await asyncio.sleep(10)
        it.sim.post("sim.x", 1.0)
        await asyncio.sleep(10)
        for _ in range(20):
            it.sim.disconnect("sim.x")
            await asyncio.sleep(0.5)
            it.sim.reconnect("sim.x", 0.0)
            it.sim.post("sim.x", 0.0)
            await asyncio.sleep(0.5)
        it.ask(Verb.ABORT)
        await it.ended()
        return [text.removeprefix("steps[0] wait for sim.x is ") for text in told(it)]

    assert play(scenario) == [
        f"held up: {DISCONNECTED}",
        f"held up: {RESTARTED}",
        "held up: sim.x: its alarm is INVALID (LINK)",
        "no longer held up",
    ]


@pytest.mark.parametrize(("how", "reason"), HELD[1:])
def test_a_readback_says_what_holds_it_up(play, how, reason):
    async def scenario(it):
        it.sim.channels["sim.y"].on_put = lambda _channel, _value: None
        await spoil(it, how)
        it.start("steps: [{set: {pv: sim.y, value: 3, readback: sim.x, timeout: 60}}]")
        await asyncio.sleep(10)
        during = told(it)
        it.sim.post("sim.x", 3.0)
        return during, (await it.ended()).status

    held = f"steps[0] set sim.y is held up: its readback {reason}"
    assert play(scenario) == ([held], RunStatus.SUCCESS)


def test_a_put_with_on_disconnect_wait_and_one_behind_an_earlier_put_say_so(play):
    async def scenario(it):
        it.sim.channels["sim.y"].put_takes = 40.0
        it.start(
            "steps: [{set: {pv: sim.x, value: 1}}, {delay: 1}, "
            "{set: {pv: sim.x, value: 2, timeout: 60}, on_disconnect: wait}, "
            "{set: {pv: sim.y, value: 1, timeout: 1}, on_error: continue}, "
            "{set: {pv: sim.y, value: 2, timeout: 90}}]"
        )
        await asyncio.sleep(0.5)
        it.sim.disconnect("sim.x")
        await asyncio.sleep(10)
        it.sim.reconnect("sim.x", 0.0)
        ended = await it.ended()
        return ended.status, told(it)

    assert play(scenario) == (
        RunStatus.SUCCESS,
        [
            "steps[2] set sim.x is held up: sim.x: disconnected",
            "steps[2] set sim.x is no longer held up",
            "steps[4] set sim.y is held up: sim.y: an earlier put is outstanding",
            "steps[4] set sim.y is no longer held up",
        ],
    )


def test_what_only_takes_its_time_is_not_held_up(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 30.0
        later(60, it.sim.post, "sim.y", 9.0)
        ended = await it.run(
            "steps: [{set: {pv: sim.x, value: 1, timeout: 60}}, {delay: 20}, "
            "{wait: {pv: sim.y, above: 5, timeout: 60}}]"
        )
        return ended.status, told(it)

    assert play(scenario) == (RunStatus.SUCCESS, [])


def test_nothing_is_told_of_a_wait_while_the_run_is_paused(play):
    async def scenario(it):
        it.start("steps: [{wait: {pv: sim.x, above: 5, timeout: none}}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        it.sim.disconnect("sim.x")
        await asyncio.sleep(30)
        paused = told(it)
        it.ask(Verb.RESUME)
        await asyncio.sleep(5)
        resumed = told(it)
        it.ask(Verb.ABORT)
        await it.ended()
        return paused, resumed

    assert play(scenario) == ([], [f"steps[0] wait for sim.x is held up: {DISCONNECTED}"])


def test_accepted_values_hold_nothing_up(play):
    async def scenario(it):
        await spoil(it, "undefined")
        await spoil(it, "restarted", "sim.y")
        it.start(
            "steps: [{parallel: ["
            "{wait: {pv: sim.x, above: 5, timeout: 60, accept_invalid: true}}, "
            "{wait: {pv: sim.y, above: 5, timeout: 60, accept_restart: true}}]}]"
        )
        await asyncio.sleep(20)
        during = told(it)
        it.ask(Verb.ABORT)
        await it.ended()
        return during

    assert play(scenario) == []


@sequence
async def waits_in_a_machine(run: Run) -> None:
    await run.machine(
        {
            "idle": State(when=[When("sim.x > 5", "done"), When("sim.y > 5", "done")]),
            "done": State(),
        }
    )


@pytest.mark.parametrize(("how", "reason"), HELD)
def test_a_machine_says_what_holds_it_up(play, how, reason):
    async def scenario(it):
        it._ended = asyncio.get_running_loop().create_future()
        it.pull.offer(Command(Verb.START, 1, "waits_in_a_machine"))
        later(2, asyncio.ensure_future, spoil(it, how))
        await asyncio.sleep(20)
        during = told(it)
        it.sim.reconnect("sim.x")
        it.sim.post("sim.x", 9.0)
        return during, (await it.ended()).status

    registry = Registry({"waits_in_a_machine": waits_in_a_machine})
    during, status = play(scenario, registry=registry)
    assert status is RunStatus.SUCCESS
    assert len(during) == 1
    assert during[0].endswith(f"is held up: {reason}")


@pytest.mark.parametrize(("how", "reason"), HELD)
def test_a_way_out_that_can_not_be_known_keeps_no_other_shut(play, how, reason):
    """A condition whose channel does not count was an error of the whole look."""

    async def scenario(it):
        it._ended = asyncio.get_running_loop().create_future()
        it.pull.offer(Command(Verb.START, 1, "waits_in_a_machine"))
        later(2, asyncio.ensure_future, spoil(it, how))
        later(4, it.sim.post, "sim.y", 9.0)
        ended = await it.ended()
        return ended.status, asyncio.get_running_loop().time() - 1000

    registry = Registry({"waits_in_a_machine": waits_in_a_machine})
    assert play(scenario, registry=registry) == (RunStatus.SUCCESS, pytest.approx(4, abs=0.1))


SUSPEND = "suspend: {beam: {when: sim.x < 50, resume: sim.x > 80, settle: 10}}\n"


def test_a_suspender_says_when_what_suspends_becomes_something_else(play):
    async def scenario(it):
        it.sim.post("sim.x", 40.0)
        await it.pull.idle()
        it.start(SUSPEND + "steps: [{delay: 4}]")
        await asyncio.sleep(10)
        it.sim.post("sim.x", 60.0)
        await asyncio.sleep(10)
        for how in ("undefined", "disconnected"):
            await spoil(it, how)
            await asyncio.sleep(10)
        it.sim.channels["sim.x"].severity = Severity.NO_ALARM
        it.sim.reconnect("sim.x", 100.0)
        await asyncio.sleep(10)
        it.sim.post("sim.x", 100.0)
        ended = await it.ended()
        texts = [e.text for e in it.events if isinstance(e, Told)]
        return ended.status, [text.partition(": ")[2] or text for text in texts]

    assert play(scenario) == (
        RunStatus.SUCCESS,
        [
            "sim.x < 50",
            "not yet sim.x > 80",
            UNDEFINED,
            DISCONNECTED,
            f"{RESTARTED} (connected, its value is 100; resume accepts it)",
            "clear, but not yet for 10 s",
            "no longer suspended by beam",
        ],
    )


def test_a_wait_that_times_out_has_said_before_what_it_says_then(play):
    async def scenario(it):
        await spoil(it, "undefined")
        ended = await it.run("steps: [{wait: {pv: sim.x, above: 5, timeout: 30}}]")
        return ended.message, told(it)

    message, texts = play(scenario)
    assert "INVALID (UDF)" in message
    assert texts == [f"steps[0] wait for sim.x is held up: {UNDEFINED}"]


def test_a_walk_over_sequence_servers_says_which_holds_it_up(play):
    async def scenario(it):
        it.start(
            "steps:\n"
            "- trajectories: {servers: {stage: '[1, 2]', laser: '[5, 6]'}}\n"
            "- nested: {over: {stage: all, laser: [1]}, timeout: 100}\n"
            "  on_disconnect: wait\n"
            "  do: [{delay: 2}]\n"
        )
        await asyncio.sleep(1)
        it.servers["laser"].restart(20)
        ended = await it.ended()
        return ended.status, told(it)

    assert play(scenario) == (
        RunStatus.SUCCESS,
        [
            "steps[1] nested stage, laser is held up: laser.CMD: disconnected; "
            "laser.ACK: disconnected; laser.INDEX: disconnected",
            "steps[1] nested stage, laser is no longer held up",
        ],
    )


def test_it_is_told_after_three_seconds_and_not_before(play):
    async def scenario(it):
        it.start("steps: [{wait: {pv: sim.x, above: 5, timeout: none}}]")
        await asyncio.sleep(10)
        it.sim.disconnect("sim.x")
        await asyncio.sleep(2.9)
        early = told(it)
        await asyncio.sleep(0.7)
        late = told(it)
        it.ask(Verb.ABORT)
        await it.ended()
        return early, len(late)

    assert play(scenario) == ([], 1)
