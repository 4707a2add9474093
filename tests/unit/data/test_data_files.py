"""The data files of runs: CSV, and what all of them have in common."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data import DataForm, csv_file, writer
from orchestrator.data import RunStore as AnyStore
from orchestrator.data.csv_file import CsvSink
from orchestrator.data.writer import RunWriter
from orchestrator.types import Place, Reading, RunHeader, RunStatus, Severity
from tests.doubles import run_virtual

RunStore = partial(AnyStore, form=DataForm(("csv",)))


def reading(name: str, value: object) -> Reading:
    return Reading(name, value, timestamp=1.5, severity=Severity.NO_ALARM, status=0)  # type: ignore[arg-type] # of any type


def header(run_id: str, name: str, channels: Sequence[str]) -> RunHeader:
    return RunHeader(run_id, name, channels=dict.fromkeys(channels))


def rows_of(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(file).read_text().splitlines()))


async def test_a_channel_that_was_not_known_at_the_start_gets_columns_with_its_first_row(
    tmp_path: Path,
) -> None:
    """What Python samples is known only when it does."""
    recorder = RunStore(tmp_path / "runs").open(header("1", "plan", ["a.x"]))
    recorder.row(Place((), (), ()), {"a.x": reading("a.x", 1.0)})
    recorder.row(Place((), (), ()), {"b.y": reading("b.y", 2.0), "a.x": reading("a.x", 3.0)})
    recorder.row(Place((), (), ()), {"c.z": reading("c.z", 4.0)})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    rows = rows_of(recorder.file)
    assert [[row[name] for name in ("a.x", "b.y", "c.z")] for row in rows] == [
        ["1.0", "", ""], ["3.0", "2.0", ""], ["", "", "4.0"],
    ]  # fmt: skip
    assert rows[1]["b.y:timestamp"] == "1.500000000"
    assert [file.name for file in (tmp_path / "runs/runs/1").iterdir()] == ["data.csv"]


async def test_a_file_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    """Two foreground runs may begin in one millisecond: both keep their rows."""
    (tmp_path / "runs/1").mkdir(parents=True)
    (tmp_path / "runs/1/data.csv").write_text("precious\n")
    recorder = RunStore(tmp_path).open(header("1", "plan", []))
    recorder.row(Place((), (), ()), {"a.x": reading("a.x", 1.0)})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    assert (tmp_path / "runs/1/data.csv").read_text() == "precious\n"
    assert recorder.file == str(tmp_path / "runs/1/data-2.csv")
    assert rows_of(recorder.file)[0]["a.x"] == "1.0"


def cells_of(file: str | Path) -> list[list[str]]:
    most = csv.field_size_limit(10**7)
    try:
        with open(file, newline="") as stream:
            return list(csv.reader(stream))[1:]
    finally:
        csv.field_size_limit(most)


async def written(directory: Path, *values: object) -> list[list[str]]:
    """The rows of a file of two channels, of which the first has these values."""
    recorder = RunStore(directory).open(header("1", "scan", ["a", "b"]))
    for value in values:
        recorder.row(Place(), {"a": reading("a", value), "b": reading("b", 2.5)})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    return cells_of(recorder.file)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([1.5, 2.0]), "[1.5, 2.0]"),
        (np.array([1, 2], np.uint8), "[1, 2]"),
        (np.array([]), "[]"),
        (np.array([np.nan]), "[NaN]"),
        (("a", 'b"c'), '["a", "b\\"c"]'),
        ('long, "quoted"\ntext', 'long, "quoted"\ntext'),
        (3, "3"),
    ],
)
async def test_a_cell_holds_the_value(tmp_path: Path, value: object, text: str) -> None:
    (row,) = await written(tmp_path, value)
    assert row[4:] == [text, "1.500000000", "0", "2.5", "1.500000000", "0"]


async def test_rows_with_arrays_and_others_stand_in_their_order(tmp_path: Path) -> None:
    found = await written(tmp_path, 1, np.array([2, 3]), 'a "text", too', np.array([4]))
    assert [row[0] for row in found] == ["0", "1", "2", "3"]
    assert [row[4] for row in found] == ["1", "[2, 3]", 'a "text", too', "[4]"]


async def test_an_array_of_several_pieces_is_whole(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=3 * csv_file._PIECE + 1)
    (row,) = await written(tmp_path, values)
    np.testing.assert_array_equal(json.loads(row[4]), values)


def test_nothing_that_takes_long_is_done_in_one_go() -> None:
    """No thread but that of the data file could run meanwhile."""
    assert max(map(len, csv_file._pieces([np.full(10**6, 0.123456789)]))) < 100_000


async def test_a_text_beside_an_array_is_quoted(tmp_path: Path) -> None:
    recorder = RunStore(tmp_path).open(header("1", "scan", ["a", "b"]))
    recorder.row(Place(), {"a": reading("a", np.arange(3)), "b": reading("b", 'x, "y"\nz')})
    await recorder.close(RunStatus.SUCCESS)
    (row,) = cells_of(recorder.file)
    assert [row[4], row[7]] == ["[0, 1, 2]", 'x, "y"\nz']


async def test_a_large_array_does_not_keep_a_later_channel_out(tmp_path: Path) -> None:
    """`csv` reads no cell of more than 131,072 characters unless told to."""
    recorder = RunStore(tmp_path).open(header("1", "plan", ["a"]))
    recorder.row(Place(), {"a": reading("a", np.zeros(100_000))})
    recorder.row(Place(), {"b": reading("b", 2.0)})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    assert [len(row) for row in cells_of(recorder.file)] == [10, 10]


@given(
    texts=st.lists(st.text('a,"\r\n€', max_size=6), min_size=1, max_size=5),
    size=st.integers(csv_file._BLOCK - 20, csv_file._BLOCK + 20),
)
def test_a_file_with_more_columns_has_the_cells_that_it_had(texts: list[str], size: int) -> None:
    """Whatever they hold, and wherever one that is copied in pieces is cut."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "1-plan.csv"
        file.touch()
        csv_file._widen(file, (), ("a",))
        rows = [["0", "1", "", "", "x" * size + text, "1.5", "0"] for text in texts]
        with file.open("a", newline="") as stream:
            csv.writer(stream).writerows(rows)
        csv_file._widen(file, ("a",), ("a", 'b, "c"'))
        assert cells_of(file) == [[*row, "", "", ""] for row in rows]
        header = next(csv.reader(file.read_text().splitlines()))
        assert header[4:8] == ["a", "a:timestamp", "a:severity", 'b, "c"']
        assert [each.name for each in Path(directory).iterdir()] == ["1-plan.csv"]


