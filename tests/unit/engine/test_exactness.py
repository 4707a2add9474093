"""Figures, texts and moments of a run that are exactly so, found by changing them at random."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import LinkChange, Progressed, RunStatus, Told, Verb
from tests.doubles import SimChannel


def progress(it):
    return [event for event in it.events if isinstance(event, Progressed)]


def told(it):
    return [event.text for event in it.events if isinstance(event, Told)]


def test_what_remains_is_reckoned_from_the_steps_done_so_far(play):
    async def scenario(it):
        it.start("steps: [{delay: 4}, {delay: 4}, {delay: 4}, {delay: 4}]")
        await asyncio.sleep(9)
        return progress(it)[-1]

    now = play(scenario)
    assert (now.done, now.percent) == (2, 50.0)
    assert now.elapsed == pytest.approx(9, abs=0.26)
    assert now.remaining == pytest.approx(now.elapsed, abs=0.01)


def test_what_remains_does_not_count_a_pause(play):
    async def scenario(it):
        it.start("steps: [{delay: 4}, {delay: 4}, {delay: 4}, {delay: 4}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(100)
        it.ask(Verb.RESUME)
        await asyncio.sleep(8)
        return progress(it)[-1]

    now = play(scenario)
    assert now.done == 2
    assert now.remaining == pytest.approx(9, abs=0.3)


def test_an_abort_begins_no_delay_of_a_retry_and_tells_of_no_try(play, tmp_path: Path):
    (tmp_path / "inner.yaml").write_text(
        "steps: [{delay: 100}]\nfinally: [{set: {pv: 'OTHER:GONE', value: 1}}]\n"
    )

    async def scenario(it):
        it.sim.add("OTHER:GONE")
        await it.pull.idle()
        it.start(
            "steps: [{run: inner, on_error: {retry: 2, delay: 50}}, {set: {pv: sim.x, value: 1}}]"
        )
        await asyncio.sleep(1)
        it.sim.channels["OTHER:GONE"].refuses = "not now"
        began = asyncio.get_running_loop().time()
        it.ask(Verb.ABORT)
        ended = await it.ended()
        took = asyncio.get_running_loop().time() - began
        return ended.status, took < 1, it.puts("x"), [t for t in told(it) if "try" in t]

    assert play(scenario, directory=tmp_path) == (RunStatus.ABORTED, True, [], [])


@function
async def stubborn() -> None:
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        raise ValueError("I was busy") from None


@pytest.mark.parametrize("how", ["{retry: 2, delay: 50}", "continue", "[{delay: 50}]"])
def test_a_function_that_makes_an_error_of_an_abort_holds_nothing_up(play, how):
    async def scenario(it):
        it.start(f"steps: [{{call: stubborn, on_error: {how}}}, {{set: {{pv: sim.x, value: 1}}}}]")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        it.ask(Verb.ABORT)
        ended = await it.ended()
        took = asyncio.get_running_loop().time() - began
        return ended.status, took < 1, it.puts("x"), [t for t in told(it) if "try" in t]

    registry = Registry(functions={"stubborn": stubborn})
    assert play(scenario, registry=registry) == (RunStatus.ABORTED, True, [], [])


def test_the_check_goes_on_as_soon_as_the_device_has_seen_what_is_connected(play):
    """The client tells that a channel is there before the device has taken what it offered."""

    async def scenario(it):
        loop = asyncio.get_running_loop()
        channel = it.sim.channels["NEW:PV"] = SimChannel("NEW:PV")

        def examined() -> None:
            it.pull.offer(LinkChange("NEW:PV", True, channel.metadata))
            it.pull.offer(it.sim._reading(channel))

        loop.call_later(1, examined)
        began = loop.time()
        ended = await it.run("steps: [{set: {pv: 'NEW:PV', value: 1}}]")
        return ended.status, loop.time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(1.0, abs=0.1))


@sequence
async def spiteful(run: Run) -> None:
    try:
        await run.delay(1000)
    except BaseException:  # noqa: BLE001 - as users write it
        raise ValueError("I was busy") from None


@pytest.mark.parametrize("how", ["{retry: 2, delay: 50}", "continue", "[{delay: 50}]"])
@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.ABORT, RunStatus.ABORTED), (Verb.STOP, RunStatus.STOPPED)]
)
def test_a_sequence_that_makes_an_error_of_its_end_holds_nothing_up(play, how, verb, status):
    async def scenario(it):
        it.start(f"steps: [{{run: spiteful, on_error: {how}}}, {{set: {{pv: sim.x, value: 1}}}}]")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        it.ask(verb)
        ended = await it.ended()
        took = asyncio.get_running_loop().time() - began
        return ended.status, took < 1, it.puts("x"), [t for t in told(it) if "try" in t]

    registry = Registry({"spiteful": spiteful})
    assert play(scenario, registry=registry) == (status, True, [], [])
