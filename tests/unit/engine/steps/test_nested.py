"""The orchestrator as master of sequence servers, on virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.sequences.registry import Registry
from orchestrator.engine.steps.server_master import Memory
from orchestrator.errors import OrchestratorError
from orchestrator.language.text.indices import LARGEST
from orchestrator.types import (
    Command,
    IndicesSet,
    RunEnded,
    RunStatus,
    Severity,
    StepStarted,
    Told,
    Verb,
)
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench

LOAD = "{trajectories: {servers: {stage: [0, 1, 2], laser: 'linear(start=10, end=11, step=1)'}}}"
WALK = "{nested: {over: [laser, stage]}, do: [{sample: [sim.counts]}]}"


def asked(it: Bench) -> list[dict[str, int]]:
    """The index objects that were published and ask somebody, without their seq."""
    objects = [json.loads(e.text) for e in it.events if isinstance(e, IndicesSet)]
    return [{k: v for k, v in o.items() if k != "seq"} for o in objects if len(o) > 1]


def told(it: Bench) -> str:
    return "\n".join(e.text for e in it.events if isinstance(e, Told))


def play(steps: str, *acts: tuple[float, Any], **takes: float) -> tuple[Bench, RunEnded]:
    async def main() -> tuple[Bench, RunEnded]:
        async with bench() as it:
            for name, seconds in takes.items():
                it.servers[name].takes = seconds
            for at, act in acts:
                asyncio.get_running_loop().call_later(at, act, it)
            ended = await it.run(f"steps: {steps}")
            await it.pull.idle()
            await it.push.idle()
            assert isinstance(ended, RunEnded)
            watched = [it.device.table.channel(f"{name}.INDEX") for name in ("stage", "laser")]
            assert not any(channel.watchers for channel in watched), "nobody watches any more"
            return it, ended

    return run_virtual(main())


def test_indices_are_walked_outermost_first_and_every_server_waited_for() -> None:
    it, ended = play(f"[{LOAD}, {WALK}]", stage=0.5, laser=2)
    assert ended.status is RunStatus.SUCCESS, ended.message
    points = [(laser, stage) for laser in range(2) for stage in range(3)]
    assert asked(it) == [{"laser": i, "stage": k} for i, k in points]
    assert [item for _, item in it.servers["stage"].moves] == [0, 1, 2, 0, 1, 2]
    assert [item for _, item in it.servers["laser"].moves] == [10, 10, 10, 11, 11, 11]
    assert [loops for loops, _ in it.store.recorders[0].rows] == points
    seqs = [seq for seq, _ in it.servers["stage"].moves]
    assert len(set(seqs)) == 6
    assert seqs == sorted(seqs)
    assert it.values("nested_indices")[-1] == json.dumps({"seq": seqs[-1] + 1})  # asks nobody
    steps = [e for e in it.events if isinstance(e, StepStarted)]
    assert steps[-1].done == 1 + 6 + 5  # the load, points, samples


def test_chosen_indices_and_expressions_as_trajectories() -> None:
    it, ended = play(
        "[{let: {a: 3}}, {trajectories: {servers: {stage: ['=a', $(a), {x: '=a + 1'}, up]}}},"
        " {nested: {over: {stage: [3, 0]}}}, {nested: {over: {stage: all}}}]"
    )
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert it.servers["stage"].text == '[3, 3, {"x": 4}, "up"]'
    assert [item for _, item in it.servers["stage"].moves] == ["up", 3, 3, 3, {"x": 4}, "up"]


def test_a_server_that_was_restarted_is_loaded_again_and_its_index_repeated() -> None:
    it, ended = play(
        f"[{LOAD}, {WALK}]", (2.5, lambda it: it.servers["stage"].restart(8)), stage=1, laser=1
    )
    assert ended.status is RunStatus.SUCCESS, ended.message
    stage, laser = it.servers["stage"].moves, it.servers["laser"].moves
    assert len(laser) == len({seq for seq, _ in laser}) == 6  # not one of them twice
    twice = [seq for seq, _ in stage if [s for s, _ in stage].count(seq) > 1]
    assert (len(stage), len(twice)) == (7, 2)  # it was on its way when it went
    assert "stage has lost its trajectory (restarted?)" in told(it)
    assert len(it.store.recorders[0].rows) == 6


def test_one_that_was_restarted_between_two_points_is_loaded_before_the_next() -> None:
    steps = f"[{LOAD}, {{nested: {{over: [stage]}}, do: [{{delay: 10}}]}}]"
    it, ended = play(steps, (5, lambda it: it.servers["stage"].restart(1)))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert [item for _, item in it.servers["stage"].moves] == [0, 1, 2]
    assert len({seq for seq, _ in it.servers["stage"].moves}) == 3
    assert "restarted" in told(it)


def test_an_index_that_can_t_be_reached_fails_with_the_servers_reason() -> None:
    it, ended = play(
        f"[{LOAD}, {WALK}]", (0.5, lambda it: setattr(it.servers["laser"], "fails", True)), stage=1
    )
    assert ended.status is RunStatus.FAILED
    assert "laser, index 0 (seq" in ended.message
    assert "no way there" in ended.message
    assert it.values("nested_indices")[-1].count(":") == 1


def test_an_alarm_from_before_is_none_of_this_index() -> None:
    def fail(it: Bench, value: bool) -> None:
        it.servers["laser"].fails = value

    walk = "{nested: {over: [laser]}, on_error: continue}"
    it, ended = play(
        f"[{LOAD}, {walk}, {{delay: 5}}, {{nested: {{over: [laser]}}}}]",
        (0.0, lambda it: fail(it, True)),
        (2.0, lambda it: fail(it, False)),
    )
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert [item for _, item in it.servers["laser"].moves] == [10, 11]


def test_a_server_that_does_not_arrive_is_told_with_what_it_shows() -> None:
    steps = f"[{LOAD}, {{nested: {{over: [laser, stage], timeout: 3}}}}]"
    it, ended = play(steps, stage=100)
    assert ended.status is RunStatus.TIMEOUT
    assert "not reached within 3 s: stage, index 0 (seq" in ended.message
    assert "stage.INDEX is [-1, -1], stage.ACK was last seen at 0" in ended.message
    assert "laser, index" not in ended.message
    assert "it says" not in ended.message  # what a server says in passing is no reason
    assert "may still be on their way: stage, index 0" in told(it)


def test_a_server_that_does_not_find_its_master_is_told_with_what_it_says() -> None:
    def alone(it: Bench) -> None:
        it.servers["stage"].say("TOP:Nested_Indices is not connected", Severity.MINOR)

    steps = f"[{LOAD}, {{nested: {{over: [stage], timeout: 3}}}}]"
    _, ended = play(steps, (1, alone), stage=100)
    assert "stage.ACK was last seen at 0; it says 'TOP:Nested_Indices is not" in ended.message


@pytest.mark.parametrize("lost", ["fail", "wait"])
def test_a_lost_server_is_waited_for_unless_it_is_to_fail(lost: str) -> None:
    steps = f"[{LOAD}, {{nested: {{over: [stage]}}, on_disconnect: {lost}, do: [{{delay: 1}}]}}]"
    _, ended = play(steps, (1.5, lambda it: it.servers["stage"].restart(5)), stage=1)
    assert ended.status is (RunStatus.FAILED if lost == "fail" else RunStatus.SUCCESS)
    assert lost == "wait" or "stage, index 1" in ended.message or "disconnected" in ended.message


def test_a_trajectory_that_a_server_refuses_is_told_with_its_reason() -> None:
    def broken(it: Bench) -> None:
        channel = it.sim.channels["stage.CMD"]

        def refuse(*_: object) -> None:
            it.servers["stage"]._post("ACK", 0)
            it.servers["stage"]._refuse("not today")

        channel.on_put = refuse

    _, ended = play(f"[{{delay: 1}}, {LOAD}]", (0.0, broken))
    assert ended.status is RunStatus.FAILED
    assert "stage refused its trajectory: not today" in ended.message


def test_what_no_step_has_loaded_is_walked_as_it_is_shown() -> None:
    def load(it: Bench) -> None:
        it.servers["stage"]._put(None, "[4, 5, 6]")

    it, ended = play("[{delay: 1}, {nested: {over: [stage]}}]", (0.5, load))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert [item for _, item in it.servers["stage"].moves] == [4, 5, 6]
    assert "no step before loads stage" in told(it)
    _, ended = play("[{nested: {over: [stage]}}]")
    assert "stage, index 0" in ended.message
    assert "no trajectory is loaded" in ended.message


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            "[{trajectories: {servers: {stag: [1]}}}]",
            "no sequence server 'stag'; did you mean 'stage'",
        ),
        ("[{trajectories: {servers: {stage: 'linear(start=0, end=1, step=-1)'}}}]", "leads away"),
        ("[{trajectories: {servers: {stage: []}}}]", "expected a list, or text"),
        ("[{trajectories: {servers: {stage: [[1]]}}}]", "an item is a number, a text or arguments"),
        (
            f"[{LOAD}, {{nested: {{over: {{stage: [0, 3]}}}}}}]",
            "stage has no index 3: 0 … 2 are loaded",
        ),
        ("[{nested: {over: [stage, stage]}}]", "'stage' stands twice"),
        ("[{nested: {over: {stage: [-1]}}}]", "a list of indices from 0"),
        (f"[{LOAD}, {{parallel: [{WALK}, {WALK}]}}]", "Nested_Indices is put by two branches"),
        (f"[{{parallel: [{LOAD}, {LOAD}]}}]", "stage.CMD is put by two branches"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_written(steps: str, why: str) -> None:
    it, ended = play(steps)
    assert ended.status is RunStatus.FAILED
    assert why in ended.message
    assert it.sim.channels["stage.CMD"].puts == []


def test_a_skip_goes_on_with_the_steps_of_the_point() -> None:
    it, ended = play(f"[{LOAD}, {WALK}]", (1.0, lambda it: it.ask(Verb.SKIP)), stage=1.5)
    assert ended.status is RunStatus.SUCCESS
    assert len(it.store.recorders[0].rows) == 6
    assert "may still be on their way: stage, index 0" in told(it)


def test_finalisers_walk_too_and_wait_for_nothing_after_a_second_abort() -> None:
    def play_aborted(aborts: int) -> None:
        async def main() -> tuple[Bench, RunEnded, float]:
            async with bench() as it:
                it.servers["stage"].takes = 50
                began = asyncio.get_running_loop().time()
                for _ in range(aborts):
                    asyncio.get_running_loop().call_later(1, it.ask, Verb.ABORT)
                ended = await it.run(
                    f"steps: [{LOAD}, {{delay: 9}}]\n"
                    "finally: [{nested: {over: {stage: [1]}, timeout: 60}}]"
                )
                assert isinstance(ended, RunEnded)
                return it, ended, asyncio.get_running_loop().time() - began

        it, ended, took = run_virtual(main())
        assert ended.status is RunStatus.ABORTED
        assert [item for _, item in it.servers["stage"].moves] == [1]
        assert (took > 50) == (aborts == 1)
        assert ("may still be on their way: stage" in told(it)) == (aborts == 2)

    play_aborted(1)
    play_aborted(2)


def test_python_sequences_walk_as_documents_do() -> None:
    seen = []

    @sequence
    async def raster(run: Any) -> None:
        await run.trajectories({"stage": [0, 1], "laser": "linear(0, 1, 1)"})
        async for at in run.nested(["laser", "stage"], timeout=5):
            seen.append(at)
            await run.sample("sim.counts")
        with pytest.raises(OrchestratorError, match="stage has no index 9: 0 … 1 are loaded"):
            async for _ in run.nested({"stage": [9]}):
                pass

    async def main() -> Bench:
        async with bench(registry=Registry(sequences={"raster": raster})) as it:
            it._ended = asyncio.get_running_loop().create_future()
            it.pull.offer(Command(Verb.START, 1, text="raster"))
            ended = await it.ended()
            assert ended.status is RunStatus.SUCCESS, ended
            return it

    it = run_virtual(main())
    last = [json.loads(e.text) for e in it.events if isinstance(e, IndicesSet)][-1]
    assert last.keys() == {"seq"}  # it asks nobody
    assert seen == [{"laser": i, "stage": k} for i in range(2) for k in range(2)]
    assert [loops for loops, _ in it.store.recorders[0].rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_load_in_the_midst_of_a_walk_moves_no_server_by_the_index_that_stands_there() -> None:
    shown = []

    def look(it: Bench) -> None:
        put = it.sim.channels["laser.CMD"].on_put
        assert put is not None

        def looking(channel: Any, value: Any) -> None:
            published = [e.text for e in it.events if isinstance(e, IndicesSet)]
            shown.append({k: v for k, v in json.loads(published[-1]).items() if k != "seq"})
            put(channel, value)

        it.sim.channels["laser.CMD"].on_put = looking

    again = "{trajectories: {servers: {laser: [20, 21]}}}"
    steps = f"[{LOAD}, {{nested: {{over: [laser]}}, do: [{{delay: 1}}, {again}]}}]"
    it, ended = play(steps, (0.5, look))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert shown == [{}, {}]
    assert [item for _, item in it.servers["laser"].moves] == [10, 21]


def test_a_server_that_is_lost_on_its_way_fails_the_step_at_once_where_that_is_to_fail() -> None:
    steps = f"[{LOAD}, {{nested: {{over: [stage]}}, on_disconnect: fail}}]"
    it, ended = play(steps, (5, lambda it: it.servers["stage"].restart(100)), stage=10)
    assert ended.status is RunStatus.FAILED
    assert "stage, index 0" in ended.message
    assert "it was lost" in ended.message
    assert "may still be on their way: stage, index 0" in told(it)


def silent(it: Bench) -> None:
    """A server that takes its trajectory and does not acknowledge it."""
    it.sim.channels["stage.CMD"].on_put = lambda *_: it.servers["stage"]._post("ACK", 0)


def test_a_server_that_is_lost_while_it_is_loaded_fails_the_load() -> None:
    _, ended = play(
        f"[{{delay: 1}}, {LOAD}]", (0.0, silent), (3.0, lambda it: it.servers["stage"].restart(50))
    )
    assert ended.status is RunStatus.FAILED
    assert "stage was lost while it was loaded" in ended.message


def test_one_that_is_to_be_waited_for_is_loaded_once_it_is_back() -> None:
    def wake(it: Bench) -> None:
        server = it.servers["stage"]
        it.sim.channels["stage.CMD"].on_put = server._put

    it, ended = play(
        f"[{{delay: 1}}, {LOAD[:-1]}, on_disconnect: wait}}]",
        (0.0, silent),
        (3.0, lambda it: it.servers["stage"].restart(3)),
        (4.0, wake),
    )
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert it.servers["stage"].text == "[0, 1, 2]"


def test_a_load_that_fails_without_a_reason_is_told_as_the_put_that_failed() -> None:
    def refuse(it: Bench) -> None:
        it.sim.channels["stage.CMD"].refuses = "no"

    _, ended = play(f"[{LOAD}]", (0.0, refuse))
    assert ended.status is RunStatus.FAILED
    assert "stage.CMD: put of" in ended.message
    assert "refused: no" in ended.message


def test_a_load_that_fails_is_told_with_the_reason_that_comes_after_its_failure() -> None:
    """A server's putter raises: the put fails, ACK and message come a moment later."""

    def refuse(it: Bench) -> None:
        it.sim.channels["stage.CMD"].refuses = "no"

        def say() -> None:
            it.servers["stage"]._post("ACK", 0)
            it.servers["stage"]._refuse("not today")

        asyncio.get_running_loop().call_later(1.3, say)

    _, ended = play(f"[{{delay: 1}}, {LOAD}]", (0.0, refuse))
    assert "stage refused its trajectory: not today" in ended.message


