"""State machines on the verbs of a run."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.python.machine import State, When
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Command, RunStatus, Verb


@sequence
async def heater(run: Run) -> None:
    async def count() -> None:
        await run.set("sim.y", await run.value("sim.y + 1"))

    last = await run.machine(
        {
            "cold": State(
                entry=lambda: run.set("sim.x", 80),
                exit=count,
                when=[
                    When("sim.counts > 75", "warm"),
                    When("sim.counts > 70", "never", action=count),
                    When(after=60, to="failed"),
                ],
            ),
            "warm": State(when=[When("sim.counts < 50", "cold"), When("sim.shutter == 1", "done")]),
            "never": State(),
            "failed": State(),
            "done": State(),
        }
    )
    await run.log(f"ended {last}")


@sequence
async def misspelt(run: Run) -> None:
    await run.machine({"a": State(when=[When("sim.x > 1", "bb")]), "bbb": State()})


@sequence
async def watchdog(run: Run) -> None:
    silent = When("age(sim.counts) > 5", "silent")
    last = await run.machine({"alive": State(when=[silent, When(after=60, to="late")]),
                              "silent": State(), "late": State()})  # fmt: skip
    await run.log(f"ended {last}")


@sequence
async def two_ways(run: Run) -> None:
    ways = [When("age(sim.y) < 0", "first"), When("sim.counts > 1", "second")]
    last = await run.machine({"here": State(when=ways), "first": State(), "second": State()})
    await run.log(f"ended {last}")


@sequence
async def restless(run: Run) -> None:
    ways = [When("sim.x < 0", "done"), When(after=0.1, to="b")]
    back = [When("sim.x < 0", "done"), When(after=0.1, to="a")]
    await run.machine({"a": State(when=ways), "b": State(when=back), "done": State()})


@pytest.fixture
def start(play):
    registry = Registry({f.__name__: f for f in (heater, misspelt, watchdog, two_ways, restless)})

    def begin(it, name="heater"):
        it._ended = asyncio.get_running_loop().create_future()
        it.pull.offer(Command(Verb.START, 1, name))

    return lambda scenario: play(
        lambda it: scenario(it, lambda *a: begin(it, *a)), registry=registry
    )


def post(it, *steps):
    for at, name, value in steps:
        asyncio.get_running_loop().call_later(at, it.sim.post, name, value)


def test_conditions_are_tried_in_order_and_entry_and_exit_are_done(start):
    async def scenario(it, begin):
        begin()
        post(it, (1, "sim.counts", 76.0), (2, "sim.counts", 40.0), (3, "sim.counts", 80.0))
        post(it, (4, "sim.shutter", 1.0))
        ended = await it.ended()
        return ended.status, it.puts("x"), it.puts("y"), it.values("message")

    status, entries, exits, messages = start(scenario)
    assert status is RunStatus.SUCCESS
    assert entries == [80.0, 80.0]
    assert exits == [1.0, 2.0]
    assert "ended done" in messages


def test_time_counts_from_entering_the_state_and_stands_still_while_paused(start):
    async def scenario(it, begin):
        begin()
        await asyncio.sleep(10)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1000)
        it.ask(Verb.RESUME)
        began = asyncio.get_running_loop().time()
        await it.ended()
        return asyncio.get_running_loop().time() - began, it.values("message")

    took, messages = start(scenario)
    assert took == pytest.approx(50)
    assert "ended failed" in messages


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT])
def test_exit_is_done_also_on_stop_and_abort(start, verb):
    async def scenario(it, begin):
        begin()
        await asyncio.sleep(10)
        it.ask(verb)
        ended = await it.ended()
        return ended.status, it.puts("y")

    status, exits = start(scenario)
    assert status is (RunStatus.STOPPED if verb is Verb.STOP else RunStatus.ABORTED)
    assert exits == [1.0]


def test_unknown_state_is_told_with_the_nearest(start):
    async def scenario(it, begin):
        begin("misspelt")
        return await it.ended()

    ended = start(scenario)
    assert "there is no state 'bb'" in ended.message
    assert "'bbb'" in ended.message


def test_condition_on_an_age_is_reached_by_time_alone(start):
    """No update tells that a channel has been silent for long."""

    async def scenario(it, begin):
        it.sim.post("sim.counts", 1.0)
        await it.pull.idle()
        begin("watchdog")
        began = asyncio.get_running_loop().time()
        await it.ended()
        return asyncio.get_running_loop().time() - began, it.values("message")

    took, messages = start(scenario)
    assert "ended silent" in messages
    assert took == pytest.approx(5, abs=0.2)


def test_way_out_that_reads_a_lost_channel_bars_no_other(start):
    async def scenario(it, begin):
        begin("two_ways")
        loop = asyncio.get_running_loop()
        loop.call_later(1, it.sim.disconnect, "sim.y")
        post(it, (2, "sim.counts", 2.0))
        await it.ended()
        return it.values("message")

    assert "ended second" in start(scenario)


def test_a_machine_that_changes_all_the_time_is_told_of_once_a_second(start):
    async def scenario(it, begin):
        begin("restless")
        await asyncio.sleep(100)
        it.sim.post("sim.x", -1.0)
        return await it.ended(), [text for text in it.values("message") if "state" in text]

    _, told = start(scenario)
    assert 90 < len(told) < 110
    assert "more before it)" in told[-2]
    assert told[-1].startswith("restless: state done")


def machine_of(play, states, *at, latches=None):
    """Where a machine ends, and after how many s."""
    last = []

    @sequence
    async def own(run: Run) -> None:
        last.append(await run.machine(states(run), latches=latches or {}))

    async def scenario(it):
        it.start("steps: [{run: own}]")
        began = asyncio.get_running_loop().time()
        for seconds, action, *args in at:
            asyncio.get_running_loop().call_later(seconds, action(it), *args)
        ended = await it.ended()
        return ended.message, last, round(asyncio.get_running_loop().time() - began, 1)

    return play(scenario, registry=Registry({"own": own}, {}))


def posts(it):
    return it.sim.post


@pytest.mark.parametrize(("rises", "took"), [(2, 5.0), (8, 8.0)])
def test_a_way_with_condition_and_time_waits_for_both(play, rises, took):
    def states(_run):
        return {"a": State(when=[When("sim.x > 1", "b", after=5)]), "b": State()}

    wanted = ("", ["b"], took)
    assert machine_of(play, states, (rises, posts, "sim.x", 2.0)) == wanted


def test_a_way_that_is_open_by_time_goes_before_one_whose_condition_is_still_unmet(play):
    def states(_run):
        both = When("sim.x > 1", "c", after=2)
        return {"a": State(when=[both, When(after=4, to="b")]), "b": State(), "c": State()}

    assert machine_of(play, states) == ("", ["b"], 4.0)


def test_after_may_be_computed(play):
    def states(_run):
        return {"a": State(when=[When(after="sim.y * 2 + 3", to="b")]), "b": State()}

    assert machine_of(play, states) == ("", ["b"], 3.0)


def test_a_latch_of_a_machine_is_not_missed_while_an_action_takes_its_time(play):
    def states(run):
        return {
            "busy": State(entry=lambda: run.delay(5), when=[When("latched('kick')", "kicked")]),
            "kicked": State(when=[When("latched('kick')", "again"), When(after=2, to="quiet")]),
            "again": State(),
            "quiet": State(),
        }

    pulse = (2, posts, "sim.x", 1.0), (2.001, posts, "sim.x", 0.0)
    wanted = ("", ["quiet"], 7.0)
    assert machine_of(play, states, *pulse, latches={"kick": "sim.x == 1"}) == wanted


def test_a_machine_that_goes_round_leaves_nothing_behind(play):
    """Thousands of transitions, with a latch: nothing is watched that was not before."""

    @sequence
    async def own(run: Run) -> None:
        count = 0

        async def counted() -> None:
            nonlocal count
            count += 1

        states = {
            "a": State(when=[When("sim.x < 1", "b", action=counted)]),
            "b": State(when=[When(after=0.001, to="a")]),
        }
        first = await run.race(run.machine(states, latches={"k": "sim.y > 1"}), run.delay(2))
        await run.set("sim.x", count if first == 1 else -1)

    async def scenario(it):
        it.start("steps: [{run: own}]")
        ended = await it.ended()
        watched = sum(len(it.device.table.channel(f"sim.{name}").watchers) for name in "xy")
        return ended.message, watched, it.puts("x")[-1]

    message, watched, count = play(scenario, registry=Registry({"own": own}, {}))
    assert (message, watched) == ("", 0)
    assert count > 1000
