"""Whether there is room for what runs keep, on real disks."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.data import store_room
from orchestrator.data.records import RunRecords
from orchestrator.data.store_room import StoreRoom, lack_of_room
from orchestrator.errors import StoreFullError
from orchestrator.types import Place, RunEnded, RunHeader, RunStatus
from sim_iocs.testing import until
from tests.small_disk import small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def fill(disk: Path, free: int) -> Path:
    """Leave so many bytes, about."""
    file, stat = disk / "ballast", os.statvfs(disk)
    file.write_bytes(b"\0" * (stat.f_bavail * stat.f_frsize - free))
    return file


def test_there_is_room_for_a_store_that_is_not_made_yet(tmp_path: Path) -> None:
    assert lack_of_room(tmp_path / "a/b") == ""


@pytest.mark.parametrize("name", ["loop/runs", "z" * 300])
def test_a_store_that_is_out_of_reach_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert f"{name} can't be reached: " in lack_of_room(tmp_path / name)


async def test_what_was_seen_in_the_run_before_does_not_end_the_next_one(disk: Path) -> None:
    """Whoever has made room starts again: nobody has looked at the disk since."""
    records = RunRecords(disk, lambda _text: None, on_full="fail")
    ballast = fill(disk, 10_000_000)
    first = records.open(RunHeader("1", "scan"))
    async with asyncio.timeout(10):
        while not first.lack:  # noqa: ASYNC110 - a thread looks
            await asyncio.sleep(0.01)
    records.heard(RunEnded("1", RunStatus.FAILED, "", 0))
    ballast.unlink()
    second = records.open(RunHeader("2", "scan"))
    assert second.lack == ""
    await second.room()
    records.heard(RunEnded("2", RunStatus.SUCCESS, "", 0))
    await records.close()


def test_a_disk_that_is_nearly_full_has_no_room(disk: Path) -> None:
    assert lack_of_room(disk) == ""
    ballast = fill(disk, 20_000_000)
    lack = lack_of_room(disk / "runs")
    assert lack.startswith(f"no room on the disk of the store {disk / 'runs'}: 19.1 MB are free, ")
    assert lack.endswith("32.0 MB are needed: remove something")
    ballast.unlink()
    assert lack_of_room(disk) == ""


def test_a_disk_that_is_read_only_is_told(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert lack_of_room(disk).endswith("is read-only: mount it to be written to")


async def test_who_waits_goes_on_when_there_is_room(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_room, "LOOK", 0.0)
    told: list[str] = []
    room = StoreRoom(disk, told.append)
    room.look()
    assert room.lack == ""
    ballast = fill(disk, 10_000_000)
    for _ in range(2):
        room.look()
        assert told == [room.lack], "once"
    waiting = asyncio.create_task(room.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    ballast.unlink()
    room.look()
    await asyncio.wait_for(waiting, 10)


async def test_runs_may_fail_instead(disk: Path) -> None:
    room = StoreRoom(disk, lambda _text: None, fails=True)
    fill(disk, 10_000_000)
    room.look()
    with pytest.raises(StoreFullError, match="no room on the disk of the store"):
        await room.wait()


def test_a_store_that_is_gone_is_no_empty_one(tmp_path: Path) -> None:
    store, away, told = tmp_path / "store", tmp_path / "away", list[str]()
    room = StoreRoom(store, told.append)

    def lack() -> str:
        room.forget()  # what was seen a moment ago counts for a while
        room.look()
        return room.lack

    assert lack() == "", "none was made yet"
    store.mkdir()
    assert lack() == ""
    store.rename(away)
    assert "is gone: it was removed, or its disk was unmounted; bring it back" in lack()
    with pytest.raises(FileNotFoundError, match="is gone"):
        room.check_there()
    store.mkdir()
    assert "is another folder than before" in lack()
    store.rmdir()
    away.rename(store)
    assert lack() == ""
    room.check_there()
    assert len(told) == 2


async def test_nothing_is_made_in_the_place_of_a_store_that_is_gone(tmp_path: Path) -> None:
    store, told = tmp_path / "store", list[str]()
    store.mkdir()
    records = RunRecords(store, told.append, on_full="fail")
    async with records.watched():
        await asyncio.sleep(0.05)
        store.rename(tmp_path / "away")
        async with asyncio.timeout(10):
            while not told:  # noqa: ASYNC110 - a thread looks
                await asyncio.sleep(0.01)
        assert "is gone" in told[0]
        record = records.open(RunHeader("1", "scan"))
        async with asyncio.timeout(10):
            while not record.lack:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        with pytest.raises(StoreFullError, match="is gone"):
            await record.room()
        assert not store.exists()
        (tmp_path / "away").rename(store)
        records.heard(RunEnded("1", RunStatus.FAILED, "", 0))
        await records.close()
    assert (store / "runs/1/journal.jsonl").exists(), "what waited is kept once it is back"
    assert not (tmp_path / "away").exists()


async def test_a_journal_that_is_removed_under_a_run_is_told(tmp_path: Path) -> None:
    told = list[str]()
    records = RunRecords(tmp_path, told.append)
    record = records.open(RunHeader("1", "scan"))
    folder = tmp_path / "runs/1"
    journal = folder / "journal.jsonl"
    await asyncio.to_thread(until, lambda: journal.exists() and journal.read_bytes()[:1] == b"{")
    shutil.rmtree(folder)
    record.journal.passed(Place(("steps", 0)))
    await asyncio.to_thread(until, lambda: told)
    assert "it was removed while it was written to" in told[0]
    assert "it was removed while it was written to" in await record.close(RunStatus.SUCCESS)
