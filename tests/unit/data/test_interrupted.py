"""What is told of runs that were killed, and to whom; the queue of runs that comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.data import LookBack, RunRecords
from orchestrator.data.journal import QueueJournal, entries, queue_journal
from orchestrator.data.journal import file as files
from orchestrator.data.journal.interrupted import interrupted_run
from orchestrator.engine.runs.run_queue import RunQueue
from orchestrator.errors import InputError
from orchestrator.types import (
    Place,
    QueueChanged,
    QueuedRun,
    QueueLeft,
    Recovery,
    RunEnded,
    RunHeader,
    RunInterrupted,
    RunRequest,
    RunStatus,
    Told,
    Value,
)
from orchestrator.types.event_json import event_facts

SET = Place(("steps", 0, "do", 1), (3, 7))


def no_trouble(why: str) -> None:
    raise AssertionError(why)


def journal_of(
    folder: Path, lines: Iterable[bytes], header: Mapping[str, Any] | None = None
) -> Path:
    facts = {"run_id": folder.name, "name": "scan", "lane": "main", "how": "START"}
    folder.mkdir(parents=True)
    first = {"t": 1.0, "event": "run", "format": 1, **facts, **(header or {})}
    text = json.dumps(first).encode() + b"\n" + b"".join(lines)
    (folder / "journal.jsonl").write_bytes(text)
    return folder


def leaves(put: int, step: int, value: Value = 1.5, *, completion: bool = True) -> bytes:
    return entries.put_leaves(put, step, "stage.x", value, completion=completion)


ENTERED = entries.step_entered(1, SET, "set stage.x")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], "before its first step: nothing was put"),
        ([ENTERED], "in steps[0].do[1] 3 7 set stage.x; no put was in flight; finalisers have not"),
        (
            [ENTERED, leaves(1, 1)],
            "; the put of 1.5 to stage.x had left, its completion was not seen; finalisers",
        ),
        (
            [ENTERED, leaves(1, 1, np.arange(100.0))],
            "the put of an array <f8[100] to stage.x had left",
        ),
        (
            [ENTERED, leaves(1, 1), entries.put_ended(1, "completed", "")],
            "; the put of 1.5 to stage.x was completed; finalisers have not run",
        ),
        (
            [ENTERED, leaves(1, 1, completion=False)],
            "the put of 1.5 to stage.x was on its way, without completion",
        ),
        (
            [ENTERED, entries.step_left(1, "done", "")],
            "after steps[0].do[1] 3 7 set stage.x; no put was in flight; finalisers have not run",
        ),
        (
            [
                entries.step_entered(1, Place(("steps", 0)), "parallel"),
                entries.step_entered(2, Place(("steps", 0, "parallel", 0)), "delay"),
                entries.step_entered(3, Place(("steps", 0, "parallel", 1)), "set stage.x"),
                leaves(1, 3),
            ],
            "in steps[0].parallel[0] delay, steps[0].parallel[1] set stage.x; the put of",
        ),
        (
            [
                ENTERED,
                leaves(1, 1),
                entries.step_left(1, "failed", ""),
                entries.step_entered(2, Place(("finally", 0)), "set shutter"),
            ],
            "in finally[0] set shutter; the put of 1.5 to stage.x had left, its completion was "
            "not seen; finalisers were under way",
        ),
        (
            [ENTERED, leaves(1, 1), b'{"t":2.0,"event":"attempt"}\n'],
            "after steps[0].do[1] 3 7 set stage.x; no put was in flight; finalisers have not run",
        ),
        (
            [ENTERED, leaves(1, 1), entries.left_out(3)],
            "no put was in flight; finalisers have not run; lines of its journal are missing",
        ),
    ],
)
def test_where_a_run_was_killed_is_told(tmp_path: Path, lines: list[bytes], text: str) -> None:
    assert text in interrupted_run(journal_of(tmp_path / "1", lines)).text


# To whom ----------------------------------------------------------------------------------------


def begin(
    records: RunRecords, run_id: str, how: str = "START", status: str = "", lane: str = "main"
) -> None:
    """A run that has ended so; with no status it is killed."""
    if not status:
        records_folder = records._journals._runs / run_id
        journal_of(records_folder, [], {"how": how, "lane": lane})
        return
    records.open(RunHeader(run_id, "scan", how=how))
    records.heard(RunEnded(run_id, RunStatus(status), "", 0))


async def told(store: Path, *, foreground: bool) -> list[str]:
    records = RunRecords(store, no_trouble, foreground=foreground)
    list(records.left_queues())
    return [run.run_id for run in records.interrupted()]


async def test_each_kind_is_told_until_one_of_its_kind_has_run_since(tmp_path: Path) -> None:
    records = RunRecords(tmp_path, no_trouble)
    assert await told(tmp_path, foreground=False) == []
    killed = "20200101T000000.000Z-aa"
    begin(records, killed)
    for foreground in (True, False, True, False):
        assert await told(tmp_path, foreground=foreground) == [killed]
    begin(records, "30000101T000000.000Z-aa", "run", "Success")
    await records.close()
    assert await told(tmp_path, foreground=True) == []
    assert await told(tmp_path, foreground=False) == [killed]
    records = RunRecords(tmp_path, no_trouble)
    begin(records, "30000101T000001.000Z-aa", "queue", "Failed")
    await records.close()
    assert await told(tmp_path, foreground=False) == []


async def test_what_was_killed_together_is_told_together(tmp_path: Path) -> None:
    """One of them began later; that it was begun does not mean that it has told of the other."""
    records = RunRecords(tmp_path, no_trouble)
    both = ["20200101T000000.000Z-aa", "20200101T000001.000Z-aa"]
    for run_id in both:
        begin(records, run_id, "run")
    assert await told(tmp_path, foreground=True) == both


async def test_a_service_shows_the_last_one_and_names_the_others(tmp_path: Path) -> None:
    records = RunRecords(tmp_path, no_trouble)
    for run_id in ("20200101T000000.000Z-aa", "20200101T000001.000Z-aa"):
        begin(records, run_id)
    offered: list[object] = []
    async with LookBack(records, offered.append, foreground=False).running():
        (shown,) = offered
    assert isinstance(shown, RunInterrupted)
    assert shown.run_id == "20200101T000001.000Z-aa"
    assert "before its first step" in shown.message
    assert "interrupted before: scan 20200101T000000.000Z-aa" in shown.message


async def test_each_lane_shows_its_own(tmp_path: Path) -> None:
    """One of a lane that is not configured any more is shown as the main lane's."""
    records = RunRecords(tmp_path, no_trouble)
    ids = [f"20200101T00000{second}.000Z-aa" for second in range(4)]
    for run_id, lane in zip(ids, ("main", "guard", "gone", "guard"), strict=True):
        begin(records, run_id, lane=lane)
    offered: list[object] = []
    looking = LookBack(records, offered.append, foreground=False, lanes=("guard", "night"))
    async with looking.running():
        shown = {run.lane: run for run in offered if isinstance(run, RunInterrupted)}
    assert {lane: run.run_id for lane, run in shown.items()} == {"": ids[2], "guard": ids[3]}
    assert len(shown) == len(offered)
    assert f"interrupted before: scan {ids[0]}" in shown[""].message
    assert f"interrupted before: scan {ids[1]}" in shown["guard"].message


