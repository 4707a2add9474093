"""An end that was asked for stands: no put leaves after it, and nothing turns it into another."""

from __future__ import annotations

import asyncio
import math
from functools import partial

import pytest

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.finalising import cleaning_up
from orchestrator.engine.python.decorators import function
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import RunStatus, Verb
from tests.doubles import run_virtual
from tests.unit.engine.bench import at_iteration

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
    """Up to Python 3.12 such a group leaves its task with a cancellation too many."""

    async def scenario(it):
        call = "{call: {function: fails_within, args: {seconds: 1}}, on_error: continue}"
        later(3, it.ask, Verb.ABORT)
        ended = await it.run(f"steps: [{call}, {MOVE}, {{delay: 9}}]{FINALLY}")
        return result(it, ended), ended.message

    got, message = play(scenario, registry=MISBEHAVING)
    assert got == (RunStatus.ABORTED, [1.0], [1.0])
    assert message.startswith("aborted")


def test_stop_ends_a_delay_that_begins_after_it(play):
    """Between two tries: the move under way is awaited, what follows is not."""

    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 50.0
        tried = "{set: {pv: sim.x, value: 1, timeout: 3}, on_error: {retry: 3, delay: 16}}"
        later(1, it.ask, Verb.STOP)
        ended = await it.run(f"steps: [{tried}]{FINALLY}")
        return ended.status, it.puts("fin"), asyncio.get_running_loop().time() - 1000

    assert play(scenario) == (RunStatus.STOPPED, [1.0], pytest.approx(3.0))


@pytest.mark.parametrize(
    "step",
    [
        "{set: {pv: sim.y, value: =sim.counts}}",
        "{sample: {channels: [sim.counts], timeout: 9}}",
        "{set: {pv: sim.y, value: 1, settle: 9}}",
        "{call: {function: swallows_it, args: {seconds: 9}}}",
    ],
)
def test_what_begins_after_a_second_abort_is_waited_for_briefly(play, step):
    async def scenario(it):
        it.sim.channels["sim.counts"].get_takes = 4.0
        for at in (1, 2.5):
            later(at, it.ask, Verb.ABORT)
        put = "{set: {pv: sim.det, value: 1}}"
        ended = await it.run(
            f"steps: [{{delay: 9}}]\nfinally: [{put}, {{delay: 2}}, {step}, "
            "{set: {pv: sim.fin, value: 1}}]"
        )
        return ended.status, it.puts("fin"), asyncio.get_running_loop().time() - 1000

    status, fin, took = play(scenario, registry=MISBEHAVING)
    assert (status, fin, took) == (RunStatus.ABORTED, [1.0], pytest.approx(3.5))


def test_a_fresh_read_that_is_answered_at_once_is_made_after_a_second_abort_too(play):
    async def scenario(it):
        for at in (1, 2):
            later(at, it.ask, Verb.ABORT)
        await it.run(
            "steps: [{delay: 9}]\nfinally: [{set: {pv: sim.x, value: 3}}, {delay: 2}, "
            "{set: {pv: sim.fin, value: =sim.x}}]"
        )
        return it.puts("fin")

    assert play(scenario) == [3.0]


def test_a_timeout_of_a_sub_sequence_goes_on_where_the_run_comes_back_into_it(play, tmp_path):
    (tmp_path / "sub.yaml").write_text("timeout: 10\nsteps: [checkpoint, {delay: 8}]")

    async def scenario(it):
        later(5, it.sim.post, "sim.gate", 1.0)
        later(6, it.sim.post, "sim.gate", 0.0)
        suspend = "suspend: {beam: {when: sim.gate > 0, rewind: checkpoint}}"
        ended = await it.run(f"{suspend}\nsteps: [{{run: sub}}]")
        return ended.status, asyncio.get_running_loop().time() - 1000

    # 5 s of it had gone by, and 1 s in which its clock stood still.
    assert play(scenario, directory=tmp_path) == (RunStatus.TIMEOUT, pytest.approx(11.0))


def test_what_a_third_abort_drops_is_told_by_name(play, tmp_path):
    (tmp_path / "sub.yaml").write_text("steps: [{delay: 9}]\nfinally: [{delay: 50}]")

    async def scenario(it):
        for at in (1, 2, 3):
            later(at, it.ask, Verb.ABORT)
        return await it.run("steps: [{run: sub}]\nfinally: [{delay: 50}]")

    ended = play(scenario, directory=tmp_path)
    assert ended.status is RunStatus.ABORTED
    assert "the finalisers of sub were dropped; the finalisers were dropped" in ended.message


