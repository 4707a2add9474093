"""Sinks side by side: each gets header, rows and end, and fails on its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.data import writer
from orchestrator.data.csv_file import CsvSink
from orchestrator.data.sinks import Baseline, Row, SpoiltError
from orchestrator.data.writer import RunWriter
from orchestrator.types import Metadata, NativeType, Place, Reading, RunHeader, RunStatus

HEADER = RunHeader("1", "scan", channels={"a": None})


class Kept:
    """A sink in memory, which fails where it is told to."""

    def __init__(self, name: str = "kept", fails: str = "", error: Exception | None = None) -> None:
        self.file = Path(name)
        self.calls: list[Any] = []
        self.rows = 0
        self.taken = 0
        self.fails = fails
        self.error = error or OSError(28, "No space left on device")
        self.wait: threading.Event | None = None

    def _call(self, name: str, *args: Any) -> None:
        self.calls.append((name, *args) if args else name)
        if name == self.fails:
            raise self.error

    def open(self, header: RunHeader) -> None:
        self._call("open", header)

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        self._call("describe", dict(channels))

    def row(self, row: Row) -> None:
        if self.wait is not None:
            self.wait.wait()
        self._call("row", row.point)
        self.taken += 1

    def baseline(self, baseline: Baseline) -> None:
        self._call("baseline", baseline.when)

    def update(self, reading: Reading) -> None:
        self._call("update", reading.value)

    def flush(self) -> None:
        self._call("flush")
        self.rows = self.taken

    def end(self, status: RunStatus, message: str) -> None:
        self._call("end", status, message)

    def give_up(self) -> None:
        self._call("give_up")


def take(recorder: RunWriter, count: int) -> None:
    for number in range(count):
        recorder.row(Place(), {"a": Reading("a", float(number), 1.5)})


async def test_a_sink_gets_header_rows_and_end_in_this_order() -> None:
    sink = Kept()
    recorder = RunWriter(HEADER, [sink])
    assert recorder.file == ""
    assert sink.calls == [], "nothing is made before the first row"
    known = {"a": Metadata(NativeType.DOUBLE, units="mm")}
    recorder.describe(known)
    take(recorder, 2)
    assert await recorder.close(RunStatus.STOPPED, "enough") == ""
    told = [call for call in sink.calls if call != "flush"]
    end = ("end", RunStatus.STOPPED, "enough")
    assert told == [("open", HEADER), ("describe", known), ("row", 0), ("row", 1), end]
    assert sink.calls[-2] == "flush", "what is ended is whole"
    assert recorder.file == "kept"


@pytest.mark.parametrize("fails", ["open", "row", "flush", "end"])
async def test_a_sink_that_fails_is_told_and_the_others_go_on(tmp_path: Path, fails: str) -> None:
    bad, good, told = Kept("bad", fails), Kept("good"), list[str]()
    csv = CsvSink(tmp_path / "data.csv")
    recorder = RunWriter(HEADER, [bad, csv, good], told.append)
    take(recorder, 3)
    why = await recorder.close(RunStatus.SUCCESS)
    assert "bad: No space left on device" in why
    assert why.count(";") == 0, "of the others there is nothing to tell"
    assert told == ["no more rows are kept in bad: No space left on device"]
    assert bad.calls[-1] == "give_up"
    assert [call for call in good.calls if call[0] == "row"] == [("row", n) for n in range(3)]
    assert len(csv.file.read_text().splitlines()) == 4
    assert recorder.file == str(csv.file), "the first that has all rows"
    assert not recorder.full


async def test_each_of_several_that_fail_is_told_with_what_it_lacks() -> None:
    spoilt = Kept("spoilt", "flush", SpoiltError("it was cut off in the run"))
    gone = Kept("gone", "flush", SpoiltError("it was removed in the run", gone=True))
    recorder = RunWriter(HEADER, [spoilt, gone])
    take(recorder, 2)
    assert await recorder.close(RunStatus.SUCCESS) == (
        "rows are missing in spoilt: it was cut off in the run; "
        "2 of 2 rows are not in gone: it was removed in the run"
    )
    assert recorder.file == ""


async def test_the_slowest_sink_bounds_what_waits() -> None:
    slow, quick = Kept("slow"), Kept("quick")
    slow.wait = threading.Event()
    recorder = RunWriter(HEADER, [quick, slow])
    take(recorder, writer._MOST_BEHIND)
    assert recorder.full
    waits = asyncio.create_task(recorder.room(), name="waits")
    await asyncio.sleep(0.01)
    assert not waits.done()
    slow.wait.set()
    async with asyncio.timeout(10):
        await waits
    assert await recorder.close(RunStatus.SUCCESS) == ""
    assert quick.rows == slow.rows == writer._MOST_BEHIND
