"""The file of kept values: what was told is in it, whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.own_pvs import KeptValues
from orchestrator.own_pvs import kept_values as module


async def kept(values: KeptValues, *pairs: tuple[str, object]) -> None:
    """Return when all of them are told to be kept."""
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in pairs]
    for (name, value), done in zip(pairs, waiting, strict=True):
        values.keep(name, value, lambda done=done: done.set_result(None))
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)


def run(work: Callable[[], object]) -> None:
    asyncio.run(work())


def test_what_is_told_to_be_kept_is_in_the_file_by_then(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "own.jsonl"

    async def work() -> None:
        values = KeptValues(file)
        await kept(values, ("own.a", 1.5), ("own.b", "On"), ("own.a", 2.5))
        # Nothing was closed: so a process that is killed now leaves it.
        assert KeptValues(file).read() == {"own.a": 2.5, "own.b": "On"}
        await values.close()

    run(work)


def test_values_of_each_type_come_back_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    many = {"f": 0.1 + 0.2, "nan": float("nan"), "i": 2**31 - 1, "t": "ü\nzwei", "a": [1.0, 2.5]}

    async def work() -> None:
        values = KeptValues(file)
        await kept(values, *many.items())
        await values.close()

    run(work)
    read = KeptValues(file).read()
    assert repr(read) == repr(many)


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"own": "own.a", "value": 1}\nnonsense\n[1]\n{"own": "own.b", "val')
    first = KeptValues(file)
    assert first.read() == {"own.a": 1}

    async def work() -> None:
        await kept(first, ("own.b", 2))
        await first.close()

    run(work)
    assert KeptValues(file).read() == {"own.a": 1, "own.b": 2}


def test_the_file_does_not_grow_without_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_LINES", 100)
    file = tmp_path / "own.jsonl"
    file.write_text('{"own": "own.old", "value": 7}\n')

    async def work() -> None:
        values = KeptValues(file, alone=True)
        values.read()
        most = 0
        for n in range(1000):
            await kept(values, ("own.a", n))
            most = max(most, len(file.read_text().splitlines()))
            assert json.loads(file.read_text().splitlines()[-1])["value"] == n
        assert most <= 101
        await values.close()

    run(work)
    assert KeptValues(file).read() == {"own.old": 7, "own.a": 999}


def test_a_file_that_another_process_has_written_anew_is_found(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"

    async def work() -> None:
        values = KeptValues(file)
        await kept(values, ("own.a", 1))
        (tmp_path / "new").write_text('{"own": "own.b", "value": 5}\n')
        (tmp_path / "new").replace(file)
        await kept(values, ("own.a", 2))
        await values.close()

    run(work)
    assert KeptValues(file).read() == {"own.b": 5, "own.a": 2}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_a_full_disk_is_told_once_and_holds_nobody_up(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.symlink_to("/dev/full")
    told: list[str] = []

    async def work() -> None:
        values = KeptValues(file, lost=told.append)
        for n in range(3):
            await kept(values, ("own.a", n))
        assert told == [f"values of own PVs are not kept in {file}: No space left on device"]
        file.unlink()
        await kept(values, ("own.b", 4))
        await values.close()

    run(work)
    assert KeptValues(file).read() == {"own.a": 2, "own.b": 4}, "what could not be kept is, too"
