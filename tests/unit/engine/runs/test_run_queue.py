"""The queue of runs."""

from __future__ import annotations

import asyncio
import json

import pytest

from orchestrator.engine import Library
from orchestrator.engine.runs.run_queue import MOST, RunQueue
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import InputError
from orchestrator.language.names import Names
from orchestrator.types import (
    Accepted,
    Command,
    Reply,
    RunEnded,
    RunRefused,
    RunRequest,
    RunStatus,
    Update,
    Verb,
)
from tests.unit.engine.bench import bench

GOOD = "parameters: {to: 1.0}\nsteps: [{delay: 2}, {set: {pv: sim.x, value: $(to)}}]"
BAD = "steps: [{wait: {pv: sim.y, above: 1, timeout: 3}}]"


@pytest.fixture
def queued(play, tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return lambda scenario: play(scenario, directory=tmp_path)


def command(it, text, request=0):
    it.pull.offer(Command(Verb.COMMAND, request, text))


def statuses(it):
    return [e.status.value for e in it.events if isinstance(e, RunEnded)]


def waiting(it):
    return [run["name"] for run in json.loads(it.values("queue")[-1])]


def test_submitted_runs_run_one_after_the_other_in_order(queued):
    async def scenario(it):
        for to in (1, 2, 3):
            command(it, f"submit good to={to}")
        await asyncio.sleep(20)
        return statuses(it), it.puts("x"), it.values("busy"), it.values("queue_len")[-1]

    ran = ["Success"] * 3
    assert queued(scenario) == (ran, [1, 2, 3], [1, 0, 1, 0, 1, 0], 0)


def test_a_full_queue_refuses_a_run_and_keeps_those_that_it_has():
    queue = RunQueue()
    for _ in range(MOST):
        queue.submit(RunRequest(0, "good"))
    with pytest.raises(InputError, match=f"full, {MOST} runs are in it; remove some"):
        queue.submit(RunRequest(0, "more"))
    assert {run.name for run in queue} == {"good"}
    assert len(queue) == MOST
    queue.remove(1)
    queue.submit(RunRequest(0, "more"))


def test_submissions_wait_in_the_order_in_which_they_came_however_long_each_is(tmp_path):
    """Clients that don't wait for the callback send one after the other; on real threads."""
    (tmp_path / "long.yaml").write_text("steps:\n" + "  - {delay: 1}\n" * 2000)
    (tmp_path / "good.yaml").write_text(GOOD)

    def told(it):
        return [event for event in it.events if isinstance(event, Accepted | RunRefused)]

    async def main():
        async with bench(directory=tmp_path) as it:
            for text in ("queue hold", "submit long", "submit good", "queue move 2 1"):
                command(it, text)
            async with asyncio.timeout(60):
                while len(told(it)) < 4:  # noqa: ASYNC110 - it tells only by being asked
                    await asyncio.sleep(0.01)
            return told(it)

    assert asyncio.run(main())[1:] == [
        Accepted(0, "long waits as run 1", 1),
        Accepted(0, "good waits as run 2", 2),
        Accepted(0, "good was moved"),
    ]


def test_between_two_runs_the_service_never_looks_finished(queued):
    async def scenario(it):
        for to in (1, 2, 3):
            command(it, f"submit good to={to}")
        await asyncio.sleep(20)
        busy, length, gaps = 0, 0, []
        for update in it.published:
            if isinstance(update, Update) and update.field in ("busy", "queue_len"):
                busy = update.value if update.field == "busy" else busy
                length = update.value if update.field == "queue_len" else length
                gaps.append(busy or length)
        return gaps

    gaps = queued(scenario)
    first, last = gaps.index(1), len(gaps) - 1
    assert all(gaps[first:last])
    assert gaps[last] == 0


def test_failed_run_stops_the_queue_and_stays_visible(queued):
    async def scenario(it):
        command(it, "submit bad")
        command(it, "submit good")
        await asyncio.sleep(50)
        held = statuses(it), waiting(it), json.loads(it.values("queue")[-1])[0]["ended"]
        it.sim.post("sim.y", 5.0)
        command(it, "queue start")
        await asyncio.sleep(50)
        return held, statuses(it), waiting(it)

    (ended, left, why), after, rest = queued(scenario)
    assert (ended, left) == (["Timeout"], ["bad", "good"])
    assert why.startswith("Timeout: ")
    assert (after, rest) == (["Timeout", "Success", "Success"], [])


def test_queue_can_be_arranged(queued):
    async def scenario(it):
        command(it, "queue hold")
        for to in (1, 2, 3, 4):
            command(it, f"submit good to={to}")
        await asyncio.sleep(1)
        command(it, "queue move 4 1")
        command(it, "queue remove 2")
        await asyncio.sleep(1)
        arranged = [run["number"] for run in json.loads(it.values("queue")[-1])]
        command(it, "queue start")
        await asyncio.sleep(50)
        return arranged, it.puts("x")

    assert queued(scenario) == ([4, 1, 3], [4, 1, 3])


def test_clear_empties_it_but_lets_the_running_one_end(queued):
    async def scenario(it):
        for to in (1, 2, 3):
            command(it, f"submit good to={to}")
        await asyncio.sleep(1)
        command(it, "queue clear")
        await asyncio.sleep(50)
        return it.puts("x"), waiting(it)

    assert queued(scenario) == ([1.0], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("submit goood", "did you mean 'good'?"),
        ("submit good too=3", "did you mean 'to'?"),
        ("queue remove 7", "no run 7 is waiting; waiting are none"),
        ("queue frob", "queue remove N"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(queued, text, said):
    async def scenario(it):
        command(it, text, 9)
        await asyncio.sleep(1)
        return [r for r in it.published if isinstance(r, Reply)], it.values("ack")

    (reply,), acks = queued(scenario)
    assert reply.request == 9
    assert said in reply.error
    assert acks[-1] == 0


def test_accepted_submission_is_acknowledged(queued):
    async def scenario(it):
        command(it, "submit good", 9)
        await asyncio.sleep(0.5)
        return [r for r in it.published if isinstance(r, Reply)], it.values("ack")

    replies, acks = queued(scenario)
    assert replies == [Reply(9)]
    assert acks == [0, 1]


def test_start_goes_before_what_waits_and_the_queue_goes_on_after_it(queued):
    async def scenario(it):
        command(it, "queue hold")
        command(it, "submit good to=2")
        await asyncio.sleep(1)
        await it.run(GOOD, to=1)
        command(it, "queue start")
        await asyncio.sleep(20)
        return it.puts("x")

    assert queued(scenario) == [1.0, 2.0]


def test_file_that_is_deleted_while_it_is_looked_for_is_told_as_missing(tmp_path):
    class Deleting(Library):
        def files(self):
            found = super().files()
            (tmp_path / "good.yaml").unlink(missing_ok=True)
            return found

    (tmp_path / "good.yaml").write_text(GOOD)
    with pytest.raises(InputError, match="no sequence 'good'"):
        Deleting(tmp_path, Names(), Registry()).document("good")


def test_run_that_was_not_queued_and_does_not_succeed_holds_what_waits(queued):
    async def scenario(it):
        command(it, "queue hold")
        command(it, "submit good")
        await asyncio.sleep(1)
        command(it, "queue start")
        it.start(BAD)
        await it.ended()
        await asyncio.sleep(20)
        return statuses(it), waiting(it)

    assert queued(scenario) == (["Timeout"], ["good"])


def test_waiting_runs_are_moved_among_themselves_while_one_runs(queued):
    async def scenario(it):
        for to in (1, 2, 3):
            command(it, f"submit good to={to}")
        await asyncio.sleep(1)
        command(it, "queue move 3 1")
        await asyncio.sleep(20)
        return it.puts("x")

    assert queued(scenario) == [1.0, 3.0, 2.0]


def test_clear_takes_away_what_held_the_queue(queued):
    async def scenario(it):
        command(it, "submit bad")
        await asyncio.sleep(10)
        command(it, "queue clear")
        await asyncio.sleep(1)
        command(it, "submit good")
        await asyncio.sleep(10)
        return statuses(it)

    assert queued(scenario) == ["Timeout", "Success"]


def test_waiting_run_whose_file_is_gone_at_its_turn_is_a_run_that_failed(queued, tmp_path):
    async def scenario(it):
        command(it, "submit good to=1")
        command(it, "submit good to=2")
        await asyncio.sleep(1)
        (tmp_path / "good.yaml").unlink()
        await asyncio.sleep(20)
        return statuses(it), waiting(it), it.values("status")[-1], it.values("message")[-1]

    ran, left, status, message = queued(scenario)
    assert (ran, left, status) == (["Success", "Failed"], ["good"], "Failed")
    assert "no sequence 'good'" in message


def test_runs_within_one_millisecond_have_names_that_sort_as_they_were_run(queued):
    """On the bench the wall clock stands still."""

    async def scenario(it):
        for to in (1, 2, 3):
            command(it, f"submit good to={to}")
        await asyncio.sleep(20)
        return [e.run_id for e in it.events if isinstance(e, RunEnded)]

    assert queued(scenario) == [f"20260131T142501.00{number}Z-wg" for number in range(3)]


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.STOP])
@pytest.mark.parametrize("start_meanwhile", [False, True])
def test_a_queued_run_can_be_ended_while_it_is_read(queued, verb, start_meanwhile):
    """Nobody had reserved the engine for it: the command was taken for one that finds no run."""

    async def scenario(it):
        asyncio.get_running_loop().thread_takes = 5.0
        command(it, "submit good")  # is read a first time, to be refused if it can't be run
        await asyncio.sleep(7)
        if start_meanwhile:
            it.pull.offer(Command(Verb.START, 2, "good"))
            await asyncio.sleep(0.5)
        it.ask(verb)
        await asyncio.sleep(20)
        return statuses(it), it.puts("x"), it.values("busy"), it.values("state")[-1]

    status = {Verb.ABORT: "Aborted", Verb.STOP: "Stopped"}[verb]
    assert queued(scenario) == ([status], [], [1, 0], "Idle")


@pytest.mark.parametrize("text", ["run good", "submit good"])
@pytest.mark.parametrize(
    ("error", "told"), [(OSError("gone"), "OSError: gone"), (InputError("none"), "none")], ids=str
)
def test_a_run_that_is_recorded_and_cant_be_put_together_has_failed(queued, text, error, told):
    """Its journal stayed open, and who had asked for it by CMD was told that it was refused."""

    async def scenario(it):
        it.store.fails = {"begin": error}
        command(it, text, request=1)
        await asyncio.sleep(10)
        ended = [e for e in it.events if isinstance(e, RunEnded | RunRefused)]
        closed = [recorder.closed for recorder in it.store.recorders]
        it.store.fails = {}
        command(it, "queue clear")
        it.events.clear()
        last = await it.run("steps: [{delay: 1}]")
        return ended, closed, last.status.value

    (event,), closed, status = queued(scenario)
    assert isinstance(event, RunEnded)
    assert event.status is RunStatus.FAILED
    assert told in event.message
    assert (closed, status) == ([[RunStatus.FAILED]], "Success")


@pytest.mark.parametrize("where", ["open", "close"])
@pytest.mark.parametrize("text", ["run good", "submit good"])
def test_a_store_that_fails_ends_the_run_and_not_the_service(queued, where, text):
    async def scenario(it):
        it.store.fails = {where: OSError("no such disk")}
        command(it, text, request=1)
        await asyncio.sleep(10)
        ended = [e for e in it.events if isinstance(e, RunEnded | RunRefused)]
        it.store.fails = {}
        it.events.clear()
        command(it, "queue clear")
        return ended, (await it.run("steps: [{delay: 1}]")).status.value

    (event,), status = queued(scenario)
    assert status == "Success"
    told = event.message if isinstance(event, RunEnded) else event.reason
    assert "internal error: OSError: no such disk" in told
