"""A Python sequence whose run goes on: begun anew, with its last checkpoint and its samples."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Run, sequence
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Command, RunEnded, RunRefused, RunStatus, Verb
from tests.unit.engine.bench import Bench
from tests.unit.engine.killed import folder_of, in_csv, killed_at, lines_of, play, restored, taken


@sequence
async def counted(run: Run) -> None:
    first = 0 if run.recovered is None else run.recovered.state["after"]
    for number in range(int(str(first)), 4):
        await run.set("sim.x", number)
        await run.sample("sim.x")
        await run.checkpoint("row", after=number + 1)
    await run.set("sim.fin", len(run.data("sim.x")))


@sequence
async def forgets(run: Run) -> None:
    await run.set("sim.x", 1)
    await run.sample("sim.x")
    await run.delay(1)


REGISTRY = Registry({"counted": counted, "forgets": forgets})


def begun(store: Path, name: str) -> Any:
    async def scenario(it: Bench) -> Any:
        it._ended = asyncio.get_running_loop().create_future()
        it.pull.offer(Command(Verb.START, 1, text=name))
        return await it.ended()

    return play(store, scenario, registry=REGISTRY)


def gone_on(store: Path, left: list[dict[str, Any]], *at: str) -> Any:
    run_id = folder_of(store).name

    async def scenario(it: Bench) -> Any:
        restored(it, left)
        await it.pull.idle()
        return await it.recover(run_id, *at), it

    return play(store, scenario, registry=REGISTRY)


def test_it_begins_with_its_last_checkpoint_wherever_it_was_killed(tmp_path):
    whole = tmp_path / "whole"
    assert begun(whole, "counted").status is RunStatus.SUCCESS
    lines = lines_of(whole)
    first = next(i for i, line in enumerate(lines) if line["event"] == "checkpoint")
    for line in range(first + 1, len(lines) - 1, 2):
        store = tmp_path / f"store{line}"
        left = killed_at(whole, line, store)
        again, it = gone_on(store, left)
        assert isinstance(again, RunEnded), (line, again)
        assert again.status is RunStatus.SUCCESS, (line, again)
        assert taken(store) == taken(whole), left[-1]
        assert it.puts("fin") == [4.0]
        passed = sum(own["event"] == "checkpoint" for own in left)
        assert it.puts("x") == list(map(float, range(passed, 4)))
        assert len([row for row in in_csv(store) if row["superseded"] != "1"]) == 4


@pytest.mark.parametrize(
    ("name", "at", "why"),
    [
        ("forgets", (), "has passed no run.checkpoint(name, **state): start it anew"),
        ("counted", ("steps[0]",), "can't be entered at a step: go on without --from"),
    ],
)
def test_it_is_refused_with_the_reason(tmp_path, name, at, why):
    whole, store = tmp_path / "whole", tmp_path / "store"
    begun(whole, name)
    left = killed_at(whole, len(lines_of(whole)) - 2, store)
    refused, it = gone_on(store, left, *at)
    assert isinstance(refused, RunRefused)
    assert why in refused.reason
    assert not it.puts("x")
