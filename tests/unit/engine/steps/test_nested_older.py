"""The orchestrator as master of sequence servers of the older kind: without INDEX, or less."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from orchestrator.types import IndicesSet, RunEnded, RunStatus, Told
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench

LOAD = "{trajectories: {servers: {stage: [5, 6, 7], laser: [0, 1]}}}"
WALK = "{nested: {over: [laser, stage], timeout: 20}, do: [{delay: 0.1}]}"


def play(steps: str, *acts: tuple[float, Any], absent: tuple[str, ...] = ("INDEX",)) -> Any:
    """Run these steps with a stage that lacks some of its PVs, and acts on the bench in between."""

    async def main() -> tuple[Bench, RunEnded]:
        async with bench(absent=[f"stage.{pv}" for pv in absent]) as it:
            for at, act in acts:
                asyncio.get_running_loop().call_later(at, act, it)
            it.servers["stage"].takes = 1.0
            ended = await it.run(f"steps: {steps}")
            await it.pull.idle()
            await it.push.idle()
            assert isinstance(ended, RunEnded)
            return it, ended

    return run_virtual(main())


def told(it: Bench) -> str:
    return "\n".join(e.text for e in it.events if isinstance(e, Told))


def items(it: Bench, name: str) -> list[Any]:
    return [item for _, item in it.servers[name].moves]


def test_one_without_index_is_walked_by_its_ack() -> None:
    it, ended = play(f"[{LOAD}, {WALK}]")
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert items(it, "stage") == [5, 6, 7, 5, 6, 7]
    assert items(it, "laser") == [0, 0, 0, 1, 1, 1]
    assert (
        "there is no stage.INDEX (stage:stage.INDEX): an index of stage counts as reached"
        in told(it)
    )
    assert "no laser.INDEX" not in told(it)  # it has one


def test_one_with_cmd_and_ack_alone_is_walked_too() -> None:
    it, ended = play(f"[{LOAD}, {WALK}]", absent=("INDEX", "message", "values"))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert items(it, "stage") == [5, 6, 7, 5, 6, 7]


def test_a_1_without_a_0_before_it_acknowledges_nothing() -> None:
    """As that of a former move, which ends when the next is asked for."""
    _, ended = play(
        f"[{LOAD}, {{nested: {{over: [stage], timeout: 3}}}}]",
        (0.0, lambda it: setattr(it.servers["stage"], "deaf", True)),
        (1.0, lambda it: it.sim.post("stage.ACK", 1)),
    )
    assert ended.status is RunStatus.TIMEOUT
    assert "there is no stage.INDEX, stage.ACK" in ended.message


def test_an_ack_that_is_a_digit_as_text_is_understood() -> None:
    """As a text PV of one character is: a CHAR, the code of the digit."""

    def digit(it: Bench) -> None:
        post = it.sim.post

        def posting(name: str, value: Any, *more: Any) -> None:
            post(name, value + ord("0") if name == "stage.ACK" else value, *more)

        it.sim.post = posting  # type: ignore[method-assign]

    it, ended = play(f"[{{delay: 1}}, {LOAD}, {WALK}]", (0.5, digit))
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert items(it, "stage") == [5, 6, 7, 5, 6, 7]


def test_one_that_was_restarted_is_loaded_again_and_the_others_of_its_kind_are_not_asked() -> None:
    def objects(it: Bench) -> list[dict[str, int]]:
        return [json.loads(e.text) for e in it.events if isinstance(e, IndicesSet)]

    it, ended = play(
        f"[{LOAD}, {WALK}]",
        (2.5, lambda it: it.servers["stage"].restart(4)),
        (2.6, lambda it: setattr(it.servers["laser"], "takes", 0.0)),
    )
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert "stage has lost its trajectory (restarted?)" in told(it)
    assert set(items(it, "stage")) == {5, 6, 7}
    assert len(items(it, "laser")) == 6
    again = [o for o in objects(it) if [p["seq"] for p in objects(it)].count(o["seq"]) > 1]
    assert len(again) == 2
    assert again[0].keys() == {"seq", "laser", "stage"}


def test_one_that_holds_nothing_is_not_walked() -> None:
    _, ended = play("[{nested: {over: [stage]}}]")
    assert "stage: no trajectory is loaded; load one by `trajectories`" in ended.message