@pytest.mark.parametrize("moved", [False, True])
def test_what_was_loaded_is_walked_also_where_a_restart_has_taken_it_meanwhile(moved: bool) -> None:
    """Between the load, or an index, and the walk: what it shows then is its default."""
    before = "{nested: {over: {stage: [2]}}}, " if moved else ""
    steps = f"[{LOAD}, {before}{{delay: 10}}, {{nested: {{over: [stage]}}}}]"
    it, ended = play(steps, (5, lambda it: it.servers["stage"].restart(1)))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert [item for _, item in it.servers["stage"].moves][-3:] == [0, 1, 2]
    assert "stage has lost its trajectory (restarted?)" in told(it)


@pytest.mark.parametrize("down", [False, True])
def test_after_a_second_abort_no_load_is_waited_for(down: bool) -> None:
    async def main() -> float:
        async with bench() as it:
            loop = asyncio.get_running_loop()
            silent(it)
            began = loop.time()
            if down:
                loop.call_later(3, it.servers["stage"].restart, 1000)
            for at in (1, 2):
                loop.call_later(at, it.ask, Verb.ABORT)
            load = "{trajectories: {servers: {stage: [1]}, timeout: 500}, on_disconnect: wait}"
            await it.run(f"steps: [{{delay: 9}}]\nfinally: [{{delay: 5}}, {load}]")
            return loop.time() - began

    assert run_virtual(main()) == pytest.approx(6)


def test_the_counter_goes_on_from_the_time_and_stays_within_32_bits() -> None:
    """A service that was restarted repeats no `seq`; INDEX shows it as a 32-bit integer."""
    first = Memory.starting(1_800_000_000.0)
    assert Memory.starting(1_800_000_010.0).next() > first.next() > 0
    last = Memory(LARGEST - 1)
    assert [last.next(), last.next()] == [LARGEST, 1]
    assert Memory.starting(0.0).next() == 1
