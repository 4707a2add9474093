"""Python verbs and machines live through the loss of a channel as the steps of documents do."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.python.machine import State, When
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Command, LinkChange, RunStatus, Verb


@sequence
async def sets_patiently(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.delay(2)
    await run.set("sim.x", 2, timeout=30, on_disconnect="wait")


@sequence
async def samples_patiently(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.delay(2)
    await run.sample("sim.x", timeout=30, on_disconnect="wait")
    await run.set("sim.x", 2)


@sequence
async def waits(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.delay(2)
    await run.wait("sim.x", above=1.5, timeout=60)


@sequence
async def waits_without_patience(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.wait("sim.x", above=1.5, timeout=60, on_disconnect="fail")


@sequence
async def waits_for_one_not_seen_yet(run: Run) -> None:
    await run.delay(2)
    await run.until("sim.x > 1.5", timeout=60)


@sequence
async def cycles(run: Run) -> None:
    await run.machine(
        {
            "up": State(when=[When("not connected('sim.x')", "down"), When("sim.x > 5", "done")]),
            "down": State(when=[When("connected('sim.x')", "up")]),
            "done": State(),
        }
    )


@sequence
async def reads_anew(run: Run) -> None:
    await run.set("sim.y", 1)
    await run.machine({"a": State(when=[When("sim.x > 5", "b")]), "b": State()})


@sequence
async def trusts(run: Run) -> None:
    await run.machine(
        {"a": State(when=[When("sim.x > 1.5", "b", accept_restart=True)]), "b": State()}
    )


@sequence
async def insists(run: Run) -> None:
    await run.machine(
        {
            "a": State(
                when=[When("sim.x > 1.5", "b", on_disconnect="fail"), When("sim.y > 1", "b")]
            ),
            "b": State(),
        }
    )


@sequence
async def wrong(run: Run) -> None:
    await run.machine({"a": State(when=[When("sim.x > 1.5", "a", on_disconnect="wiat")])})


ALL = (
    sets_patiently,
    samples_patiently,
    waits,
    waits_without_patience,
    waits_for_one_not_seen_yet,
    cycles,
    reads_anew,
    trusts,
    insists,
    wrong,
)
REGISTRY = Registry({f.__name__: f for f in ALL})


def start(it, name):
    it._ended = asyncio.get_running_loop().create_future()
    it.pull.offer(Command(Verb.START, 1, name))


@pytest.fixture
def lost(play):
    """Run a sequence; `sim.x` is lost after 1 s, and back after 20 more at a value."""

    def run(name, *, back_at=0.0, then=7.0):
        async def scenario(it):
            loop = asyncio.get_running_loop()
            loop.call_later(1, it.sim.disconnect, "sim.x")
            loop.call_later(21, it.sim.reconnect, "sim.x", back_at)
            if then is not None:
                loop.call_later(23, it.sim.post, "sim.x", then)
            start(it, name)
            ended = await it.ended()
            return ended, it.puts("x"), loop.time() - 1000

        return play(scenario, registry=REGISTRY)

    return run


@pytest.mark.parametrize("name", ["sets_patiently", "samples_patiently"])
def test_what_waits_for_the_channel_goes_on_when_it_is_back(lost, name):
    ended, x, took = lost(name, then=None)
    assert (ended.status, x) == (RunStatus.SUCCESS, [1, 2]), ended
    assert took == pytest.approx(21, abs=1)


@pytest.mark.parametrize("name", ["waits", "waits_for_one_not_seen_yet", "cycles"])
def test_waits_and_machines_wait_within_their_own_timeout(lost, name):
    ended, _, took = lost(name)
    assert ended.status is RunStatus.SUCCESS, ended
    assert took == pytest.approx(23, abs=1)


def test_a_wait_that_is_to_fail_fails_with_the_loss(lost):
    ended, _, took = lost("waits_without_patience")
    assert ended.status is RunStatus.FAILED
    assert "sim.x: disconnected" in ended.message
    assert took == pytest.approx(1, abs=0.5)


def test_a_machine_takes_the_first_value_after_a_reconnection_where_it_is_told_to(lost):
    ended, _, took = lost("trusts", back_at=3.0, then=None)
    assert ended.status is RunStatus.SUCCESS
    assert took == pytest.approx(21, abs=1)


def test_a_machine_lives_through_a_loss_while_it_reads_what_may_be_older_than_a_put(play):
    # The get fails a moment before the news of the loss is there: for the machine it is connected.
    async def scenario(it):
        loop = asyncio.get_running_loop()
        x = it.sim.channels["sim.x"]
        x.get_takes = 0.5
        loop.call_later(0.3, setattr, x, "connected", False)
        loop.call_later(0.8, it.pull.offer, LinkChange("sim.x", False))
        loop.call_later(2, it.sim.reconnect, "sim.x", 7.0)
        loop.call_later(3, it.sim.post, "sim.x", 7.0)
        start(it, "reads_anew")
        ended = await it.ended()
        return ended, loop.time() - 1000

    ended, took = play(scenario, registry=REGISTRY)
    assert ended.status is RunStatus.SUCCESS, ended
    assert took == pytest.approx(3, abs=0.5)


def test_a_machine_that_is_to_fail_fails_with_the_loss_of_that_channel_alone(lost, play):
    ended, _, took = lost("insists")
    assert ended.status is RunStatus.FAILED
    assert "sim.x: disconnected" in ended.message
    assert took == pytest.approx(1, abs=0.5)

    async def scenario(it):
        asyncio.get_running_loop().call_later(1, it.sim.disconnect, "sim.y")
        asyncio.get_running_loop().call_later(5, it.sim.post, "sim.x", 2.0)
        start(it, "insists")
        return (await it.ended()).status

    assert play(scenario, registry=REGISTRY) is RunStatus.SUCCESS


def test_a_word_that_is_none_is_refused(lost):
    ended, _, _ = lost("wrong")
    assert "on_disconnect is 'wait' or 'fail', not 'wiat'" in ended.message
