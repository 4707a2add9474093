"""An end that was asked for stands: no put leaves after it, and nothing turns it into another."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from orchestrator.engine.registry import Registry, function
from orchestrator.types import RunStatus, Verb

from .bench import at_iteration

FINALLY = "\nfinally: [{set: {pv: sim.fin, value: 1}}]"
MOVE = "{set: {pv: sim.x, value: 1}}"
ABORTED = (RunStatus.ABORTED, [], [1.0])


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


def result(it, ended):
    return ended.status, it.puts("x"), it.puts("fin")


PAUSED = {
    "at a question": f"steps: [{{ask: is it in?}}, {MOVE}]",
    "before a step": f"steps: [{{delay: 1}}, {MOVE}]",
    "in a group": f"steps: [{{group: [{{delay: 1}}, {MOVE}]}}]",
    "in branches": f"steps: [{{parallel: [{{group: [{{delay: 1}}, {MOVE}]}}, {{delay: 9}}]}}]",
    "in inner branches": "steps: [{parallel: [{parallel: [{group: [{delay: 1}, {log: a}, "
    f"{MOVE}]}}, {{delay: 9}}]}}, {{delay: 9}}]}}]",
    "with a question in a branch": "steps: [{parallel: [{group: [{ask: go?}, {log: a}, {log: b}, "
    f"{MOVE}]}}, {{delay: 9}}]}}]",
    "before a pass": "steps: [{loop: {pv: sim.x, values: [1, 2]}, do: [{delay: 1}]}]",
    "between tries": "steps: [{wait: {pv: sim.y, equals: 5, timeout: 1}, "
    f"on_error: {{retry: 2}}}}, {MOVE}]",
}


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.STOP])
@pytest.mark.parametrize("kind", PAUSED)
def test_a_paused_run_that_is_ended_performs_no_further_step(play, kind, verb):
    async def scenario(it):
        later(0.5, it.ask, Verb.PAUSE)
        it.start(PAUSED[kind] + FINALLY)
        await asyncio.sleep(20)
        assert it.values("state")[-1] == "Paused"
        before = it.puts("x")
        it.ask(verb)
        ended = await it.ended()
        return before, result(it, ended)

    before, (status, x, fin) = play(scenario)
    assert (x, fin) == (before, [1.0])
    assert status is (RunStatus.ABORTED if verb is Verb.ABORT else RunStatus.STOPPED)


def test_no_put_leaves_that_an_earlier_one_has_held_back_until_the_abort(play):
    """It waits for the completion of the put before it, which comes at the same moment."""

    async def scenario(it, number):
        it.sim.channels["sim.x"].put_takes = 5.0
        puts = "{set: {pv: sim.x, value: 1, timeout: 1}, on_error: continue}, "
        puts += "{set: {pv: sim.x, value: 2}}"
        branch = f"{{parallel: [{{group: [{puts}]}}, {{delay: 9}}]}}"
        it.start(f"steps: [{{parallel: [{branch}, {{delay: 9}}]}}]")
        await asyncio.sleep(4.999)
        at_iteration(number, lambda: it.ask(Verb.ABORT))
        ended = await it.ended()
        return ended.status, len(it.sim.channels["sim.x"].puts) - it.puts_at_abort["sim.x"]

    for number in range(1, 12):
        assert play(partial(scenario, number=number)) == (RunStatus.ABORTED, 0), number


SUB = "steps: [{delay: 9}]\nfinally: [{delay: 1}, {wait: {pv: sim.y, equals: 5, timeout: 1}}]"


@pytest.fixture
def with_sub(play, tmp_path):
    """Play a scenario beside a sub-sequence `sub` whose finaliser fails."""
    (tmp_path / "sub.yaml").write_text(SUB)
    return lambda scenario: play(scenario, directory=tmp_path)


HANDLERS = ["continue", "{retry: 3}", "[{log: handled}]"]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("around", ["{}", "{{group: [{}, {{log: a}}]}}"])
def test_an_abort_is_no_error_that_a_failing_finaliser_could_make_of_it(with_sub, handler, around):
    async def scenario(it):
        later(1, it.ask, Verb.ABORT)
        sub = around.format(f"{{run: sub, on_error: {handler}}}")
        ended = await it.run(f"steps: [{sub}, {MOVE}]{FINALLY}")
        return result(it, ended), asyncio.get_running_loop().time() - 1000, ended.message

    got, took, message = with_sub(scenario)
    assert (got, took) == (ABORTED, pytest.approx(3.0))
    assert "a finaliser of sub failed" in message


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_sibling_s_failure_is_not_undone_by_a_failing_finaliser(with_sub, handler):
    async def scenario(it):
        fails = "{wait: {pv: sim.counts, above: 1, timeout: 1}}"
        branch = f"{{group: [{{run: sub, on_error: {handler}}}, {MOVE}]}}"
        ended = await it.run(f"steps: [{{parallel: [{branch}, {fails}]}}]{FINALLY}")
        return result(it, ended), asyncio.get_running_loop().time() - 1000, ended.message

    got, took, message = with_sub(scenario)
    assert (got, took) == ((RunStatus.TIMEOUT, [], [1.0]), pytest.approx(3.0))
    assert "waited 1 s for sim.counts above 1" in message
    assert "a finaliser of sub failed" in message


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_timeout_of_the_document_is_not_undone_by_a_failing_finaliser(with_sub, handler):
    async def scenario(it):
        ended = await it.run(
            f"timeout: 0.5\nsteps: [{{run: sub, on_error: {handler}}}, {MOVE}]{FINALLY}"
        )
        return result(it, ended), asyncio.get_running_loop().time() - 1000, ended.message

    got, took, message = with_sub(scenario)
    assert (got, took) == ((RunStatus.TIMEOUT, [], [1.0]), pytest.approx(2.5))
    assert "did not end within its timeout of 0.5 s" in message
    assert "a finaliser of sub failed" in message


def test_an_error_of_the_steps_is_told_rather_than_that_of_their_finaliser(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(
        "steps: [{wait: {pv: sim.x, above: 1, timeout: 1}}]\n"
        "finally: [{wait: {pv: sim.y, above: 1, timeout: 1}}, {set: {pv: sim.det, value: 1}}]"
    )

    async def scenario(it):
        ended = await it.run("steps: [{run: sub}]")
        return ended.message, it.puts("det")

    message, det = play(scenario, directory=tmp_path)
    assert det == [1.0]
    assert message.index("sim.x above 1") < message.index("a finaliser of sub failed")


@function
async def turns_it_into_an_error(seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        raise ValueError("cancelled? never heard of it") from None


@function
async def swallows_it(seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return


@function
async def fails_within(seconds: float) -> None:
    async def fail() -> None:
        await asyncio.sleep(seconds)
        raise ValueError("no")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())


MISBEHAVING = Registry(
    functions={f.__name__: f for f in (turns_it_into_an_error, swallows_it, fails_within)}
)
CALL = "{{call: {{function: {}, args: {{seconds: 9}}}}, on_error: {}}}"
DEAF = ["turns_it_into_an_error", "swallows_it"]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", DEAF)
@pytest.mark.parametrize(
    ("around", "status"),
    [
        ("steps: [{}, {}]", RunStatus.ABORTED),
        ("timeout: 1\nsteps: [{}, {}]", RunStatus.TIMEOUT),
        (
            "steps: [{{parallel: [{{group: [{}, {}]}}, "
            "{{wait: {{pv: sim.y, above: 1, timeout: 1}}}}]}}]",
            RunStatus.TIMEOUT,
        ),
    ],
)
def test_a_function_can_t_refuse_to_be_ended(play, name, handler, around, status):
    async def scenario(it):
        if status is RunStatus.ABORTED:
            later(1, it.ask, Verb.ABORT)
        ended = await it.run(around.format(CALL.format(name, handler), MOVE) + FINALLY)
        return result(it, ended), asyncio.get_running_loop().time() - 1000

    assert play(scenario, registry=MISBEHAVING) == ((status, [], [1.0]), pytest.approx(1.0))


@pytest.mark.parametrize("name", DEAF)
def test_a_function_that_is_deaf_to_its_timeout_has_timed_out(play, name):
    async def scenario(it):
        call = f"{{call: {{function: {name}, args: {{seconds: 9}}, timeout: 1}}}}"
        return await it.run(f"steps: [{call}]")

    ended = play(scenario, registry=MISBEHAVING)
    assert (ended.status, f"{name} did not return within 1 s" in ended.message) == (
        RunStatus.TIMEOUT,
        True,
    )


def test_a_function_with_a_group_of_tasks_leaves_the_run_as_it_was(play):
    """Until Python 3.12 such a group leaves its task with a cancellation too many."""

    async def scenario(it):
        call = "{call: {function: fails_within, args: {seconds: 1}}, on_error: continue}"
        later(3, it.ask, Verb.ABORT)
        ended = await it.run(f"steps: [{call}, {MOVE}, {{delay: 9}}]{FINALLY}")
        return result(it, ended), ended.message

    got, message = play(scenario, registry=MISBEHAVING)
    assert got == (RunStatus.ABORTED, [1.0], [1.0])
    assert message.startswith("aborted")
