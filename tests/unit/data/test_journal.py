"""The journal of a run: what is handed to it outlives its process, and any JSON reader reads it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.data import Interrupted, RunRecords
from orchestrator.data.journal import buffer as buffers
from orchestrator.data.journal import file as files
from orchestrator.data.journal.buffer import left_over, new_buffer
from orchestrator.data.journal.reader import entries_of, summary_of
from orchestrator.errors import InputError
from orchestrator.types import (
    Controlled,
    Metadata,
    NativeType,
    Place,
    Reading,
    RunEnded,
    RunHeader,
    RunStatus,
    Severity,
    SourceText,
    Told,
    Verb,
)
from sim_iocs.testing import until

HEADER = RunHeader(
    "20261130T160423.423Z-k3",
    "scan",
    owner="me@here",
    how="START",
    sources=(SourceText("scan", "steps: [{delay: 1}] # ü", "scan.yaml"),),
    arguments={"points": 5, "far": float("nan")},
    channels={"a": Metadata(NativeType.DOUBLE, units="mm"), "b": None},
)


def folder_of(store: Path) -> Path:
    return store / "runs" / HEADER.run_id


def index_of(store: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store / "index.db")) as index:
        return index.execute("SELECT run_id, name, status FROM runs ORDER BY folder").fetchall()


def no_trouble(why: str) -> None:
    raise AssertionError(why)


async def test_a_journal_tells_a_run_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    records = RunRecords(tmp_path, no_trouble)
    record = records.open(HEADER)
    journal = record.journal
    step = journal.entered(Place(("steps", 0, "do", 1), (3, 1), (2,)), "set stage.x")
    journal.met("stage.x = 1", [Reading("stage.x", 1.0, 1.5, Severity.MINOR, 4)])
    journal.left(step, "failed", 'it said "no"')
    record.describe({"b": Metadata(NativeType.ENUM, labels=("Off", "On"))})
    record.row(Place(("steps", 1)), {"a": Reading("a", np.arange(100.0), 1.5), "b": None})
    records.heard(Controlled(Verb.PAUSE, "you@there", run_id=HEADER.run_id))
    records.heard(Told("of another run", run_id="1"))
    journal.bound({"x": 1, "made": object})
    assert await record.close(RunStatus.SUCCESS) == ""
    records.heard(RunEnded(HEADER.run_id, RunStatus.FAILED, "it failed", 0, data_file=record.file))
    await records.close()
    run, entered, met, left, channels, row, asked, bound, end = entries_of(folder_of(tmp_path))
    assert (run["run_id"], run["owner"], run["pid"]) == (HEADER.run_id, "me@here", os.getpid())
    assert run["arguments"] == {"points": 5, "far": None}
    assert run["sources"][0]["text"] == HEADER.sources[0].text
    assert (run["channels"]["a"]["units"], run["channels"]["b"]) == ("mm", None)
    assert (entered["path"], entered["loops"], entered["tries"]) == ("steps[0].do[1]", [3, 1], [2])
    assert (met["step"], met["by"]["stage.x"]["value"]) == (entered["step"], 1.0)
    assert (left["step"], left["how"], left["why"]) == (entered["step"], "failed", 'it said "no"')
    assert channels["channels"]["b"]["labels"] == ["Off", "On"]
    assert row["channels"]["a"]["value"]["shape"] == [100]
    assert row["channels"]["b"] is None
    assert (asked["event"], asked["verb"], asked["by"]) == ("controlled", "pause", "you@there")
    assert bound["values"]["x"] == 1
    assert (end["status"], end["message"]) == ("Failed", "it failed")
    assert end["data_file"] == record.file
    times = [entry["t"] for entry in entries_of(folder_of(tmp_path))]
    assert times == sorted(times)
    assert index_of(tmp_path) == [(HEADER.run_id, "scan", "Failed")]
    assert not list(buffers.MEMORY.glob(f"{buffers._prefix(tmp_path)}*"))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from orchestrator.data import Interrupted, RunRecords
from orchestrator.types import Place, RunHeader

async def main():
    record = RunRecords(Path(sys.argv[1]), print).open(RunHeader("1", "scan"))
    for number in range(int(sys.argv[2])):
        if record.journal.full:
            await record.journal.room()
        record.journal.entered(Place(("steps", 0), (number,)), "set")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def look_back(records: RunRecords) -> list[Interrupted]:
    """As a service does that starts."""
    list(records.left_queues())
    return records.interrupted()


@pytest.mark.parametrize("lines", [1, 1000, 200_000])
def test_a_service_that_is_killed_loses_no_line(tmp_path: Path, lines: int) -> None:
    """As fast as they come; the files are not there yet where there are few."""
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(lines)]
    done = subprocess.run(command, check=False, timeout=100, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-9, "")
    look_back(RunRecords(tmp_path, no_trouble))
    header, *steps = entries_of(tmp_path / "runs" / "1")
    assert header["event"] == "run"
    assert [step["loops"] for step in steps] == [[number] for number in range(lines)]
    assert summary_of(tmp_path / "runs" / "1").end is None
    assert index_of(tmp_path) == [("1", "scan", "Interrupted")]
    assert not list(left_over(tmp_path)), "once"


async def test_the_index_is_made_anew_from_the_folders(tmp_path: Path) -> None:
    records = RunRecords(tmp_path, no_trouble)
    for number in range(3):
        records.open(RunHeader(f"{number}", "scan"))
        records.heard(RunEnded(f"{number}", RunStatus.SUCCESS, "", 0))
    running = records.open(RunHeader("3", "goes on"))
    await asyncio.sleep(0.2)
    for text in (b"", b"no database, but long enough to be looked at as one" * 100):
        (tmp_path / "index.db").write_bytes(text)
        for name in ("index.db-wal", "index.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "runs" / "nothing").mkdir(exist_ok=True)
        look_back(records)
        assert index_of(tmp_path) == [
            ("0", "scan", "Success"),
            ("1", "scan", "Success"),
            ("2", "scan", "Success"),
            ("3", "goes on", None),
        ]
    del running
    records.heard(RunEnded("3", RunStatus.STOPPED, "", 0))
    await records.close()
    assert index_of(tmp_path)[-1] == ("3", "goes on", "Stopped")


async def test_a_disk_that_fails_is_told_once_and_takes_all_when_it_is_back(tmp_path: Path) -> None:
    told: list[str] = []
    records = RunRecords(tmp_path, told.append)
    (tmp_path / "runs").write_text("in the way")
    record = records.open(HEADER)
    step = record.journal.entered(Place(), "set")
    while not told:  # noqa: ASYNC110 - a thread tells it
        await asyncio.sleep(0.01)
    assert "is kept in the journal" in told[0]
    assert "is not complete" in await record.close(RunStatus.SUCCESS)
    (tmp_path / "runs").unlink()
    record.journal.left(step)
    records.heard(RunEnded(HEADER.run_id, RunStatus.FAILED, "", 0))
    await records.close()
    assert [entry["event"] for entry in entries_of(folder_of(tmp_path))] == [
        "run", "step_entered", "step_left", "run_ended",
    ]  # fmt: skip
    assert len(told) == 1


async def test_a_long_journal_keeps_its_first_file_and_its_last_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_A_FILE", 2000)
    monkeypatch.setattr(files, "_FILES", 3)
    records = RunRecords(tmp_path, no_trouble)
    record = records.open(HEADER)
    for number in range(200):
        record.journal.entered(Place(("steps", 0), (number,)), "set")
        if number % 10 == 0:
            await asyncio.sleep(0.03)
    folder = folder_of(tmp_path)

    def settled() -> bool:
        files = list(folder.glob("journal*"))
        return len(files) == 3 and any(b"[199]" in path.read_bytes() for path in files)

    await asyncio.to_thread(until, settled)
    records.heard(RunEnded(HEADER.run_id, RunStatus.SUCCESS, "", 0))
    await records.close()
    kept = [path.name for path in folder.glob("journal*")]
    assert "journal.jsonl" in kept
    assert len(list(folder.iterdir())) == 4  # and what stands for those between
    header, *_, end = entries_of(folder)
    assert (header["event"], end["event"]) == ("run", "run_ended")
    abandoned = records.abandoned(HEADER.run_id, lambda path, loops: (path, loops), by_marks=True)
    assert abandoned.position is not None
    assert abandoned.position.loops == (199,)
    assert [(step.name, step.times) for step in records.visited(HEADER.run_id)] == [("set", 200)]


def test_lines_go_round_the_buffer_and_come_out_as_they_went_in(tmp_path: Path) -> None:
    buffer = new_buffer(1000, tmp_path)
    rng, came, went = np.random.default_rng(1), b"", b""
    for number in range(2000):
        line = b"%d" % number * int(rng.integers(1, 60)) + b"\n"
        if buffer.append(line):
            went += line
        if rng.random() < 0.3 or buffer.waiting > 700:
            piece = buffer.peek(int(rng.integers(1, 400)))
            buffer.drop(len(piece))
            came += piece
    came += buffer.peek(10_000)
    assert came == went
    assert not buffer.append(b"x" * 1001)
    buffer.close()


async def test_a_journal_is_not_there_before_its_first_line(tmp_path: Path) -> None:
    """Its thread lives before that; to make the line of a long document takes a while."""
    found: list[Path] = []
    looked = threading.Event()
    buffer = new_buffer(1 << 16, tmp_path)
    file = files.JournalFile(
        tmp_path / "1", buffer, no_trouble, found.append, lambda _buffer: None, look=looked.set
    )
    file.thread.join(3 * files.LOOK)
    assert not found
    assert not (tmp_path / "1").exists()
    file.begin(b'{"event":"run"}\n')
    assert await asyncio.to_thread(looked.wait, 10)
    file.close()
    await asyncio.to_thread(file.thread.join, 10)
    assert found[0] == tmp_path / "1"


async def test_a_line_longer_than_the_buffer_is_kept_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = RunRecords(tmp_path, no_trouble)
    document = 'log: "ü" # \n' * 800_000
    header = RunHeader("1", "large", sources=(SourceText("large", document, "large.yaml"),))
    record = records.open(header)
    assert record.journal.full
    await asyncio.wait_for(record.journal.room(), 20)
    assert not record.journal.full
    seen = Reading("text", "x" * 3_000_000, 1.5)
    record.row(Place(("steps", 0)), {"text": seen})
    step = record.journal.entered(Place(), "set")
    assert await record.close(RunStatus.SUCCESS) == ""
    records.heard(RunEnded("1", RunStatus.FAILED, "m" * 1_000_000, 0))
    await records.close()
    run, row, entered, end = entries_of(tmp_path / "runs" / "1")
    assert run["sources"][0]["text"] == document
    assert row["channels"]["text"]["value"] == seen.value
    assert entered["step"] == step
    assert len(end["message"]) == 1_000_000
    short = summary_of(tmp_path / "runs" / "1")
    assert (short.header["run_id"], short.end) == ("1", end)
    for line in (tmp_path / "runs" / "1" / "journal.jsonl").read_bytes().splitlines():
        assert len(line) <= 1 << 17
        json.loads(line)
    assert "index" not in "".join(capsys.readouterr()), "it was asked when there was a part of it"


async def test_a_line_that_finds_no_memory_is_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MOST_LATE", 1_000_000)
    records = RunRecords(tmp_path, no_trouble)
    record = records.open(HEADER)
    record.row(Place(), {"text": Reading("text", "x" * 2_000_000, 1.5)})
    record.journal.left(record.journal.entered(Place(), "set"))
    assert "1 lines are not in the journal" in await record.close(RunStatus.SUCCESS)
    records.heard(RunEnded(HEADER.run_id, RunStatus.FAILED, "", 0))
    await records.close()
    told = [entry["event"] for entry in entries_of(folder_of(tmp_path))]
    assert sorted(told) == ["left_out", "run", "run_ended", "step_entered", "step_left"]


async def test_the_end_is_found_where_the_newest_file_is_empty_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_A_FILE", 1)
    records = RunRecords(tmp_path, no_trouble)
    records.open(HEADER)
    records.heard(RunEnded(HEADER.run_id, RunStatus.SUCCESS, "", 0))
    await records.close()
    newest = max(folder_of(tmp_path).iterdir(), key=lambda path: (len(path.name), path.name))
    assert newest.read_bytes() == b""
    assert index_of(tmp_path) == [(HEADER.run_id, "scan", "Success")]


def test_parts_of_a_line_without_its_first_are_no_line(tmp_path: Path) -> None:
    begun = b'{"event":"run","format":1}\n'
    part = b'{"event":"part","part":%d,"of":3,"text":"{}"}\n'
    parts = part % 2 + part % 3
    (tmp_path / "journal.jsonl").write_bytes(begun + parts + b'{"event":"told"}\n')
    assert [entry["event"] for entry in entries_of(tmp_path)] == ["run", "told"]


def test_what_is_left_of_a_store_that_is_gone_is_given_up_after_a_day(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    buffer = new_buffer(1000, gone)
    buffer.begin(gone / "runs" / "1" / "journal.jsonl")
    buffer.append(b"{}\n")
    (left,) = buffers.MEMORY.glob(f"{buffers._prefix(gone)}*")
    records = RunRecords(tmp_path / "other", no_trouble)
    day = left.stat().st_mtime - 2 * 86400
    os.utime(left, (day, day))
    look_back(records)
    assert left.exists(), "its process lives"
    buffer.close(keep=True)
    look_back(records)
    assert left.exists(), "its store is there, and may be asked for"
    gone.rmdir()
    os.utime(left)
    look_back(records)
    assert left.exists(), "the store may come back"
    os.utime(left, (day, day))
    look_back(records)
    assert not left.exists()


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no journal"):
        list(entries_of(tmp_path))
    (tmp_path / "journal.jsonl").write_text(json.dumps({"event": "run", "format": 99}) + "\n")
    with pytest.raises(InputError, match="another version"):
        summary_of(tmp_path)
    (tmp_path / "journal.jsonl").write_text("{\n")
    with pytest.raises(InputError, match="no line of a journal"):
        summary_of(tmp_path)


def test_who_looks_whether_a_journal_is_held_does_not_keep_it_from_who_writes(
    tmp_path: Path,
) -> None:
    """A run that goes on found its journal held by the index, which looked at it just then."""
    path = tmp_path / "journal.jsonl"
    path.touch()
    with path.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        os.close(files.locked(path))
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(BlockingIOError):
            files.locked(path)


async def test_a_journal_stands_beside_the_data_that_came_first(tmp_path: Path) -> None:
    """The first row may be on the disk before the thread of the journal has made its folder."""
    folder_of(tmp_path).mkdir(parents=True)
    (folder_of(tmp_path) / "data.csv").write_text("point")
    records = RunRecords(tmp_path, no_trouble)
    records.open(HEADER)
    records.heard(RunEnded(HEADER.run_id, RunStatus.SUCCESS, "", 0))
    await records.close()
    assert {path.name for path in folder_of(tmp_path).iterdir()} == {"data.csv", "journal.jsonl"}
