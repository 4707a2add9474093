"""The data file of a killed run has, whoever looks at it, all rows that were told of."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from orchestrator.data import RunRecords
from orchestrator.data.journal.file import file_name, locked
from orchestrator.data.mending import mend_data
from orchestrator.data.past import PastRuns
from orchestrator.types import (
    Metadata,
    NativeType,
    Place,
    Reading,
    RunEnded,
    RunHeader,
    RunStatus,
    Value,
)
from sim_iocs.testing import until

HEADER = RunHeader(
    "20261130T160423.423Z-k3",
    "scan",
    channels={"a": Metadata(NativeType.DOUBLE, units="mm"), "b": None},
)


def no_trouble(why: str) -> None:
    raise AssertionError(why)


def rows_in(path: Path) -> int:
    with h5py.File(path, libver="latest", swmr=True) as file:
        return len(file["entry/rows/point"])


def copied_with_four(path: Path, to: Path) -> bool:
    """Whether a copy has four rows: it is no moment of the file where that is written meanwhile."""
    try:
        with h5py.File(shutil.copy(path, to), libver="latest", swmr=True) as file:
            values = [own[:].tolist() for own in file["entry/channels/a"].values()]
            rows = [len(own) for own in file["entry/rows"].values()]
            known = file["entry/rows/point"][:].tolist(), file["entry/baseline/a/value"][:].tolist()
            is_timed = bool(file["entry/rows/time"][:].all())
    except (OSError, KeyError, RuntimeError):
        return False
    has_all = known == ([0, 1, 2, 3], [0.25]) and [0.5, 1.5, 2.5, 3.5] in values and is_timed
    return has_all and {*map(len, values), *rows} == {4}


async def killed(tmp_path: Path, last: Value | None = None) -> Path:
    """The folder of a run as a kill leaves it: nine rows are told of, four are in `data.h5`."""
    records = RunRecords(tmp_path / "store", no_trouble)
    folder = tmp_path / "store" / "runs" / HEADER.run_id
    record = records.open(HEADER)
    record.baseline("start", {"a": Reading("a", 0.25, 1.0)})
    for number in range(9):
        at = Place(("steps", 0), (number,))
        b = None if last is None or number < 8 else Reading("b", last, 1.5)
        record.row(at, {"a": Reading("a", number + 0.5, 1.5), "b": b})
        if number == 3:
            await asyncio.to_thread(until, lambda: (folder / "data.h5").exists())
            await asyncio.to_thread(until, lambda: copied_with_four(folder / "data.h5", tmp_path))
    journal = folder / file_name(1)
    await asyncio.to_thread(until, lambda: b'"point":8' in journal.read_bytes())
    copy = tmp_path / "copy"  # nobody holds it
    shutil.copytree(tmp_path / "store" / "runs", copy / "runs")
    shutil.copy(tmp_path / "data.h5", copy / "runs" / HEADER.run_id)
    await record.close(RunStatus.SUCCESS)
    records.heard(RunEnded(HEADER.run_id, RunStatus.SUCCESS, "", 0))
    await records.close()
    return copy / "runs" / HEADER.run_id


def assert_has_all(path: Path) -> None:
    with h5py.File(path) as file:
        entry = file["entry"]
        assert entry["channels/a/value"][:].tolist() == [number + 0.5 for number in range(9)]
        assert entry["rows/point"][:].tolist() == list(range(9))
        assert entry["rows/superseded"][:].tolist() == [0] * 9
        assert entry["channels/a/value"].attrs["units"] == "mm"
        assert entry["baseline/a/value"][:].tolist() == [0.25]
        assert entry["run/status"].asstr()[()] == "Interrupted"


async def test_rows_that_were_told_of_are_filled_in_when_the_run_is_looked_at(
    tmp_path: Path,
) -> None:
    folder = await killed(tmp_path)
    assert PastRuns(folder.parents[1]).find("last").folder == folder
    assert_has_all(folder / "data.h5")
    inode = (folder / "data.h5").stat().st_mtime_ns
    PastRuns(folder.parents[1]).find("last")
    assert (folder / "data.h5").stat().st_mtime_ns == inode, "once is enough"


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3])
async def test_a_file_that_cant_be_read_is_made_anew_and_that_is_told(
    tmp_path: Path, part: float
) -> None:
    folder = await killed(tmp_path)
    data = folder / "data.h5"
    os.truncate(data, int(data.stat().st_size * part))
    left, told = data.read_bytes(), list[str]()
    records = RunRecords(folder.parents[1], told.append)
    assert list(records.left_queues()) == []
    (run,) = records.interrupted()
    assert run.folder == folder
    assert_has_all(data)
    assert (folder / "data.h5.unreadable").read_bytes() == left
    assert len(told) == 1
    assert f"{data} could not be read" in told[0]
    assert "is made anew from the journal" in told[0]


async def test_arrays_that_the_journal_has_not_in_whole_are_told(tmp_path: Path) -> None:
    folder, told = await killed(tmp_path, last=np.arange(100.0)), list[str]()
    mend_data(folder, told.append)
    with h5py.File(folder / "data.h5") as file:
        assert file["entry/rows/point"][:].tolist() == list(range(9))
    assert len(told) == 1
    assert "of 1 rows, taken as its process was killed, long arrays are lost" in told[0]


async def test_a_run_that_goes_on_at_that_moment_is_left_alone(tmp_path: Path) -> None:
    folder = await killed(tmp_path)
    lock = locked(folder / file_name(1))
    try:
        mend_data(folder)
        assert rows_in(folder / "data.h5") == 4
    finally:
        os.close(lock)
