"""How a Python sequence ends: by STOP, ABORT, others, or itself; what it cleans up then, once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import CallError
from orchestrator.types import Command, RunStatus, Told, Verb
from tests.doubles import VirtualTimeLoop, run_virtual
from tests.unit.engine.bench import bench


async def clean(run: Run) -> None:
    await run.set("sim.fin", await run.value("sim.fin") + 1)


@sequence
async def align(run: Run) -> None:
    """As the how-to has it: the last verb of the body may be under way when STOP comes."""
    await run.set("sim.shutter", 1)
    try:
        await run.set("sim.x", 1)
        await run.set("sim.x", 2)
    finally:
        await run.set("sim.shutter", 0)
        await clean(run)


@sequence
async def side_by_side(run: Run) -> None:
    try:
        await run.parallel(run.set("sim.x", 1), run.set("sim.counts", 1))
    finally:
        await run.parallel(run.set("sim.shutter", 0), clean(run))


@sequence
async def gathers(run: Run) -> None:
    try:
        await asyncio.gather(run.set("sim.x", 1), run.delay(0.1))
    finally:
        await asyncio.gather(clean(run), run.delay(0.1))


@asynccontextmanager
async def opened(run: Run):
    await run.set("sim.shutter", 1)
    try:
        yield
    finally:
        await run.delay(0.1)
        await clean(run)


class Opened:
    def __init__(self, run: Run) -> None:
        self.run = run

    async def __aenter__(self) -> None:
        await self.run.set("sim.shutter", 1)

    async def __aexit__(self, *_: object) -> None:
        await self.run.delay(0.1)
        await clean(self.run)


@sequence
async def in_context(run: Run) -> None:
    async with opened(run):
        await run.set("sim.x", 1)
        await asyncio.sleep(0.1)
        await run.set("sim.x", 2)


@sequence
async def in_own_context(run: Run) -> None:
    async with Opened(run):
        await run.set("sim.x", 1)
        await asyncio.sleep(0.1)
        await run.set("sim.x", 2)


@sequence
async def by_handler(run: Run) -> None:
    try:
        await run.set("sim.x", 1)
        await run.delay(0.1)
        await run.set("sim.x", 2)
        raise RuntimeError("at last")
    except BaseException as error:
        await clean(run)
        if not isinstance(error, RuntimeError):
            raise


@sequence
async def stubborn(run: Run) -> None:
    """Takes whatever comes, and goes on."""
    try:
        for n in range(3):
            with suppress(BaseException):
                await run.set("sim.x", n)
            with suppress(BaseException):
                await asyncio.sleep(0.1)
    finally:
        await clean(run)


@sequence
async def in_group(run: Run) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.set("sim.x", 1))
            group.create_task(run.delay(0.2))
            group.create_task(run.set("sim.counts", 1))
    finally:
        await clean(run)


@sequence
async def translates(run: Run) -> None:
    """Makes another exception of a cancellation, and of STOP."""
    try:
        await run.set("sim.x", 1)
        await run.delay(0.2)
    except BaseException as error:
        raise ValueError("something else") from error
    finally:
        await clean(run)


FINISHED_ONCE = [
    align,
    side_by_side,
    gathers,
    in_context,
    in_own_context,
    by_handler,
    stubborn,
    in_group,
    translates,
]
REGISTRY = Registry({f.__name__: f for f in FINISHED_ONCE})


def start(it, name, **args):
    it._ended = asyncio.get_running_loop().create_future()
    it.pull.offer(Command(Verb.START, 1, name, args))


def told(it):
    return [e.text for e in it.events if isinstance(e, Told)]


async def _at(name, number, verb, document=""):
    """Ask for something before the n-th iteration of a run; what was put before and after it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with bench(registry=REGISTRY) as it:
        it.sim.channels["sim.x"].put_takes = 0.1
        it.sim.channels["sim.counts"].put_takes = 0.05
        began, asked = loop.iterations, []

        def ask():
            if it.values("busy") == [1]:
                asked.append(len(it.puts("x")))
                it.ask(verb)

        if number is not None:
            loop.at_iteration(began + number, ask)
        if document:
            it.start(document)
        else:
            start(it, name)
        ended = await it.ended()
        return ended, it.puts("x"), it.puts("fin"), asked, loop.iterations - began, told(it)


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT])
@pytest.mark.parametrize("name", [f.__name__ for f in FINISHED_ONCE])
def test_at_every_moment_the_clean_up_runs_once_and_nothing_else_is_put(name, verb):
    """(a), (b), (c): no put of the body behind STOP's boundary or an ABORT, each finaliser once."""
    undisturbed = run_virtual(_at(name, None, verb))
    number, seen = 1, set()
    while number < undisturbed[4]:
        ended, x, fin, asked, _, _ = run_virtual(_at(name, number, verb))
        entered = bool(x) or bool(fin)
        if asked and entered:
            seen.add(ended.status)
            assert fin == [1], (number, ended)
            # The put that is under way when it is asked for may have left in the same turn.
            assert len(x) <= asked[0] + 1, (number, x, asked)
        if asked and ended.status is RunStatus.SUCCESS:  # it was over already
            assert (x, number > undisturbed[4] - 10) == (undisturbed[1], True), number
        elif asked:
            expected = RunStatus.ABORTED if verb is Verb.ABORT else RunStatus.STOPPED
            assert ended.status is expected, (number, ended)
        number += 1
    assert seen