def test_a_file_that_gets_more_columns_is_not_kept_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "1-plan.csv"
    file.touch()
    csv_file._widen(file, (), ("a",))
    with file.open("a", newline="") as stream:
        csv.writer(stream).writerows([n, "1", "", "", "x" * 1000, "1.5", "0"] for n in range(5000))
    tracemalloc.start()
    csv_file._widen(file, ("a",), ("a", "b"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1_000_000 < 5_000_000 < file.stat().st_size


FULL = """
import asyncio, resource, sys
from pathlib import Path
from orchestrator.data import DataForm, RunStore
from orchestrator.types import Place, Reading, RunHeader, RunStatus

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

HEADER = RunHeader("1", "scan", channels={"a": None})

async def main():
    recorder = RunStore(Path(sys.argv[1]), form=DataForm(("csv",))).open(HEADER)
    for number in range(100):
        recorder.row(Place(), {"a": Reading("a", "x" * 997, 1.5, 0, 0)})
    print(await recorder.close(RunStatus.SUCCESS))
    kept = recorder._rows.qsize()
    recorder.row(Place(), {"a": Reading("a", 1.0, 1.5, 0, 0)})
    print(recorder._rows.qsize() - kept)

asyncio.run(main())
"""


def test_a_disk_that_is_full_leaves_no_half_row_and_the_rows_lost_are_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    rows = cells_of(tmp_path / "runs/1/data.csv")
    assert all(len(row) == 7 and len(row[4]) == 997 for row in rows)
    told, waiting = done.stdout.splitlines()[-2:]
    assert told.startswith(f"{100 - len(rows)} of 100 rows are not in ")
    assert told.endswith(": File too large")
    assert waiting == "0", "what nobody takes is not kept either"


async def test_a_row_that_can_t_be_written_is_told_and_those_before_it_stay(tmp_path: Path) -> None:
    """Whatever it is: here half of a pair of surrogates, which UTF-8 has not."""
    recorder = RunStore(tmp_path).open(header("1", "scan", ["a"]))
    recorder.row(Place(), {"a": reading("a", "fine")})
    while recorder._written < 1:  # noqa: ASYNC110 - a thread writes it
        await asyncio.sleep(0.001)
    recorder.row(Place(), {"a": reading("a", "x" * 10_000 + "\ud800")})
    told = await recorder.close(RunStatus.SUCCESS)
    assert told.startswith("1 of 2 rows are not in ")
    assert "UnicodeEncodeError" in told
    assert [row[4] for row in cells_of(tmp_path / "runs/1/data.csv")] == ["fine"]
    assert recorder.file == "", "a file that lacks rows is not told as the run's data"


async def test_rows_that_are_lost_are_told_at_once_a_file_that_was_removed_included(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    recorder = RunStore(tmp_path / "runs", told.append).open(header("1", "scan", ["a"]))
    recorder.row(Place(), {"a": reading("a", 1.0)})
    while recorder._written < 1:  # noqa: ASYNC110 - a thread writes it
        await asyncio.sleep(0.001)
    shutil.rmtree(tmp_path / "runs")
    recorder.row(Place(), {"a": reading("a", 2.0)})
    while not told:  # noqa: ASYNC110 - a thread tells it
        await asyncio.sleep(0.001)
    assert told[0].startswith(f"no more rows are kept in {tmp_path / 'runs/runs/1/data.csv'}: ")
    assert (await recorder.close(RunStatus.SUCCESS)).startswith("2 of 2 rows are not in ")
    assert recorder.file == ""


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 3)


def emptied_and_filled(file: Path) -> None:
    file.write_text("precious\n")


def replaced_by_a_copy(file: Path) -> None:
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    copy.replace(file)


def appended_to(file: Path) -> None:
    with file.open("a") as stream:
        stream.write("precious\n")


def a_link(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.symlink_to(file.with_name("nowhere"))


SPOIL = [emptied, cut, emptied_and_filled, replaced_by_a_copy, appended_to, Path.unlink, a_link]


@pytest.mark.parametrize("spoil", SPOIL)
@pytest.mark.parametrize("later", [(), ("a",), ("a", "b")])
async def test_a_file_that_somebody_else_changes_in_the_run_is_told_and_the_others_work_is_left(
    tmp_path: Path, spoil: Callable[[Path], None], later: tuple[str, ...]
) -> None:
    """Seen with the next row, one with more columns included, at the latest as the run ends."""
    told: list[str] = []
    recorder = RunStore(tmp_path, told.append).open(header("1", "scan", ["a"]))
    recorder.row(Place(), {"a": reading("a", 1.0)})
    while recorder._written < 1:  # noqa: ASYNC110 - a thread writes it
        await asyncio.sleep(0.001)
    spoil(tmp_path / "runs/1/data.csv")
    if later:
        recorder.row(Place(), {name: reading(name, 2.0) for name in later})
    why = await recorder.close(RunStatus.SUCCESS)
    assert str(tmp_path / "runs/1/data.csv") in why
    assert "rows are" in why
    assert "in the run" in why
    assert len(told) == 1
    assert recorder.file == ""
    if spoil in (emptied_and_filled, appended_to):
        assert "precious" in (tmp_path / "runs/1/data.csv").read_text()
        assert "\0" not in (tmp_path / "runs/1/data.csv").read_text()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from orchestrator.data import DataForm, RunStore
from orchestrator.types import Place, Reading, RunHeader, Severity

HEADER = RunHeader("1", "scan", channels={"a": None})

async def main():
    recorder = RunStore(Path(sys.argv[1]), form=DataForm(("csv",))).open(HEADER)
    for number in range(int(sys.argv[2])):
        if recorder.full:
            await recorder.room()
        recorder.row(Place(), {"a": Reading("a", 1.0 * number, 1.5, Severity.NO_ALARM, 0)})
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_service_that_is_killed_loses_no_more_rows_than_is_told(tmp_path: Path) -> None:
    """As fast as they come: the thread that writes them comes to no rest."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "20000"], check=False, timeout=60)
    kept = [float(row[4]) for row in cells_of(tmp_path / "runs/1/data.csv") if len(row) == 7]
    assert kept == list(range(len(kept)))
    assert 20_000 - len(kept) <= writer._MOST_BEHIND == 200


async def test_rows_that_the_disk_has_not_taken_are_bounded_and_room_is_told_to_all_who_wait(
    tmp_path: Path,
) -> None:
    """An array takes long enough to be written that it waits; two branches may sample at once."""
    recorder = RunStore(tmp_path).open(header("1", "scan", ["a"]))
    recorder.row(Place(), {"a": reading("a", 1.0)})
    assert not recorder.full
    recorder.row(Place(), {"a": reading("a", np.broadcast_to(0.0, writer._MOST_WAITING // 8))})
    assert recorder.full
    async with asyncio.timeout(60):
        await asyncio.gather(recorder.room(), recorder.room())
    assert not recorder.full
    assert await recorder.close(RunStatus.SUCCESS) == ""


async def test_a_disk_that_fails_makes_room(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("no directory")
    recorder = RunStore(tmp_path / "runs").open(header("1", "scan", ["a"]))
    recorder.row(Place(), {"a": reading("a", np.broadcast_to(0.0, writer._MOST_WAITING // 8))})
    async with asyncio.timeout(60):
        await recorder.room()
    assert not recorder.full


@pytest.mark.parametrize("name", ["x" * 300, "é" * 300, "💡" * 300, "a" * 99 + "é" * 9, "/" * 5000])
async def test_the_rows_of_a_run_with_a_long_name_are_kept(tmp_path: Path, name: str) -> None:
    form = DataForm(("csv",), "{name}")
    recorder = AnyStore(tmp_path, form=form).open(header("20260131-142501-037", name, ["a.x"]))
    recorder.row(Place((), (), ()), {"a.x": reading("a.x", 1.0), "b.y": reading("b.y", 1.0)})
    recorder.row(Place((), (), ()), {"c.y": reading("c.y", 2.0)})  # by way of a second file
    assert await recorder.close(RunStatus.SUCCESS) == ""
    assert len(rows_of(recorder.file)) == 2


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [(1_795_000_000, 123_456_789), (1_795_000_000, 999_999_999), (0, 1), (1_795_000_000, 0)],
)
async def test_a_time_stamp_has_the_nine_digits_of_its_ioc(
    tmp_path: Path, seconds: int, nanoseconds: int
) -> None:
    """Facilities count pulses in the last bits, of which a float of today has none."""
    stamp = seconds + nanoseconds * 1e-9
    for kept in (stamp, round(stamp, 6)):
        recorder = RunStore(tmp_path).open(header(str(kept), "plan", ["a.x"]))
        recorder.row(Place((), (), ()), {"a.x": Reading("a.x", 1.0, kept, nanoseconds=nanoseconds)})
        assert await recorder.close(RunStatus.SUCCESS) == ""
        assert rows_of(recorder.file)[0]["a.x:timestamp"] == f"{seconds}.{nanoseconds:09d}"


class Looked(RunWriter):
    """Counts how often somebody looks whether there is room."""

    looks = 0

    @property
    def full(self) -> bool:
        self.looks += 1
        assert self.looks < 100, "it spins"
        return super().full


def test_who_waits_for_a_slow_disk_sleeps_though_it_is_woken_in_vain(tmp_path: Path) -> None:
    """Two branches may sample at once: the one that was second spun, and the loop stood."""

    async def waiting() -> tuple[int, int]:
        scan = header("1", "scan", ["a"])
        recorder = Looked(scan, [CsvSink(tmp_path / "data.csv")])
        recorder._bytes_in = 2 * writer._MOST_WAITING  # as if so much waited
        tasks = [asyncio.create_task(recorder.room(), name=f"{n}") for n in range(2)]
        await asyncio.sleep(0)
        for wake in recorder._wakes:
            wake()
        for _ in range(100):
            await asyncio.sleep(0)
        looks, recorder._bytes_in = recorder.looks, 0
        for wake in list(recorder._wakes):
            wake()
        await asyncio.gather(*tasks)
        return looks, len(recorder._wakes)

    assert run_virtual(waiting()) == (4, 0), "each when it came and when it was woken"
