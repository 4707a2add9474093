"""`race`: the first branch to end decides, the others are ended."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Progressed, RunStatus, Verb
from tests.unit.language.program.test_compiler import findings


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


async def timed(it, text):
    began = asyncio.get_running_loop().time()
    ended = await it.run(text)
    return ended, asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(("at", "first", "took"), [(2, "beam lost", 2), (90, "delay 5", 5)])
def test_the_first_to_end_is_named_and_ends_the_others(play, at, first, took):
    async def scenario(it):
        later(at, it.sim.post, "sim.x", 9.0)
        ended, seconds = await timed(
            it,
            "steps: [{race: [{delay: 5}, {wait: {pv: sim.x, above: 5, timeout: none}, "
            "name: beam lost}], as: first}, {log: $(first)}, "
            "{if: first == 'beam lost', then: [{set: {pv: sim.det, value: 1}}]}]",
        )
        return ended.status, it.values("message")[-1], len(it.puts("det")), seconds

    wanted = (RunStatus.SUCCESS, first, int(at == 2), pytest.approx(took, abs=0.1))
    assert play(scenario) == wanted


def test_what_moves_in_another_branch_is_stopped(play):
    async def scenario(it):
        it.sim.channels["sim.y"].put_takes = 60.0
        ended, seconds = await timed(
            it, "steps: [{race: [{set: {pv: sim.y, value: 5, timeout: 99}}, {delay: 2}]}]"
        )
        return ended.status, it.puts("stop"), seconds

    assert play(scenario) == (RunStatus.SUCCESS, [1.0], pytest.approx(2, abs=0.1))


def test_a_failure_that_comes_first_is_the_races(run):
    ended, _ = run("steps: [{race: [{delay: 5}, {group: [{delay: 1}, {fail: bad}]}]}]")
    assert ended.status is RunStatus.FAILED
    ended, _ = run("steps: [{race: [{delay: 1}, {group: [{delay: 5}, {fail: bad}]}]}]")
    assert ended.status is RunStatus.SUCCESS


def test_its_progress_goes_to_the_end(run):
    _, it = run("steps: [{race: [{delay: 1}, {loop: {count: 50}, do: [{delay: 1}]}]}, {delay: 1}]")
    [*_, last] = [event for event in it.events if isinstance(event, Progressed)]
    assert last.percent == 100


@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.STOP, RunStatus.STOPPED), (Verb.ABORT, RunStatus.ABORTED)]
)
def test_stop_and_abort_end_all_branches(play, verb, status):
    async def scenario(it):
        later(1, it.ask, verb)
        return await timed(
            it,
            "steps: [{race: [{delay: 9}, {group: [{delay: 8}, {delay: 1}]}]}, "
            "{set: {pv: sim.det, value: 1}}]\nfinally: [{set: {pv: sim.fin, value: 1}}]",
        ) + (it.puts("det"), it.puts("fin"))

    ended, took, det, fin = play(scenario)
    assert (ended.status, det, fin) == (status, [], [1])
    assert took == pytest.approx(1, abs=0.1)


def test_skip_ends_the_innermost_step_of_every_branch(play):
    async def scenario(it):
        later(1, it.ask, Verb.SKIP)
        return await timed(
            it,
            "steps: [{race: [{group: [{delay: 9}, {delay: 2}]}, {group: [{delay: 9}, "
            "{delay: 4}]}]}]",
        )

    ended, took = play(scenario)
    assert (ended.status, took) == (RunStatus.SUCCESS, pytest.approx(3, abs=0.1))


def test_a_sequence_in_a_branch_runs_its_finalisers(play, tmp_path):
    (tmp_path / "inner.yaml").write_text(
        "steps: [{delay: 50}]\nfinally: [{delay: 1}, {set: {pv: sim.fin, value: 1}}]"
    )

    async def scenario(it):
        ended, took = await timed(it, "steps: [{race: [{run: inner}, {delay: 2}]}]")
        return ended.status, it.puts("fin"), took

    wanted = (RunStatus.SUCCESS, [1], pytest.approx(3, abs=0.1))
    assert play(scenario, directory=tmp_path) == wanted


def test_two_branches_that_put_to_one_channel_are_refused(run):
    ended, it = run("steps: [{race: [{set: {pv: sim.x, value: 1}}, {set: {pv: sim.x, value: 2}}]}]")
    assert "is put by two branches at the same time" in getattr(ended, "message", str(ended))
    assert it.puts("x") == []


def test_the_name_of_the_first_holds_behind_it_alone():
    [line] = findings("steps: [{log: $(first)}, {race: [{delay: 1}], as: first}]")
    assert "undefined name '$(first)'" in line


# Python ----------------------------------------------------------------------------------------


def played(play, sequence):
    async def scenario(it):
        return await timed(it, "steps: [{run: racing}]")

    return play(scenario, registry=Registry({"racing": sequence}, {}))


def test_in_python_it_gives_the_index_of_the_first(play):
    got = []

    async def racing(run):
        got.append(await run.race(run.delay(9), run.delay(2), run.until("sim.x > 5", timeout=None)))

    ended, took = played(play, racing)
    assert (ended.status, got, took) == (RunStatus.SUCCESS, [1], pytest.approx(2, abs=0.1))


def test_in_python_its_failure_is_raised(play):
    async def racing(run):
        await run.race(run.delay(9), run.wait("sim.x", above=5, timeout=1))

    ended, _ = played(play, racing)
    assert ended.status is RunStatus.TIMEOUT


def test_in_python_it_takes_at_least_one_verb(play):
    async def racing(run):
        await run.race()

    ended, _ = played(play, racing)
    assert "run.race takes at least one verb" in ended.message
