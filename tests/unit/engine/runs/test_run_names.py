"""Whatever a run tells, puts or logs carries its id."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from orchestrator.cli.terminal.logs import set_up_logs
from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.engine.user_code.rooms import Rooms
from orchestrator.task_context import add_place, enter_run, enter_step
from orchestrator.types import (
    Controlled,
    IndicesSet,
    Progressed,
    RowTaken,
    RunEnded,
    RunStarted,
    StateChanged,
    StepStarted,
    Told,
    Verb,
)
from tests.unit.engine.bench import Bench

OF_A_RUN = (
    RunStarted, Controlled, StateChanged, StepStarted, RowTaken, Told, Progressed, IndicesSet,
    RunEnded,
)  # fmt: skip

EVERYTHING = """
steps:
  - sample: [sim.counts]
  - trajectories: {servers: {stage: [0, 1]}}
  - {nested: {over: [stage]}, do: [{log: there}]}
  - parallel: [{set: {pv: sim.x, value: 1}}, {sample: [sim.y]}]
  - ask: go on?
"""


async def two_runs(it: Bench) -> list[Any]:
    for _ in range(2):
        it.start(EVERYTHING)
        await asyncio.sleep(60)
        it.ask(Verb.RESUME)
        await it.ended()
        await it.pull.idle()
    return it.events


def test_every_event_of_a_run_names_it(play) -> None:
    run_id, kinds, runs = "", set(), []
    for event in play(two_runs):
        if isinstance(event, RunStarted):
            run_id = event.run_id
            runs.append(run_id)
        if isinstance(event, OF_A_RUN):
            kinds.add(type(event))
            assert event.run_id == run_id, event
    assert kinds == set(OF_A_RUN), "all kinds were told"
    assert len(set(runs)) == 2


def test_what_is_asked_of_a_run_that_is_loaded_names_no_other(play) -> None:
    async def scenario(it: Bench) -> list[Any]:
        it.start("steps: [{delay: 1}]")
        it.ask(Verb.PAUSE)  # before its document is read
        await it.pull.idle()
        await asyncio.sleep(5)
        it.ask(Verb.RESUME)
        await it.ended()
        return [(e.verb, e.run_id) for e in it.events if isinstance(e, Controlled)]

    (first, early), (second, late) = play(scenario)
    assert (first, early, second) == (Verb.PAUSE, "", Verb.RESUME)
    assert late


# The log ----------------------------------------------------------------------------------------


@contextmanager
def log_lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged in the block, with its place."""
    captured = LogCapture()
    processors = structlog.get_config()["processors"]
    before = processors[:]
    processors[:] = [add_place, captured]
    try:
        yield captured.entries
    finally:
        processors[:] = before


log = structlog.get_logger("lab")


@function
def blocking() -> None:
    log.warning("from a thread")


@sequence
async def talking(run: Run) -> None:
    log.warning("from a sequence")
    await run.call("blocking")


@pytest.mark.parametrize("threads", [True, False])
def test_what_user_code_logs_names_the_run_and_the_step(play, threads: bool) -> None:
    async def scenario(it: Bench) -> str:
        return (await it.run("name: lab\nsteps: [{run: talking}]")).run_id

    registry = Registry({"talking": talking}, {"blocking": blocking})
    with log_lines() as lines:
        log.warning("from outside")
        run_id = play(scenario, registry=registry, rooms=Rooms(threads=threads))
    places = {line["event"]: (line.get("run"), line.get("step")) for line in lines}
    assert places["from outside"] == (None, None)
    assert places["from a sequence"] == (run_id, "steps[0] run talking")
    named, step = places["from a thread"]
    assert named == run_id
    assert "call blocking" in step


def test_a_line_that_names_its_own_step_keeps_it(play) -> None:
    async def scenario(it: Bench) -> str:
        it.sim.channels["sim.counts"].get_takes = 3.0
        asyncio.get_running_loop().call_later(1, it.ask, Verb.SKIP)
        steps = "[{set: {pv: sim.x, value: 1}}, {set: {pv: sim.y, value: =sim.counts}}]"
        return (await it.run(f"steps: {steps}")).run_id

    with log_lines() as lines:
        run_id = play(scenario)
    (line,) = [line for line in lines if line["event"] == "skipped as a whole"]
    assert line["run"] == run_id
    assert line["step"].startswith("set sim.y"), "not its path as well"


def test_lines_of_other_loggers_name_the_run_as_well() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        set_up_logs(logging.WARNING, stream)
        context = copy_context()
        context.run(enter_run, "20260131-142501-037")
        context.run(enter_step, (("steps", 2), "call fit"))
        context.run(logging.getLogger("lab").warning, "no peak")
    finally:
        root.handlers[:], root.level = before
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    line = json.loads(stream.getvalue())
    place = (line["event"], line["run"], line["step"])
    assert place == ("no peak", "20260131-142501-037", "steps[2] call fit")
