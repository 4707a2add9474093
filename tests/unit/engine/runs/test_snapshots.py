"""A run's snapshot: reduced from its events, and what the PVs show."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.device import Device
from orchestrator.device.publisher import SHOWN, shown
from orchestrator.types import (
    Accepted,
    Answered,
    Asked,
    Command,
    Control,
    Controlled,
    Progressed,
    QueueChanged,
    Reply,
    RowTaken,
    RunEnded,
    RunLoading,
    RunRefused,
    RunSnapshot,
    RunStarted,
    RunState,
    RunStatus,
    Severity,
    StateChanged,
    StepStarted,
    Told,
    Update,
    Verb,
    fields,
    reduce,
)
from tests.unit.engine.bench import Bench
from tests.unit.engine.snapshots import check_snapshots

DOCUMENT = """
steps:
  - trajectories: {servers: {stage: [0, 1, 2]}}
  - {nested: {over: [stage]}, do: [{sample: [sim.counts, sim.x]}]}
  - loop: {count: 3}
    do: [{delay: 1}, {sample: [sim.y]}]
  - log: half
  - ask: go on?
"""


def test_after_every_event_of_some_runs_the_pvs_show_its_snapshot(play) -> None:
    async def scenario(it: Bench) -> None:
        for last in ("set: {pv: sim.x, value: 1}", "wait: {pv: sim.x, above: 9, timeout: 1}"):
            it.start(f"{DOCUMENT}  - {last}\n")
            await asyncio.sleep(20)
            it.ask(Verb.RESUME)
            await it.ended()
            await it.pull.idle()
            await it.push.idle()
        check_snapshots(it)

    play(scenario)


STARTED = RunStarted("a", "align", "me@here", 1, 7)
EVENTS = (
    STARTED,
    StateChanged(RunState.RUNNING, run_id="a"),
    StepStarted(("steps", 0), "set x", 3, (1,), run_id="a"),
    Progressed(4, 50.0, 2.0, 2.0, 0.1, run_id="a"),
    RowTaken({"s.x": np.zeros(2)}, (0.0,), 2, run_id="a"),
    Told("careful", Severity.MINOR, run_id="a"),
)


def reduced(*events) -> RunSnapshot:
    run = RunSnapshot()
    for event in events:
        run = reduce(run, event)
    return run


def test_before_the_first_run_a_snapshot_shows_what_the_pvs_show_at_first() -> None:
    for field in SHOWN.keys() - {fields.VALUES, fields.REMAINING}:  # NaN, where nothing is known
        first = shown(field, RunSnapshot())
        assert np.array_equal(first.value, field.first), field  # type: ignore[arg-type]
        assert not first.severity


def test_a_snapshot_is_never_changed() -> None:
    before = [reduced(*EVENTS[:count]) for count in range(len(EVENTS))]
    assert before == [reduced(*EVENTS[:count]) for count in range(len(EVENTS))]
    with pytest.raises(FrozenInstanceError):
        before[0].done = 3  # type: ignore[misc]


def test_what_is_about_no_run_leaves_it_as_it_is() -> None:
    run = reduced(*EVENTS)
    none = RunRefused(1, "no"), Accepted(1, "yes"), QueueChanged((), False, True), RunLoading("b")
    assert [reduce(run, event) for event in none] == [run] * 4


def test_the_next_run_begins_a_new_one_and_keeps_only_the_engines_state() -> None:
    ended = reduced(*EVENTS, RunEnded("a", RunStatus.FAILED, "no beam", 1))
    assert (ended.is_running, ended.status, ended.message.text) == (
        False, RunStatus.FAILED, "no beam",
    )  # fmt: skip
    asked = reduce(ended, StateChanged(RunState.STOPPING))  # while the next one is loaded
    second = reduce(asked, RunStarted("b", "scan", "you", 2, 0))
    assert second == RunSnapshot(RunStarted("b", "scan", "you", 2, 0), RunState.STOPPING)


@pytest.mark.parametrize(
    ("message", "told"), [("", ("careful", 1)), ("1 error tolerated", ("1 error tolerated", 0))]
)
def test_a_success_without_a_word_leaves_what_was_told_last(message, told) -> None:
    run = reduced(*EVENTS, RunEnded("a", RunStatus.SUCCESS, message, 1))
    assert run.message[:2] == told
    assert run.outcome.text == message


def test_a_question_stands_until_the_run_goes_on() -> None:
    asked = reduced(*EVENTS, Asked("in?", number=1), StateChanged(RunState.PAUSED))
    assert asked.question
    assert asked.message.text == "in?"
    assert not reduce(asked, Answered(1, "", "answered")).question
    assert not reduce(asked, RunEnded("a", RunStatus.ABORTED, "", 1)).question


# What the device remembers ------------------------------------------------------------------------


@pytest.fixture
def device() -> Device:
    channels = {"s.x": ChannelConfig("s.x", "S:X")}
    return Device(Config(chain={"s": ChainConfig("s", "S:", channels=channels)}))


def test_the_device_remembers_the_run_under_way_and_the_last_one(device) -> None:
    for run_id in ("a", "b", "c"):
        device.examine(RunStarted(run_id, "scan", "", 0, 0))
        device.examine(RowTaken({}, (), 1, run_id=run_id))
        if run_id != "c":
            device.examine(RunEnded(run_id, RunStatus.SUCCESS, "", 0))
    runs = device.runs
    assert {run_id: run.is_running for run_id, run in runs.items()} == {"b": False, "c": True}
    assert [run.points for run in runs.values()] == [1, 1]


def test_what_comes_late_of_the_run_before_is_told_and_changes_nothing_of_the_next(device) -> None:
    device.examine(RunStarted("a", "scan", "", 0, 0))
    device.examine(RunEnded("a", RunStatus.SUCCESS, "", 0))
    device.examine(RunStarted("b", "scan", "", 0, 0))
    late = [
        Progressed(9, 90.0, 9.0, 1.0, 0.0, run_id="a"),
        StateChanged(RunState.PAUSED, run_id="a"),
        RowTaken({"s.x": np.ones(3)}, (1.0,), 3, run_id="a"),
    ]
    assert [list(device.examine(event)) for event in late] == [[], [], []]
    told = list(device.examine(Told("a put has ended late", run_id="a")))
    assert told == [Update("message", "a put has ended late")]
    assert (device.runs["b"].done, device.runs["b"].message.text) == (0, "")


def test_a_control_names_the_run_that_was_under_way(device) -> None:
    def control() -> Control:
        decisions = device.examine(Command(Verb.ABORT, 3, owner="me"))
        return next(d for d in decisions if isinstance(d, Control))

    device.examine(Command(Verb.START, 1, text="scan"))
    assert control().run_id == "", "it is loaded"
    device.examine(RunStarted("a", "scan", "", 1, 0))
    assert control().run_id == "a"
    device.examine(Controlled(Verb.ABORT, run_id="a"))
    ended = list(device.examine(RunEnded("a", RunStatus.ABORTED, "aborted", 1)))
    assert ended[-1] == Reply(1, "Aborted: aborted")
