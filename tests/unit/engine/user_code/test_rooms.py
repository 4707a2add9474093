"""User code in threads of its own, on real time: whatever it does, the service goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.engine.user_code.rooms import RoomCall, Rooms
from orchestrator.types import Command, RunStatus, Told, Verb
from tests.unit.engine.bench import Bench, bench

ended = threading.Event()
"""What the code that never ends waits for; set at the end of each test."""
stuck = threading.Event()
"""Set by the code that never ends."""


def spin() -> None:
    stuck.set()
    while not ended.is_set():
        pass


@sequence
async def sleeps(run: Run) -> None:
    await run.set("sim.x", 1)
    stuck.set()
    ended.wait(30)


@sequence
async def spins(run: Run) -> None:
    await run.set("sim.x", 1)
    try:
        spin()
    finally:
        await run.set("sim.fin", 1)


@sequence
async def asks_all_the_time(run: Run) -> None:
    while await run.value("sim.x") < 100:
        pass


@sequence
async def waits_for_others(run: Run) -> None:
    """Swallows whatever comes, in a wait that is none of ours."""
    await run.set("sim.x", 1)
    loop = asyncio.get_running_loop()
    stuck.set()
    while not ended.is_set():
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            continue


@sequence
async def leaves_a_task(run: Run) -> None:
    async def later() -> None:
        await asyncio.sleep(0.05)
        await run.set("sim.x", 7)

    task = asyncio.create_task(later(), name="later")
    await run.log(task.get_name())


@sequence
async def leaves_a_deaf_task(run: Run) -> None:
    async def deaf() -> None:
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    task = asyncio.create_task(deaf(), name="deaf")
    await run.log(task.get_name())


@sequence
async def looks_around(run: Run) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await run.set("sim.y", len(others))


@sequence
async def exits_in_a_task(run: Run) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    await run.set("sim.x", 1)
    task = asyncio.create_task(leave())
    await asyncio.wait({task})
    await run.set("sim.y", 1)


@sequence
async def patient(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.delay(30)


@sequence
async def quick(run: Run) -> None:
    await run.set("sim.y", threading.get_ident() != MAIN)


@function
def hangs() -> None:
    ended.wait(30)


@function
async def blocks() -> None:
    ended.wait(30)


@function
def stops() -> None:
    raise StopIteration("early")


MAIN = threading.get_ident()
SEQUENCES = (
    sleeps,
    spins,
    asks_all_the_time,
    waits_for_others,
    leaves_a_task,
    leaves_a_deaf_task,
    looks_around,
    exits_in_a_task,
    patient,
    quick,
)
REGISTRY = Registry(
    {f.__name__: f for f in SEQUENCES}, {f.__name__: f for f in (hangs, blocks, stops)}
)


def play(scenario: Callable[[Bench], object]):
    """Play on real time, with threads; gives what it returns."""
    ended.clear()
    stuck.clear()

    async def main():
        async with bench(registry=REGISTRY, rooms=Rooms(threads=True)) as it:
            try:
                return await scenario(it)
            finally:
                ended.set()

    try:
        return asyncio.run(main())
    finally:
        ended.set()
        _threads_are_gone()


def _threads_are_gone() -> None:
    end = time.monotonic() + 20
    while any(t.name in ("user code", "hangs") for t in threading.enumerate()):
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.01)


def start(it: Bench, name: str) -> None:
    it._ended = asyncio.get_running_loop().create_future()
    it.events.clear()
    it.pull.offer(Command(Verb.START, 1, name))


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0.005)


def told(it: Bench) -> list[str]:
    return [e.text for e in it.events if isinstance(e, Told)]


@pytest.mark.parametrize("name", ["sleeps", "spins", "waits_for_others"])
def test_code_that_does_not_react_is_given_up_by_the_second_abort(name):
    async def scenario(it):
        start(it, name)
        await until(stuck.is_set)
        it.ask(Verb.ABORT)
        await until(lambda: "Aborting" in it.values("state"))  # accepted at once
        loop, turns = asyncio.get_running_loop(), 0
        end = loop.time() + 0.2
        while loop.time() < end:
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 5  # the service's loop goes on beside it
        it.ask(Verb.ABORT)
        first = await it.ended()
        text = " ".join(told(it))
        start(it, "quick")
        return first, text, (await it.ended()).status, it.puts("y")

    first, text, following, y = play(scenario)
    assert first.status is RunStatus.ABORTED
    assert f"{name}, at {__file__}:" in text
    assert "it is given up" in text
    assert (following, y) == (RunStatus.SUCCESS, [True])


def test_code_that_computes_for_ever_is_interrupted_when_it_is_given_up():
    async def scenario(it):
        start(it, "spins")
        await until(stuck.is_set)
        it.ask(Verb.ABORT)
        it.ask(Verb.ABORT)
        await it.ended()
        await until(lambda: all(t.name != "user code" for t in threading.enumerate()))
        return ended.is_set(), it.puts("fin")

    assert play(scenario) == (False, [])


def test_the_room_of_a_run_that_was_aborted_is_as_new_for_the_next_one():
    async def scenario(it):
        start(it, "patient")
        await until(lambda: it.puts("x"))
        it.ask(Verb.ABORT)
        first = (await it.ended()).status
        start(it, "quick")
        return first, (await it.ended()).status, it.puts("y")

    assert play(scenario) == (RunStatus.ABORTED, RunStatus.SUCCESS, [True])


def test_finalisers_of_the_document_around_run_when_code_is_given_up():
    async def scenario(it):
        it._ended = asyncio.get_running_loop().create_future()
        document = "steps: [{run: spins}]\nfinally: [{set: {pv: sim.counts, value: 1}}]"
        it.pull.offer(Command(Verb.START, 1, document=document))
        await until(stuck.is_set)
        it.ask(Verb.ABORT)
        it.ask(Verb.ABORT)
        outcome = await it.ended()
        counts = it.puts("counts")
        ended.set()
        await asyncio.sleep(0.2)  # what was given up may do what it likes now
        return outcome.status, counts, it.puts("fin")

    status, counts, fin = play(scenario)
    assert (status, counts, fin) == (RunStatus.ABORTED, [1], [])


def test_code_that_asks_all_the_time_leaves_the_service_its_turns():
    async def scenario(it):
        start(it, "asks_all_the_time")
        await asyncio.sleep(0.3)
        it.ask(Verb.STOP)
        return (await it.ended()).status

    status = play(scenario)
    assert status is RunStatus.STOPPED


def test_functions_that_hang_take_no_thread_from_others():
    async def scenario(it):
        statuses = []
        for kind in ["hangs"] * 20 + ["blocks"]:
            it.events.clear()
            outcome = await it.run(f"steps: [{{call: {{function: {kind}, timeout: 0.02}}}}]")
            statuses.append(outcome.status)
        start(it, "quick")
        return statuses, (await it.ended()).status

    statuses, following = play(scenario)
    assert set(statuses) == {RunStatus.TIMEOUT}
    assert following is RunStatus.SUCCESS


def test_a_function_that_raises_stop_iteration_fails():
    async def scenario(it):
        return await it.run("steps: [{call: stops}]")

    outcome = play(scenario)
    assert outcome.status is RunStatus.FAILED
    assert "stops raised StopIteration: early" in outcome.message


def test_tasks_that_are_left_behind_are_ended_and_told():
    async def scenario(it):
        start(it, "leaves_a_task")
        outcome = await it.ended()
        await asyncio.sleep(0.1)
        return outcome.status, it.puts("x"), told(it)

    status, x, texts = play(scenario)
    assert (status, x) == (RunStatus.SUCCESS, [])
    assert "leaves_a_task has left tasks behind: later were cancelled" in texts


def test_a_room_in_which_something_goes_on_is_none_for_the_next_one():
    async def scenario(it):
        start(it, "leaves_a_deaf_task")
        first = (await it.ended()).status
        texts = told(it)
        start(it, "looks_around")
        return first, texts, (await it.ended()).status, it.puts("y")

    first, texts, second, y = play(scenario)
    assert (first, second, y) == (RunStatus.SUCCESS, RunStatus.SUCCESS, [0])
    assert "leaves_a_deaf_task has left tasks behind: deaf does not end" in texts


def test_nothing_is_begun_any_more_in_a_room_that_has_ended():
    async def main():
        room = Rooms(threads=True).open()
        done = []

        async def work() -> None:
            done.append(1)

        room.end()
        call = RoomCall(room, work, cleans=True)
        room.to_home(call._begin)  # it was on its way
        await until(lambda: call._task is not None and call._task.done())
        return done

    assert asyncio.run(main()) == []
    _threads_are_gone()


def test_an_exit_in_a_task_of_its_own_ends_that_task_alone():
    async def scenario(it):
        start(it, "exits_in_a_task")
        outcome = await it.ended()
        return outcome.status, it.puts("y")

    status, y = play(scenario)
    assert (status, y) == (RunStatus.SUCCESS, [1])


def test_the_service_ends_in_bounded_time_whatever_runs():
    async def main():
        ended.clear()
        stuck.clear()
        async with bench(registry=REGISTRY, rooms=Rooms(threads=True)) as it:
            start(it, "spins")
            await until(stuck.is_set)
            await it.engine.close("the service ends", grace=0.7)
            return it.ending.status

    began = time.monotonic()
    try:
        assert asyncio.run(main()) is RunStatus.ABORTED
    finally:
        ended.set()
        _threads_are_gone()
    assert time.monotonic() - began < 20