# The queue --------------------------------------------------------------------------------------

A, B = QueuedRun(3, "a", {"x": "1"}, "me@here"), QueuedRun(4, "b", {}, "me@here")


def queue_of(store: Path, *changes: QueueChanged, lane: str = "") -> QueueLeft | None:
    """What comes back where a service has had these changes, and was killed."""
    journal = QueueJournal(store, no_trouble, lane)
    journal.left()
    for change in changes:
        journal.keep(change)
    journal.close()
    journal.join(10)
    return QueueJournal(store, no_trouble, lane).left()


def changed(*waiting: QueuedRun, running: QueuedRun | None = None, lane: str = "") -> QueueChanged:
    return QueueChanged(waiting, held=False, autostart=True, running=running, lane=lane)


def test_the_queue_comes_back_as_it_was_left(tmp_path: Path) -> None:
    assert queue_of(tmp_path) is None
    assert not (tmp_path / "queue").exists(), "nothing is made of nothing"
    assert queue_of(tmp_path, changed(A), changed(A, B)) == QueueLeft((A, B))
    assert queue_of(tmp_path) == QueueLeft((A, B)), "also if nothing has happened to it"
    assert queue_of(tmp_path, changed(B)) == QueueLeft((B,))
    assert queue_of(tmp_path, changed(B), changed()) is None


