"""A PV that two servers have is refused before anything is written to either."""

from __future__ import annotations

from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Cause, RunStatus

TWO = ("one:5064", "two:5064")
TOLD = "one:5064 and two:5064"


@sequence
async def looks_and_writes(run: Run) -> None:
    await run.wait("sim.x", above=-1, timeout=5)
    await run.set("sim.x", 1)


def doubled(name):
    return lambda it: it.sim.servers.update({name: TWO})


def refused(ended, it, channel="x"):
    assert (ended.status, ended.cause) == (RunStatus.FAILED, Cause.INPUT)
    assert f"two servers have the PV SIM:{channel}, {TOLD}" in ended.message
    assert it.puts("fin") == it.puts("x") == []


def test_a_set_of_one_is_refused_at_its_step(run):
    steps = "steps:\n  - set: {pv: sim.fin, value: 1}\n  - set: {pv: sim.x, value: 1}\n"
    ended, it = run(steps, before=doubled("sim.x"))
    refused(ended, it)
    assert "steps[1] set sim.x" in ended.message


def test_a_sample_of_one_is_refused(run):
    steps = "steps: [{set: {pv: sim.fin, value: 1}}, {sample: [sim.counts]}]"
    refused(*run(steps, before=doubled("sim.counts")), "counts")


def test_a_channel_that_would_be_stopped_by_one_is_refused(run):
    ended, it = run("steps: [{set: {pv: sim.y, value: 1}}]", before=doubled("sim.stop"))
    refused(ended, it, "stop")
    assert it.puts("y") == []


def test_a_suspender_that_looks_at_one_is_refused(run):
    text = "suspend: {beam: {when: sim.counts < -1}}\nsteps: [{set: {pv: sim.x, value: 1}}]"
    refused(*run(text, before=doubled("sim.counts")), "counts")


def test_a_python_sequence_that_has_waited_for_one_does_not_write_it(play):
    async def scenario(it):
        doubled("sim.x")(it)
        return await it.run("steps: [{run: looks_and_writes}]"), it.puts("x")

    ended, puts = play(scenario, registry=Registry({"looks_and_writes": looks_and_writes}))
    assert (ended.status, puts) == (RunStatus.FAILED, [])
    assert TOLD in ended.message