def test_finalisers_that_are_dropped_begin_nothing(play):
    async def scenario(it):
        it.start("steps: [{delay: 9}]\nfinally: [{set: {pv: sim.fin, value: 1}}]")
        await asyncio.sleep(1)
        for _ in range(3):
            it.ask(Verb.ABORT)
        return (await it.ended()).message, it.puts("fin")

    assert play(scenario) == ("aborted; the finalisers were dropped", [])


def test_what_moves_is_stopped_though_its_step_is_ended_twice(play):
    """By the failure of another branch, and by an abort while the stop waits for its turn."""

    async def scenario(it):
        for name in ("y", "stop"):
            it.sim.channels[f"sim.{name}"].put_takes = 50.0
        later(1.0, it.ask, Verb.ABORT)
        later(1.0, it.ask, Verb.ABORT)
        later(1.0, it.ask, Verb.ABORT)
        fails = "{wait: {pv: sim.x, above: 1, timeout: 1}}"
        ended = await it.run(f"steps: [{{parallel: [{{set: {{pv: sim.y, value: 1}}}}, {fails}]}}]")
        return ended.status, it.puts("stop")

    assert play(scenario) == (RunStatus.ABORTED, [1])


@pytest.mark.parametrize("at", [1.0, 2.5])
def test_what_moves_is_stopped_though_an_abort_comes_while_its_readback_is_read(play, at):
    """Before the timeout, and while the readback is read once more behind it."""

    async def scenario(it):
        it.sim.channels["sim.x_rbv"].get_takes = math.inf
        it.sim.channels["sim.y"].on_put = lambda channel, value: None
        later(at, it.ask, Verb.ABORT)
        step = "{set: {pv: sim.y, value: 1, completion: false, readback: sim.x_rbv, timeout: 2}}"
        ended = await it.run(f"steps: [{step}]")
        return ended.status, it.puts("stop")

    assert play(scenario) == (RunStatus.ABORTED, [1])


def test_suspenders_of_a_sub_sequence_let_go_though_an_end_comes_twice(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(
        "suspend: {beam: {when: sim.gate > 0}}\nsteps: [{delay: 9}]\n"
        "finally: [{set: {pv: sim.text, value: 1}}]"
    )

    async def scenario(it):
        later(1, it.sim.post, "sim.gate", 1.0)
        later(2, it.ask, Verb.ABORT)
        ended = await it.run(f"steps: [{{run: sub}}]{FINALLY}")
        return ended.status, it.puts("text"), it.puts("fin"), it.values("state")[-2:]

    assert play(scenario, directory=tmp_path) == (
        RunStatus.ABORTED,
        [1.0],
        [1.0],
        ["Aborting", "Idle"],
    )


def test_an_abort_is_no_try_that_has_failed(play):
    """The function makes an error of it: nothing waits for the next try, or tells of it."""

    @function
    async def deaf() -> None:
        try:
            await asyncio.sleep(99)
        except asyncio.CancelledError:
            raise ValueError("never heard of it") from None

    async def scenario(it):
        later(1, it.ask, Verb.ABORT)
        call = "{call: {function: deaf}, on_error: {retry: 3, delay: 30}}"
        ended = await it.run(f"steps: [{call}, {MOVE}]{FINALLY}")
        told = [message for message in it.values("message") if "try 1" in message]
        return result(it, ended), asyncio.get_running_loop().time() - 1000, told

    registry = Registry(functions={"deaf": deaf})
    assert play(scenario, registry=registry) == (ABORTED, pytest.approx(1.0), [])


def test_a_finaliser_that_raises_a_cancellation_of_its_own_drops_none_before_a_third_abort(play):
    @function
    async def gives_up() -> None:
        raise asyncio.CancelledError

    async def scenario(it):
        for at in (1, 2):
            later(at, it.ask, Verb.ABORT)
        last = "{call: {function: gives_up}}, {set: {pv: sim.fin, value: 1}}"
        ended = await it.run(f"steps: [{{delay: 9}}]\nfinally: [{{delay: 3}}, {last}]")
        return result(it, ended)

    assert play(scenario, registry=Registry(functions={"gives_up": gives_up})) == ABORTED


@pytest.mark.parametrize("aborts", [0, 1, 2, 3])
def test_a_finaliser_s_put_may_leave_until_a_third_abort(aborts):
    async def look():
        control = RunControl(lambda _state: None)
        control.requests.begun()
        with cleaning_up():
            permit = control.permit("sim.fin")
        for _ in range(aborts):
            control.requests.abort()
        permit()

    if aborts < 3:
        run_virtual(look())
        return
    with pytest.raises(asyncio.CancelledError):
        run_virtual(look())