def test_a_run_that_was_under_way_waits_again_in_front(tmp_path: Path) -> None:
    left = queue_of(tmp_path, changed(A, B), changed(B, running=A))
    assert left is not None
    first, second = left.waiting
    assert (first.number, first.args, second) == (3, {"x": "1"}, B)
    assert first.ended.startswith("Interrupted: ")


def test_what_is_told_before_all_is_back_is_not_the_queue(tmp_path: Path) -> None:
    """A lane starts its sequence by itself before its queue is restored, and is killed at once."""
    queue_of(tmp_path, changed(A, B))
    again = queue_of(tmp_path, changed())
    assert again == QueueLeft((A, B))
    assert queue_of(tmp_path, changed(), changed(A, B), changed(B)) == QueueLeft((B,))


async def test_each_lane_has_its_queue_back(tmp_path: Path) -> None:
    queue_of(tmp_path, changed(A))
    queue_of(tmp_path, changed(B, lane="guard"), lane="guard")
    queue_of(tmp_path, changed(B, lane="gone"), lane="gone")
    begin(RunRecords(tmp_path, no_trouble), "20200101T000000.000Z-aa", lane="guard")
    for _ in range(2):  # also if nothing has happened to them
        offered: list[object] = []
        records = RunRecords(tmp_path, no_trouble)
        looking = LookBack(records, offered.append, foreground=False, lanes=("guard",))
        async with looking.running():
            records.heard(changed(lane="guard"))
        await records.close()
        queues = [item for item in offered if isinstance(item, QueueLeft)]
        assert queues == [QueueLeft((A,)), QueueLeft((B,), lane="guard")]
        texts = {item.lane: item.message for item in offered if isinstance(item, RunInterrupted)}
        assert "1 run of the queue waits, held" in texts.pop("guard")
        assert texts == {}
        told = [item for item in offered if isinstance(item, Told)]
        assert [item.lane for item in told] == ["", ""]
        assert "the lane gone, which the configuration has no more: 1 run" in told[0].text
        assert "1 run of the queue waits, held" in told[1].text


def test_a_queue_that_is_long_and_changes_often_comes_back(tmp_path: Path) -> None:
    """Lines in parts, more than the buffer holds, in more than one file."""
    many = tuple(QueuedRun(n, "x" * 200, {"a": "ü" * 100}, "me@here") for n in range(1000))
    changes = [changed(*many[: 990 + n % 10]) for n in range(40)]
    assert queue_of(tmp_path, *changes, changed(*many)) == QueueLeft(many)


SUBMITTED = RunRequest(
    0,
    "",
    text="name: c\nsteps: [{log: é}]\n",
    origin="c.yaml",
    args={"x": 1.5, "far": float("inf"), "pair": (1, 2)},
    metadata={"sample": "gold"},
    owner="me@here",
    how="queue",
    repeats="20200101T000000.000Z-aa",
)
C = QueuedRun(5, "c", SUBMITTED.args, "me@here", request=SUBMITTED)  # type: ignore[arg-type]  # a mapping


