"""What a sub-sequence's finalisers are kept from, while the run around them goes on or is ended."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import RunStatus, Verb

TIDY = "steps: [{delay: 0.5}]\nfinally: [{delay: 5}, {set: {pv: sim.fin, value: 1}}]"


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


@pytest.fixture
def tidying(play, tmp_path):
    (tmp_path / "tidy.yaml").write_text(TIDY)
    return lambda scenario: play(scenario, directory=tmp_path)


def test_failure_of_another_branch_lets_finalisers_under_way_end(tidying):
    fails = "{wait: {pv: sim.y, above: 1, timeout: 1}}"

    async def scenario(it):
        ended = await it.run(f"steps: [{{parallel: [{{run: tidy}}, {fails}]}}]")
        return ended.status, it.puts("fin")

    assert tidying(scenario) == (RunStatus.TIMEOUT, [1.0])


@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.STOP, RunStatus.STOPPED), (Verb.ABORT, RunStatus.ABORTED)]
)
def test_stop_and_abort_let_finalisers_under_way_end(tidying, verb, status):
    async def scenario(it):
        began = asyncio.get_running_loop().time()
        later(1, it.ask, verb)
        ended = await it.run("steps: [{run: tidy}, {set: {pv: sim.x, value: 1}}]")
        took = asyncio.get_running_loop().time() - began
        return ended.status, it.puts("fin"), it.puts("x"), took

    assert tidying(scenario) == (status, [1.0], [], pytest.approx(5.5))


def test_their_timeouts_go_on_while_the_run_is_suspended(play, tmp_path):
    """Suspenders do not act in finalisers: what they wait for must not wait for the beam."""
    (tmp_path / "waits.yaml").write_text(
        "steps: [{delay: 0.5}]\nfinally: [{wait: {pv: sim.y, above: 1, timeout: 5}}]"
    )

    async def scenario(it):
        began = asyncio.get_running_loop().time()
        later(1, it.sim.post, "sim.counts", 1.0)
        ended = await it.run("suspend: {beam: {when: sim.counts > 0}}\nsteps: [{run: waits}]")
        return ended.status, asyncio.get_running_loop().time() - began

    assert play(scenario, directory=tmp_path) == (RunStatus.TIMEOUT, pytest.approx(5.5))


def test_a_suspension_ends_with_the_steps(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 100.0
        later(1, it.sim.post, "sim.counts", 1.0)
        it.start(
            "suspend: {beam: {when: sim.counts > 0}}\n"
            "steps: [{set: {pv: sim.x, value: 1, timeout: 3}}]\nfinally: [{delay: 10}]"
        )
        await asyncio.sleep(2)
        states = [it.values("state")[-1]]
        await asyncio.sleep(3)
        states.append(it.values("state")[-1])
        return states, (await it.ended()).status

    assert play(scenario) == (["Suspended", "Running"], RunStatus.TIMEOUT)


def test_timeout_of_a_sub_sequence_ends_it_by_its_finalisers(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(
        "timeout: 3\nsteps: [{delay: 10}]\nfinally: [{set: {pv: sim.y, value: 1}}]"
    )

    async def scenario(it):
        loop = asyncio.get_running_loop()
        began = loop.time()
        later(1, it.ask, Verb.PAUSE)
        later(5, it.ask, Verb.RESUME)
        ended = await it.run("steps: [{run: sub}, {set: {pv: sim.x, value: 1}}]")
        return ended, loop.time() - began, it.puts("y"), it.puts("x")

    ended, took, closed, after = play(scenario, directory=tmp_path)
    assert (ended.status, took) == (RunStatus.TIMEOUT, pytest.approx(7))
    assert (closed, after) == ([1], [])
    assert "steps[0] run sub: the sequence did not end within its timeout of 3 s" in ended.message


@pytest.mark.parametrize(
    "around",
    [
        # The sibling's failure, the timeout and the abort: each cancels the branch.
        "timeout: 2\nsteps: [{parallel: [{run: sub}, {wait: {pv: sim.x, above: 1, timeout: 1}}]}]",
        "steps: [{delay: 0.2}]\n"
        "finally: [{parallel: [{run: sub}, {wait: {pv: sim.x, above: 1, timeout: 1.8}}]}]",
    ],
)
def test_finalisers_of_a_sub_sequence_are_not_dropped_before_a_third_abort(play, tmp_path, around):
    (tmp_path / "sub.yaml").write_text(
        "steps: [{delay: 1}]\nfinally: [{delay: 5}, {set: {pv: sim.y, value: 1}}]"
    )

    async def scenario(it):
        later(3, it.ask, Verb.ABORT)
        ended = await it.run(around)
        return ended.status, it.puts("y"), asyncio.get_running_loop().time() - 1000

    status, y, took = play(scenario, directory=tmp_path)
    assert (status, y, took) == (RunStatus.ABORTED, [1.0], pytest.approx(6.1, abs=0.11))


@pytest.mark.parametrize(
    ("takes", "written", "took"),
    [(0.3, [6.0], 1.3), (float("inf"), [], 1.5)],
    ids=["answers", "not"],
)
def test_what_a_finaliser_reads_has_half_a_second_after_a_second_abort(play, takes, written, took):
    """It would fail otherwise, and leave undone what it was to do."""

    async def scenario(it):
        began = asyncio.get_running_loop().time()
        it.sim.post("sim.y", 5.0)
        later(0.9, setattr, it.sim.channels["sim.y"], "get_takes", takes)
        later(1.0, it.ask, Verb.ABORT)
        later(1.2, it.ask, Verb.ABORT)
        ended = await it.run(
            "steps: [{set: {pv: sim.x, value: 1}}, {delay: 9}]\n"
            "finally: [{set: {pv: sim.fin, value: '=sim.y + 1'}}]"
        )
        return ended.status, it.puts("fin"), asyncio.get_running_loop().time() - began

    assert play(scenario) == (RunStatus.ABORTED, written, pytest.approx(took, abs=0.05))
