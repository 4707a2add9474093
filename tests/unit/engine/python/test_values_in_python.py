"""Python verbs take values, alarms and names as documents do."""

from __future__ import annotations

import asyncio

import numpy as np

from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.python.machine import State, When
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import OrchestratorError
from orchestrator.types import Command, Metadata, NativeType, RunStatus, Severity, Verb

F07 = float(np.float32(0.7))
GAINS = Metadata(NativeType.ENUM, labels=("1", "2", "5", "10"))


async def refusal(work: object) -> str:
    try:
        await work  # type: ignore[misc]  # a verb
    except OrchestratorError as error:
        return str(error)
    return ""


@sequence
async def takes(run: Run) -> None:
    await run.set("sim.shutter", 5)
    await run.wait("sim.shutter", equals=np.int64(5), timeout=1)
    await run.wait("sim.counts", at_least=0.7, timeout=1)
    await run.until("sim.counts >= 0.7", timeout=1)
    assert await run.value("sim.counts") == 0.7
    assert "a DOUBLE can't hold" in await refusal(run.set("sim.x", 2**53 + 1))
    assert "a CHAR holds" in await refusal(run.set("sim.text", [1, -1]))
    assert "write = false" in await refusal(run.set("SIM:gate.VAL", 1))
    near = run.set("sim.turns", 2_000_000_001, readback="sim.x_rbv", timeout=0.2)
    assert "last seen at 2000000000, wanted 2000000001" in await refusal(near)
    assert "INVALID alarm" in await refusal(run.set("sim.y", 1, accept_invalid=False))
    await run.set("sim.y", 1, accept_invalid=True)


@sequence
async def decides(run: Run) -> None:
    way = When("sim.x > 1 or sim.det > 1", "there")
    await run.machine({"here": State(when=[way]), "there": State()})
    await run.until("sim.det > 1 or sim.x > 1", timeout=1)
    assert await run.value("sim.x > 1 or sim.det > 1") is True
    await run.set("sim.fin", 1)


def playing(name, play, prepare):
    async def scenario(it):
        prepare(it)
        await it.pull.idle()
        it._ended = asyncio.get_running_loop().create_future()
        it.pull.offer(Command(Verb.START, 1, text=name))
        return await it.ended(), it

    return play(scenario, registry=Registry({"takes": takes, "decides": decides}, {}))


def test_values_are_taken_as_in_documents(play):
    def prepare(it):
        long = Metadata(NativeType.LONG)
        it.sim.add("sim.shutter", 0, metadata=GAINS)
        it.sim.add("sim.counts", F07, metadata=Metadata(NativeType.FLOAT))
        it.sim.add("sim.text", np.zeros(4), metadata=Metadata(NativeType.CHAR, count=4))
        it.sim.add("sim.turns", 0, metadata=long)
        it.sim.add("sim.x_rbv", 2_000_000_000, metadata=long)
        it.sim.channels["sim.y"].on_put = lambda _channel, value: it.sim.post(
            "sim.y", value, Severity.INVALID
        )

    ended, it = playing("takes", play, prepare)
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")
    assert it.puts("shutter") == [2]
    assert it.puts("x") == it.puts("text") == it.puts("gate") == []


def test_the_side_that_can_be_read_decides(play):
    def prepare(it):
        it.sim.post("sim.det", 2.0)
        asyncio.get_running_loop().call_later(0, it.sim.post, "sim.x", 0.0, Severity.INVALID)

    ended, it = playing("decides", play, prepare)
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert it.puts("fin") == [1.0]