def requests(left: QueueLeft | None) -> list[RunRequest | None]:
    return [run.request for run in left.waiting] if left else []


def test_a_document_comes_back_as_it_was_submitted(tmp_path: Path) -> None:
    going_on = RunRequest(0, "x", recovery=Recovery("x", "steps[0]", (1, 2), finalise=True))
    other = QueuedRun(6, "x", {}, "me@here", request=going_on)
    assert requests(queue_of(tmp_path, changed(C), changed(C, A, other))) == [
        SUBMITTED, None, going_on,
    ]  # fmt: skip
    assert requests(queue_of(tmp_path)) == [SUBMITTED, None, going_on]
    left = queue_of(tmp_path)
    assert left is not None
    queue = RunQueue()
    queue.restore(left)
    queue.held = False
    asked = queue.take()
    assert asked == replace(SUBMITTED, always_a_run=True, waits=True)
    # The next service keeps what it has got of this one.
    assert requests(queue_of(tmp_path, queue.changed))[0] == SUBMITTED
    assert "request" not in str(event_facts(queue.changed)), "who follows is not told of it"


def test_documents_of_a_queue_that_changes_often_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files in the middle of its journal go."""
    monkeypatch.setattr(files, "_A_FILE", 1 << 16)
    monkeypatch.setattr(queue_journal, "_TELL_ALL", 1 << 15)
    text = replace(SUBMITTED, text="#" * 1000)
    runs = tuple(QueuedRun(n, "c", {}, "me@here", request=text) for n in range(10))
    turns = [changed(*runs[n % 5 :], *(A,) * (n % 2)) for n in range(500)]
    assert requests(queue_of(tmp_path, *turns, changed(*runs))) == [text] * 10
    assert "journal-2.jsonl" not in {path.name for path in tmp_path.glob("queue/*/*")}


async def test_a_run_of_which_the_document_is_not_kept_is_told_and_never_another_one(
    tmp_path: Path,
) -> None:
    long = QueuedRun(7, "a", {}, "me@here", request=replace(SUBMITTED, text="#" * (5 << 20)))
    left = queue_of(tmp_path, changed(C, long, B))
    assert left is not None
    assert [run.number for run in left.waiting] == [5, 4]
    assert left.lost == (long,)
    told = list[object]()
    records = RunRecords(tmp_path, no_trouble)
    async with LookBack(records, told.append, foreground=False).running():
        await records.close()
    texts = [item.text for item in told if isinstance(item, Told)]
    text = "run 7 of the queue, a by me@here, is lost: what was to be run is not in the journal; "
    assert f"{text}submit it again" in texts


def test_of_services_before_only_what_is_needed_stays(tmp_path: Path) -> None:
    for number in range(5):
        queue_of(tmp_path, changed(A), changed(A, replace_number(B, number + 10)))
    assert len(list((tmp_path / "queue").iterdir())) == 1


def replace_number(run: QueuedRun, number: int) -> QueuedRun:
    return QueuedRun(number, run.name, run.args, run.owner)


def test_a_queue_that_cant_be_read_is_told_and_stays(tmp_path: Path) -> None:
    queue_of(tmp_path, changed(A))
    (file,) = (tmp_path / "queue").glob("*/journal.jsonl")
    file.write_text("no line\n")
    with pytest.raises(InputError, match="queue of runs that was left can't be read"):
        queue_of(tmp_path)
    offered: list[object] = []

    async def start() -> None:
        records = RunRecords(tmp_path, no_trouble)
        async with LookBack(records, offered.append, foreground=False).running():
            records.heard(changed(B))
            await records.close()

    asyncio.run(start())
    assert any(isinstance(item, Told) and "can't be read" in item.text for item in offered)
    assert file.exists()
    assert queue_of(tmp_path) == QueueLeft((B,))
