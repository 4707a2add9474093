"""What a wait or a run must not leave behind, and endings that no wait may hold up."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import CallError, OrchestratorError, StepTimeoutError
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.language.text.suspend import Suspend
from orchestrator.types import Command, Limits, Metadata, NativeType, RunStatus, Severity, Verb
from tests.unit.engine.bench import CHANNELS

NAMES = Names(frozenset({"sim"}), {f"sim.{name}": f"SIM:{name}" for name in CHANNELS})


def timers():
    """What the loop would still call."""
    loop = asyncio.get_running_loop()
    return [handle for handle in loop._scheduled if not handle.cancelled()]


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


AGES = [
    "wait: {until: age(sim.x) > 3, timeout: none}",
    "wait: {until: age(sim.x) > 3, timeout: none, hold: 1}",
    "wait: {until: age(sim.x) > 300, timeout: 2}",
]


@pytest.mark.parametrize("step", AGES)
@pytest.mark.parametrize("verb", [None, Verb.SKIP, Verb.STOP, Verb.ABORT])
def test_a_wait_for_an_age_leaves_no_timer(play, step, verb):
    async def scenario(it):
        before = len(timers())
        it.start(f"steps: [{{{step}}}]")
        await asyncio.sleep(1)
        waiting = len(timers())
        if verb is not None:
            it.ask(verb)
        await it.ended()
        await asyncio.sleep(1)
        return waiting > before, len(timers()) - before

    assert play(scenario) == (True, 0)


def test_a_suspender_on_an_age_leaves_no_timer(play):
    given = {"stale": Suspend(when="age(sim.x) > 5", settle=1)}
    suspenders = compile_suspenders(given, NAMES, str)

    async def scenario(it):
        before = len(timers())
        for at in (10, 11, 12):
            later(at, it.sim.post, "sim.x", float(at))
        ended = await it.run("steps: [{delay: 6}]")
        await asyncio.sleep(1)
        return ended.status, len(timers()) - before

    assert play(scenario, suspenders=suspenders) == (RunStatus.SUCCESS, 0)


def test_a_wait_for_an_age_does_not_look_more_often_the_longer_it_takes(play):
    """Each look would make two, and after some seconds the loop did nothing else."""

    async def scenario(it):
        it.start("steps: [{wait: {until: age(sim.x) > 3000, timeout: none}}]")
        await asyncio.sleep(1)
        counts = [len(timers())]
        for _ in range(3):
            await asyncio.sleep(10)
            counts.append(len(timers()))
        it.ask(Verb.ABORT)
        await it.ended()
        return counts

    assert max(play(scenario)) <= 4


@sequence
async def cleans_up(run: Run) -> None:
    try:
        await run.set("sim.x", 1)
        await run.delay(1000)
    finally:
        await run.set("sim.fin", 1)
        await run.delay(1)
        await run.wait("sim.fin", equals=1, timeout=5)
        await run.set("sim.y", 1)


@sequence
async def cleans_up_in_branches(run: Run) -> None:
    try:
        await run.parallel(run.delay(1000), run.wait("sim.x", above=5, timeout=None))
    finally:
        await run.parallel(run.set("sim.fin", 1), run.set("sim.y", 1))


@pytest.mark.parametrize(
    ("name", "verb", "status"),
    [
        ("cleans_up", Verb.ABORT, RunStatus.ABORTED),
        ("cleans_up_in_branches", Verb.ABORT, RunStatus.ABORTED),
        ("cleans_up", Verb.STOP, RunStatus.STOPPED),
        ("cleans_up_in_branches", Verb.STOP, RunStatus.STOPPED),
    ],
)
def test_an_end_while_suspended_is_followed_by_the_clean_up_which_nothing_holds_up(
    play, name, verb, status
):
    suspenders = compile_suspenders({"beam": Suspend(when="sim.counts < 0")}, NAMES, str)
    registry = Registry({f.__name__: f for f in (cleans_up, cleans_up_in_branches)})

    async def scenario(it):
        loop = asyncio.get_running_loop()
        it._ended = loop.create_future()
        it.pull.offer(Command(Verb.START, 1, name))
        await asyncio.sleep(1)
        it.sim.post("sim.counts", -1.0)
        await asyncio.sleep(5)
        suspended, began = it.values("state")[-1], loop.time()
        it.ask(verb)
        ended = await it.ended()
        return suspended, ended.status, loop.time() - began < 3, it.puts("fin"), it.puts("y")

    assert play(scenario, suspenders=suspenders, registry=registry) == (
        "Suspended",
        status,
        True,
        [1.0],
        [1.0],
    )


@function
def late() -> None:
    raise StepTimeoutError("the robot did not answer within 5 s")


@function
async def late_too() -> None:
    raise StepTimeoutError("the robot did not answer within 5 s")


@function
def broken() -> None:
    raise TimeoutError("socket")


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("late", RunStatus.TIMEOUT, "the robot did not answer within 5 s"),
        ("late_too", RunStatus.TIMEOUT, "the robot did not answer within 5 s"),
        ("broken", RunStatus.FAILED, "broken raised TimeoutError at "),
    ],
)
def test_what_a_function_says_of_a_time_that_is_over_decides_the_outcome(play, name, status, said):
    registry = Registry(functions={f.__name__: f for f in (late, late_too, broken)})

    async def scenario(it):
        return await it.run(f"steps: [{{call: {name}}}]")

    ended = play(scenario, registry=registry)
    assert ended.status is status
    assert said in ended.message
    assert issubclass(CallError, OrchestratorError)


# Channels that are no DOUBLE, and bounds with a case on each side ---------------------------------

LONG = Metadata(NativeType.LONG)
ENUM = Metadata(NativeType.ENUM, labels=("Closed", "Open", "Moving"))
TEXT = Metadata(NativeType.STRING)


@pytest.mark.parametrize(
    ("metadata", "condition", "values", "met_at"),
    [
        (LONG, "equals: 5", [4, 6, 5], 3),
        (LONG, "equals: 5, tolerance: 1", [3, 7, 6], 3),
        (LONG, "not: 0", [0, -1], 2),
        (LONG, "above: 5", [4, 5, 6], 3),
        (LONG, "at_least: 5", [4, 5], 2),
        (LONG, "below: 5", [6, 5, 4], 3),
        (LONG, "at_most: 5", [6, 5], 2),
        (LONG, "between: [1, 3]", [0, 4, 1], 3),
        (LONG, "between: [1, 3]", [0, 4, 3], 3),
        (LONG, "in: [7, 8]", [6, 9, 8], 3),
        (LONG, "increase_by: 2", [1, 2], 2),
        (LONG, "decrease_by: 2", [-1, -2], 2),
        (LONG, "equals: 2000000000", [1999999999, 2000000001, 2000000000], 3),
        (ENUM, "equals: Open", [0, 2, 1], 3),
        (ENUM, "equals: 1", [0, 2, 1], 3),
        (ENUM, "not: Closed", [0, 2], 2),
        (ENUM, "in: [Open, Moving]", [0, 2], 2),
        (ENUM, "above: Closed", [0, 1], 2),
        (ENUM, "at_most: Open", [2, 1], 2),
        (TEXT, "equals: go", ["", "gone", "go"], 3),
        (TEXT, "not: ''", ["", "a"], 2),
        (TEXT, "in: [a, b]", ["", "ab", "b"], 3),
    ],
)
def test_each_comparison_is_met_by_the_value_that_meets_it_of_every_type(
    play, metadata, condition, values, met_at
):
    async def scenario(it):
        falls = condition.startswith(("below", "at_most"))
        first = "" if metadata is TEXT else 2 if metadata is ENUM and falls else 6 * falls
        it.sim.add("sim.gate", first, metadata=metadata)
        await it.pull.idle()
        began = asyncio.get_running_loop().time()
        for at, value in enumerate(values, 1):
            later(at, it.sim.post, "sim.gate", value)
        ended = await it.run(f"steps: [{{wait: {{pv: sim.gate, {condition}, timeout: 10}}}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(met_at))


@pytest.mark.parametrize(
    ("metadata", "value", "arrives", "other"),
    [
        (LONG, 5, 5, 4),
        (LONG, 2_000_000_001, 2_000_000_001, 2_000_000_000),
        (ENUM, "Open", 1, 2),
        (ENUM, 2, 2, 1),
        (TEXT, "hello", "hello", "hell"),
    ],
)
def test_a_readback_of_every_type_is_there_at_its_value_and_not_beside_it(
    play, metadata, value, arrives, other
):
    async def scenario(it):
        it.sim.add("sim.x", other, metadata=metadata)
        it.sim.add("sim.x_rbv", other, metadata=metadata)
        await it.pull.idle()
        began = asyncio.get_running_loop().time()
        later(2, it.sim.post, "sim.x_rbv", other)
        later(4, it.sim.post, "sim.x_rbv", arrives)
        text = f"steps: [{{set: {{pv: sim.x, value: {value}, readback: sim.x_rbv}}}}]"
        ended = await it.run(text)
        return ended.status, asyncio.get_running_loop().time() - began, it.puts("x")

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(4), [arrives])


LIMITED = Metadata(NativeType.LONG, control=Limits(-5, 5))


@pytest.mark.parametrize(
    ("metadata", "value", "fits"),
    [
        (LIMITED, 5, True),
        (LIMITED, 6, False),
        (LIMITED, -5, True),
        (LIMITED, -6, False),
        (Metadata(NativeType.DOUBLE, control=Limits(-5, 5)), 5.0, True),
        (Metadata(NativeType.DOUBLE, control=Limits(-5, 5)), 5.000001, False),
        (LONG, 2**31 - 1, True),
        (LONG, 2**31, False),
        (LONG, -(2**31), True),
        (LONG, -(2**31) - 1, False),
        (Metadata(NativeType.SHORT), 2**15 - 1, True),
        (Metadata(NativeType.SHORT), 2**15, False),
        (ENUM, 2, True),
        (ENUM, 3, False),
        (ENUM, -1, False),
        (TEXT, "x" * 39, True),
        (TEXT, "x" * 40, False),
    ],
)
def test_what_a_channel_takes_ends_at_its_bound(play, metadata, value, fits):
    async def scenario(it):
        it.sim.add("sim.x", "" if metadata is TEXT else 0, metadata=metadata)
        await it.pull.idle()
        ended = await it.run(f"steps: [{{set: {{pv: sim.x, value: {value}}}}}]")
        return ended.status, it.puts("x")

    wanted = (RunStatus.SUCCESS, [value]) if fits else (RunStatus.FAILED, [])
    assert play(scenario) == wanted


@pytest.mark.parametrize(
    ("seconds", "status"), [(4.9, RunStatus.SUCCESS), (5.1, RunStatus.TIMEOUT)]
)
@pytest.mark.parametrize(
    "step",
    [
        "wait: {pv: sim.gate, equals: 3, timeout: 5}",
        "set: {pv: sim.x, value: 3, readback: sim.gate, timeout: 5}",
        "call: {function: slow, args: {seconds: $(s)}, timeout: 5}",
    ],
)
def test_a_step_has_its_time_and_no_more(play, step, seconds, status):
    @function
    async def slow(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def scenario(it):
        it.sim.add("sim.gate", 0, metadata=LONG)
        it.sim.add("sim.x", 0, metadata=LONG)
        await it.pull.idle()
        later(seconds, it.sim.post, "sim.gate", 3)
        ended = await it.run(
            f"parameters: {{s: 0.0}}\nsteps: [{{{step}}}, {{log: $(s)}}]", s=seconds
        )
        return ended.status

    assert play(scenario, registry=Registry(functions={"slow": slow})) is status


def test_a_waveform_is_compared_as_a_whole(play):

    async def scenario(it):
        waveform = Metadata(NativeType.LONG, count=4)
        it.sim.add("sim.gate", np.zeros(4, dtype=np.int32), metadata=waveform)
        await it.pull.idle()
        began = asyncio.get_running_loop().time()
        for at, value in enumerate(([1, 2, 3], [1, 2, 3, 5], [1, 2, 3, 4]), 1):
            later(at, it.sim.post, "sim.gate", np.array(value, dtype=np.int32))
        ended = await it.run(
            "steps: [{wait: {pv: sim.gate, equals: [1, 2, 3, 4], timeout: 10}}, "
            "{wait: {until: 'sum(sim.gate) == 10', timeout: 1}}]"
        )
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(3))


def test_an_invalid_integer_satisfies_nothing(play):
    async def scenario(it):
        it.sim.add("sim.gate", 0, metadata=LONG)
        await it.pull.idle()
        later(1, it.sim.post, "sim.gate", 5, Severity.INVALID)
        later(3, it.sim.post, "sim.gate", 5)
        began = asyncio.get_running_loop().time()
        ended = await it.run("steps: [{wait: {pv: sim.gate, equals: 5, timeout: 10}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(3))
