"""Sequences written in Python: the same verbs, the same control."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from pathlib import Path

import pytest

from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.language.names import Channel
from orchestrator.language.text.table_text import Table, rows
from orchestrator.types import (
    Cause,
    Command,
    Limits,
    Metadata,
    NativeType,
    RunStatus,
    StepStarted,
    Told,
    Verb,
)
from tests.unit.engine.bench import bench


@sequence
async def scan(run: Run, start: float = -1.0, stop: float = 1.0, points: int = 3) -> None:
    """Step through the beam."""
    for x in run.linspace("sim.x", start, stop, points):
        await run.set("sim.x", x, timeout=5)
        await run.sample("sim.x")
    await run.log(f"took {len(run.data('sim.x'))} points")


@sequence
async def tidy(run: Run) -> None:
    try:
        await run.delay(100)
        await run.set("sim.y", 1)
    finally:
        await run.delay(2)
        await run.set("sim.fin", 1)


@sequence
async def wrong(run: Run, kind: str) -> None:
    match kind:
        case "channel":
            await run.set("sim.xx", 1)
        case "field":
            await run.set("sim.x", 1, tolerence=2)
        case "label":
            await run.wait("sim.x", equals="Open", timeout=1)
        case "comparison":
            await run.until("sim.shutter == 'Opne'", timeout=5)
        case "python":
            raise ZeroDivisionError("by me")
        case "timeout":
            await run.wait("sim.x", above=1, timeout=1)


@sequence
async def branches(run: Run) -> None:
    await run.parallel(run.set("sim.x", 1), run.wait("sim.counts", above=1, timeout=2))


@sequence
async def reads(run: Run) -> None:
    await run.set("sim.x", 2)
    doubled = await run.value("sim.x * 2")
    await run.set("sim.y", doubled)
    await run.set("sim.fin", await run.call("add", a=1, b=2))
    await run.run("scan", points=1)


@function
def add(a: float, b: float) -> float:
    return a + b


@function
async def slow(seconds: float) -> None:
    await asyncio.sleep(seconds)


@function
def broken() -> None:
    raise RuntimeError("out of paper")


@sequence
async def impatient(run: Run) -> None:
    try:
        async with asyncio.timeout(2):
            await run.wait("sim.gate", above=3, timeout=None)
    except TimeoutError:
        await run.log("no gate")
    await run.set("sim.y", 1)
    await run.delay(0)
    await run.set("sim.y", 2)


@sequence
async def marked(run: Run) -> None:
    try:
        await run.checkpoint()
        await run.delay(5)
    finally:
        await run.parallel(run.set("sim.fin", 1), run.set("sim.y", 1))


@sequence
async def both(run: Run) -> None:
    async def rows(channel: str, points: int, seconds: float) -> None:
        for _ in run.linspace(channel, 0, 1, points):
            await run.delay(seconds)
            await run.sample(channel)

    for _ in run.linspace("sim.x", 0, 1, 2):
        await run.parallel(rows("sim.x", 3, 1.0), rows("sim.y", 2, 1.7))
        await run.sample("sim.fin")


@sequence
async def leaves(run: Run) -> None:
    await run.trajectories({"stage": "[1, 2, 3]"})
    async for at in run.nested(["stage"]):
        if at["stage"] == 1:
            break
    await run.sample("sim.x")


@sequence
async def computes(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.set("sim.y", await run.value("sim.counts + 1"))


SEQUENCES = {
    f.__name__: f
    for f in (scan, tidy, wrong, branches, reads, impatient, marked, both, leaves, computes)
}
REGISTRY = Registry(SEQUENCES, {f.__name__: f for f in (add, slow, broken)})


DARK = "suspend: {beam: {when: sim.counts < 0, rewind: checkpoint}}\n"


async def run_named(it, name, **args):
    start_named(it, name, **args)
    return await it.ended()


def start_named(it, name, **args):
    it._ended = asyncio.get_running_loop().create_future()
    it.pull.offer(Command(Verb.START, 1, name, args))


def test_a_failed_verb_is_told_with_the_line_that_called_it(python):
    async def scenario(it):
        return (await run_named(it, "wrong", kind="channel")).message

    line = next(
        i for i, t in enumerate(Path(__file__).read_text().splitlines(), 1) if "sim.xx" in t
    )
    assert python(scenario).startswith(f"{__file__}:{line}: set.pv: unknown channel")


@pytest.fixture
def python(play):
    return lambda scenario: play(scenario, registry=REGISTRY)


def test_python_sequence_runs_with_typed_arguments_from_text(python):
    async def scenario(it):
        ended = await run_named(it, "scan", start="0", stop="4", points="5")
        return ended.status, it.puts("x"), it.values("data_npts")[-1], it.values("message")

    status, x, points, messages = python(scenario)
    assert (status, x, points) == (RunStatus.SUCCESS, [0, 1, 2, 3, 4], 5)
    assert "took 5 points" in messages


def test_loop_index_and_rows_carry_the_place(python):
    async def scenario(it):
        await run_named(it, "scan")
        return [loops for loops, _ in it.store.recorders[0].rows]

    assert python(scenario) == [(0,), (1,), (2,)]


def test_branches_that_loop_at_the_same_time_have_indices_of_their_own(python):
    async def scenario(it):
        await run_named(it, "both")
        rows = it.store.recorders[0].rows
        told = [e for e in it.events if isinstance(e, StepStarted) and "sample" in e.name]
        return rows, {(e.name.split()[-1], e.loops) for e in told}

    rows, told = python(scenario)
    for outer in (0, 1):
        taken = [(*row, loops) for loops, row in rows if loops[0] == outer]
        assert [loops for name, loops in taken if name == "sim.x"] == [(outer, i) for i in range(3)]
        assert [loops for name, loops in taken if name == "sim.y"] == [(outer, i) for i in range(2)]
        assert [loops for name, loops in taken if name == "sim.fin"] == [(outer,)]
    assert {loops for name, loops in told if name == "sim.y"} <= {
        (outer, i) for outer in range(2) for i in range(2)
    }


def test_rows_carry_the_place_of_the_document_around(python):
    """They would not tell the passes of its loops apart, nor rows of failed tries."""

    async def scenario(it):
        await it.run(
            "steps: [{loop: {count: 2}, do: [{run: {sequence: scan, args: {points: 2}}, "
            "on_error: {retry: 1}}]}]"
        )
        recorder = it.store.recorders[0]
        return [loops for loops, _ in recorder.rows], recorder.tries

    assert python(scenario) == ([(0, 0), (0, 1), (1, 0), (1, 1)], [(1,)] * 4)


def test_a_nested_that_is_left_early_leaves_no_index_behind(python):
    async def scenario(it):
        ended = await run_named(it, "leaves")
        return ended.status, [loops for loops, _ in it.store.recorders[0].rows]

    assert python(scenario) == (RunStatus.SUCCESS, [()])


@pytest.mark.parametrize(
    ("args", "said"),
    [({"pionts": "3"}, "did you mean 'points'"), ({"points": "2.5"}, "points")],
)
def test_wrong_arguments_are_refused_before_anything_is_written(python, args, said):
    async def scenario(it):
        return await run_named(it, "scan", **args), it.puts("x")

    ended, puts = python(scenario)
    assert ended.cause is Cause.INPUT
    assert said in ended.message
    assert puts == []


def test_points_beyond_the_limits_are_refused_before_the_first(python):
    async def scenario(it):
        it.sim.add("sim.x", metadata=Metadata(NativeType.DOUBLE, control=Limits(-5, 5)))
        await it.pull.idle()
        return await run_named(it, "scan", stop=9.0), it.puts("x")

    ended, puts = python(scenario)
    assert ended.status is RunStatus.FAILED
    assert "9" in ended.message
    assert puts == []


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("channel", RunStatus.FAILED, "sim.x"),
        ("field", RunStatus.FAILED, "did you mean 'tolerance'"),
        ("comparison", RunStatus.FAILED, "'Opne' is none of the labels of sim.shutter"),
        ("label", RunStatus.FAILED, "Open"),
        ("python", RunStatus.FAILED, "ZeroDivisionError"),
        ("timeout", RunStatus.TIMEOUT, "waited 1 s for sim.x above 1"),
    ],
)
def test_mistakes_get_the_same_errors_as_in_documents(python, kind, status, said):
    async def scenario(it):
        it.sim.add("sim.shutter", 1, metadata=Metadata(NativeType.ENUM, labels=("Closed", "Open")))
        return await run_named(it, "wrong", kind=kind)

    ended = python(scenario)
    assert ended.status is status
    assert said in ended.message


@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.STOP, RunStatus.STOPPED), (Verb.ABORT, RunStatus.ABORTED)]
)
def test_stop_and_abort_leave_by_its_finally_blocks(python, verb, status):
    async def scenario(it):
        start_named(it, "tidy")
        await asyncio.sleep(1)
        it.ask(verb)
        ended = await it.ended()
        return ended.status, it.puts("y"), it.puts("fin")

    assert python(scenario) == (status, [], [1.0])


def test_third_abort_drops_the_clean_up(python):
    async def scenario(it):
        start_named(it, "tidy")
        await asyncio.sleep(1)
        for _ in range(3):
            it.ask(Verb.ABORT)
        ended = await it.ended()
        return ended.status, it.puts("fin"), it.values("busy")

    assert python(scenario) == (RunStatus.ABORTED, [], [1, 0])


def test_pause_and_skip_work_inside_a_verb(python):
    async def scenario(it):
        start_named(it, "tidy")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1000)
        paused = it.values("state")[-1]
        it.ask(Verb.RESUME)
        await asyncio.sleep(1)
        it.ask(Verb.SKIP)
        ended = await it.ended()
        return paused, ended.status, it.puts("y"), it.puts("fin")

    assert python(scenario) == ("Paused", RunStatus.SUCCESS, [1.0], [1.0])


def test_parallel_raises_the_first_failure(python):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = math.inf
        return await run_named(it, "branches")

    ended = python(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "sim.counts above 1" in ended.message


def test_value_call_and_run(python):
    async def scenario(it):
        ended = await run_named(it, "reads")
        return ended.status, it.puts("y"), it.puts("fin"), it.puts("x")

    assert python(scenario) == (RunStatus.SUCCESS, [4.0], [3.0], [2.0, -1.0])


def test_a_value_is_no_step_that_could_be_skipped(python):
    """It was that from before the put, then."""

    async def scenario(it):
        counts = it.sim.channels["sim.counts"]
        counts.get_takes = 3.0
        asyncio.get_running_loop().call_later(0.5, setattr, counts, "value", 5.0)
        asyncio.get_running_loop().call_later(1, it.ask, Verb.SKIP)
        ended = await run_named(it, "computes")
        return ended.status, it.puts("y")

    assert python(scenario) == (RunStatus.SUCCESS, [6.0])


def test_document_calls_functions_and_binds_their_results(python):
    async def scenario(it):
        ended = await it.run(
            "steps:\n- call: {function: add, args: {a: 1, b: '=sim.x + 2'}, as: c}\n"
            "- set: {pv: sim.y, value: $(c)}"
        )
        return ended.status, it.puts("y")

    assert python(scenario) == (RunStatus.SUCCESS, [3.0])


def test_call_that_raises_fails_the_step_with_its_error(python):
    async def scenario(it):
        return await it.run("steps: [{call: broken}]")

    ended = python(scenario)
    assert ended.status is RunStatus.FAILED
    assert re.search(
        r"broken raised RuntimeError at .*test_python.py:\d+: out of paper", ended.message
    )


def test_coroutine_that_is_called_is_cancelled_by_its_timeout(python):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        ended = await it.run("steps: [{call: {function: slow, args: {seconds: 50}, timeout: 3}}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert python(scenario) == (RunStatus.TIMEOUT, pytest.approx(3.0))


def test_unknown_function_is_found_before_the_run(python):
    async def scenario(it):
        return await it.run("steps: [{call: ad}]")

    ended = python(scenario)
    assert ended.cause is Cause.INPUT
    assert "'add'" in ended.message


def test_document_runs_a_python_sequence(python):
    async def scenario(it):
        ended = await it.run("steps: [{run: {sequence: scan, args: {points: 2}}}]")
        return ended.status, it.puts("x")

    assert python(scenario) == (RunStatus.SUCCESS, [-1.0, 1.0])


def test_a_timeout_of_its_own_does_not_make_the_rest_a_clean_up(python):
    """STOP and suspenders would have acted no more: the timeout ends by a cancellation too."""

    async def scenario(it):
        it.sim.channels["sim.y"].put_takes = 2.0
        start_named(it, "impatient")
        await asyncio.sleep(3)
        it.ask(Verb.STOP)
        return (await it.ended()).status, it.puts("y")

    assert python(scenario) == (RunStatus.STOPPED, [1])


def test_a_rewind_of_the_document_around_leaves_it_by_its_clean_up(python):
    async def scenario(it):
        loop = asyncio.get_running_loop()
        for at, value in ((4, -1.0), (9, 0.0), (11, -1.0), (12, 0.0)):
            loop.call_later(at, it.sim.post, "sim.counts", value)
        ended = await it.run(DARK + "steps: [checkpoint, {run: marked}, {delay: 3}]")
        return ended.status, len(it.puts("fin")), len(it.puts("y")), loop.time() - 1000

    status, fin, y, took = python(scenario)
    # Left at 9 and begun again, left at 12, done at 17; what follows can be suspended as before.
    assert (status, fin, y, took) == (RunStatus.SUCCESS, 3, 3, pytest.approx(20, abs=0.1))


def test_no_document_goes_back_to_a_checkpoint_in_it(python):
    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(2, it.sim.post, "sim.counts", -1.0)
        loop.call_later(9, it.sim.post, "sim.counts", 0.0)
        ended = await it.run(DARK + "steps: [{set: {pv: sim.x, value: 1}}, {run: marked}]")
        return ended.status, it.puts("x"), it.puts("fin")

    assert python(scenario) == (RunStatus.SUCCESS, [1], [1])


def test_sequence_that_is_no_coroutine_function_is_refused_at_once():
    with pytest.raises(TypeError, match="async def"):

        @sequence
        def plain(run: Run) -> None:
            pass


def test_parameter_without_a_known_type_is_refused_at_once():
    with pytest.raises(TypeError, match="annotated"):

        @sequence
        async def odd(run: Run, thing: set[int]) -> None:
            pass


def test_a_blocking_function_that_is_not_waited_for_any_longer_is_told_to_go_on():
    """On real time: a thread can't be cancelled."""
    done = threading.Event()

    async def main():
        registry = Registry(functions={"block": function(lambda: done.wait(30))})
        async with bench(registry=registry) as it:
            ended = await it.run("steps: [{call: {function: block, timeout: 0.05}}]")
            done.set()
            return ended.status, [e.text for e in it.events if isinstance(e, Told)]

    status, told = asyncio.run(main())
    assert status is RunStatus.TIMEOUT
    assert "block runs in a thread and can't be cancelled: it goes on" in told