@pytest.mark.parametrize("name", [f.__name__ for f in FINISHED_ONCE])
@pytest.mark.parametrize("handling", ["continue", "{retry: 3, delay: 1}"])
def test_a_document_s_timeout_is_not_swallowed_by_it(name, handling):
    """(d): a cancellation that was asked for is never replaced by another outcome."""
    steps = f"[{{run: {name}, on_error: {handling}}}, {{set: {{pv: sim.y, value: 1}}}}]"
    document = f"timeout: 0.5\nsteps: {steps}"

    async def main():
        async with bench(registry=REGISTRY) as it:
            it.sim.channels["sim.x"].put_takes = 5
            ended = await it.run(document)
            return ended.status, it.puts("y"), it.puts("fin"), asyncio.get_running_loop().time()

    status, y, fin, at = run_virtual(main())
    assert (status, y, fin) == (RunStatus.TIMEOUT, [], [1])
    assert at < 1000 + 3


@pytest.mark.parametrize("name", ["side_by_side", "align"])
def test_its_clean_up_does_not_wait_for_a_suspender(play, name):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 3
        start(it, name)
        await asyncio.sleep(1)
        it.engine._lanes[""]._control.requests.suspend()
        await asyncio.sleep(1)
        it.ask(Verb.ABORT)
        ended = await it.ended()
        return ended.status, it.puts("fin"), asyncio.get_running_loop().time() - 1000

    status, fin, took = play(scenario, registry=REGISTRY)
    assert (status, fin) == (RunStatus.ABORTED, [1])
    assert took < 4


def raising(error):
    @sequence
    async def raises(run: Run) -> None:
        try:
            await run.set("sim.x", 1)
            raise error
        finally:
            await clean(run)

    return raises