def test_a_field_that_is_a_list_is_refused_as_a_document_refuses_it(play):
    """Calls are kept compiled by their fields, of which some can't be compared."""

    @sequence
    async def odd(run: Run) -> None:
        for timeout in (5, [5]):
            await run.set("sim.x", 1, timeout=timeout)

    async def scenario(it):
        start_named(it, "odd")
        return await it.ended(), it.puts("x")

    ended, x = play(scenario, registry=Registry({"odd": odd}))
    assert (ended.status, x) == (RunStatus.FAILED, [1])
    assert "set.timeout" in ended.message
    assert "TypeError" not in ended.message


def test_a_sequence_takes_lists_tables_and_channels(play):
    @sequence
    async def takes(run: Run, points: Table, axis: Channel, values: list[float]) -> None:
        for row in rows(points):
            await run.set_all(row)
        for value in values:
            await run.set(axis, value)

    async def scenario(it):
        given = {
            "points": {"sim.x": [1, None], "sim.y": [2, 3]},
            "axis": "sim.det",
            "values": "5,6",
        }
        ended = await run_named(it, "takes", **given)
        return ended.message, it.puts("x"), it.puts("y"), it.puts("det")

    registry = Registry(sequences={"takes": takes})
    assert play(scenario, registry=registry) == ("", [1], [2, 3], [5, 6])