class Unusual(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError("by me"),
        Unusual("odd"),
        StopIteration(1),
        BaseExceptionGroup("several", [Unusual(), ValueError()]),
        ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("inner", [False, True])
def test_whatever_it_raises_ends_the_run_alone(play, error, inner):
    async def scenario(it):
        if inner:
            document = "steps: [{run: raises}]\nfinally: [{set: {pv: sim.y, value: 1}}]"
            first = await it.run(document)
        else:
            start(it, "raises")
            first = await it.ended()
        fin, y = it.puts("fin"), it.puts("y")
        it.events.clear()
        second = await it.run("steps: [{set: {pv: sim.y, value: 2}}]")
        return first, fin, y, second.status

    first, fin, y, second = play(scenario, registry=Registry({"raises": raising(error)}))
    assert first.status is RunStatus.FAILED
    shown = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    assert f"raises raised {shown}" in first.message
    assert (fin, y, second) == ([1], [1] if inner else [], RunStatus.SUCCESS)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize("error", [SystemExit(3), Unusual("odd"), StopIteration(1)], ids=repr)
def test_whatever_a_function_raises_fails_its_step_alone(play, kind, error):
    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    callee = function(plain if kind == "plain" else coroutine)
    registry = Registry(functions={kind: callee})

    async def scenario(it):
        text = f"steps: [{{call: {kind}}}]\nfinally: [{{set: {{pv: sim.fin, value: 1}}}}]"
        return await it.run(text), it.puts("fin")

    ended, fin = play(scenario, registry=registry)
    assert (ended.status, fin) == (RunStatus.FAILED, [1])
    assert f"{kind} raised " in ended.message


def test_an_error_of_a_verb_in_a_task_group_is_told_as_that_error(play):
    @sequence
    async def grouped(run: Run) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.wait("sim.x", above=3, timeout=1))
            group.create_task(run.delay(5))

    async def scenario(it):
        start(it, "grouped")
        return await it.ended()

    ended = play(scenario, registry=Registry({"grouped": grouped}))
    assert ended.status is RunStatus.TIMEOUT
    assert "waited 1 s for sim.x above 3" in ended.message


def test_a_task_that_it_leaves_behind_puts_nothing_after_its_end(play):
    refused = []

    @sequence
    async def leaves(run: Run) -> None:
        async def later() -> None:
            await asyncio.sleep(2)
            try:
                await run.set("sim.x", 1)
            except CallError as error:
                refused.append(str(error))

        run.kept = asyncio.create_task(later())

    async def scenario(it):
        start(it, "leaves")
        ended = await it.ended()
        await asyncio.sleep(5)
        return ended.status, it.puts("x")

    status, x = play(scenario, registry=Registry({"leaves": leaves}))
    assert (status, x) == (RunStatus.SUCCESS, [])
    assert refused
    assert "after its end" in refused[0]


def test_a_verb_without_await_fails_the_run_with_its_line(play):
    @sequence
    async def careless(run: Run) -> None:
        await run.set("sim.x", 1)
        run.set("sim.x", 2)  # here
        await run.set("sim.x", 3)

    @sequence
    async def careless_at_last(run: Run) -> None:
        await run.set("sim.x", 1)
        run.set("sim.x", 2)

    registry = Registry({"careless": careless, "careless_at_last": careless_at_last})

    async def scenario(it):
        results = []
        for name in registry.sequences:
            it.events.clear()
            start(it, name)
            results.append(await it.ended())
        return results, it.puts("x")

    (first, last), x = play(scenario, registry=registry)
    line = careless.__code__.co_firstlineno + 3
    assert first.status is last.status is RunStatus.FAILED
    assert f"{__file__}:{line}: run.set was called without await" in first.message
    assert "run.set was called without await" in last.message
    assert x == [1, 1]


def test_what_it_made_of_stop_in_its_clean_up_is_told_and_decides_nothing(play):
    @sequence
    async def fails_at_the_end(run: Run) -> None:
        try:
            await run.delay(10)
        finally:
            await run.wait("sim.x", above=1, timeout=1)

    async def scenario(it):
        asyncio.get_running_loop().call_later(1, it.ask, Verb.ABORT)
        text = "steps: [{run: fails_at_the_end, on_error: continue}, {set: {pv: sim.y, value: 1}}]"
        ended = await it.run(text)
        return ended.status, it.puts("y"), told(it)

    status, y, texts = play(scenario, registry=Registry({"fails_at_the_end": fails_at_the_end}))
    assert (status, y) == (RunStatus.ABORTED, [])
    assert any("the clean-up of fails_at_the_end failed" in text for text in texts)
