"""Writes the data of a run to its sinks, in a thread of its own, and bounds what waits for it."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import structlog

from orchestrator.data.csv_file import CsvSink
from orchestrator.data.documents import DocumentOutputs, DocumentsSink
from orchestrator.data.file_names import file_name
from orchestrator.data.hdf5 import Hdf5Sink
from orchestrator.data.sinks import Baseline, Row, Sink, SpoiltError
from orchestrator.ports import NoJournal
from orchestrator.types import Metadata, Place, Reading, RunHeader, RunStatus

_FINISH = 30.0
"""s that the last rows may take to reach the disk."""

_MOST_WAITING = 64 * 2**20
"""Bytes of rows that may wait for the disk; then `sample` waits. One row may be larger."""

_MOST_BEHIND = 200
"""Rows that may not yet be with the operating system; then `sample` waits. A service that is
killed loses no more of those that were told."""

_A_FLUSH = 50
"""Rows after which they are handed to the operating system though more wait already."""

_A_READING = 200
"""Bytes of a reading in memory beside its value, about."""

log = structlog.get_logger(__name__)


def _nobody(*_what: str) -> None:
    """For those who ask when they close it."""


class DataForm(NamedTuple):
    """In which forms the data of each run are kept, and under which names."""

    formats: Sequence[str] = ("hdf5", "csv")
    """The first is the one that is told of."""
    file_name: str = "data"
    """A template, see `file_names.py`; the format gives the end."""


AS_EVER = DataForm()


class RunStore:
    """Implements `ports.Store`: data files in `{directory}/runs/{run_id}`."""

    def __init__(
        self,
        directory: Path,
        lost: Callable[[str], None] = _nobody,
        form: DataForm = AS_EVER,
        made: Callable[[str, str], None] = _nobody,
        documents: DocumentOutputs | None = None,
        make: Callable[[Path], None] | None = None,
    ) -> None:
        """A run's folder is made with its first file.

        Args:
            directory: The store's.
            lost: Called in a thread, once a file, with why no more rows are kept.
            form: What is made.
            made: Called in a thread with the run's id and its file, when that has the first row.
            documents: Who wants documents of bluesky; None = nobody.
            make: Makes the folder of a run, where its journal has not.
        """
        self._make = make or _make_folder
        self._documents = documents
        self._directory = directory
        self._lost = lost
        self._form = form
        self._made = made

    def open(self, header: RunHeader) -> RunWriter:
        """See `ports.Store.open`."""
        return self._writer(header, self._stem(header))

    def go_on(self, header: RunHeader, former: FormerRows) -> RunWriter:
        """The files of a run that goes on: those that it has."""
        return self._writer(header, self._stem(former.header), former)

    def _stem(self, header: RunHeader) -> Path:
        return self._directory / "runs" / header.run_id / file_name(self._form.file_name, header)

    def _writer(self, header: RunHeader, stem: Path, former: FormerRows | None = None) -> RunWriter:
        sinks = [_SINKS[form](stem) for form in self._form.formats]
        if self._documents is not None and self._documents.are_any:
            path = stem.with_name("documents.jsonl")
            sinks.append(DocumentsSink(path, header, self._documents, self._lost))
        made, folder = partial(self._made, header.run_id), self._directory / "runs" / header.run_id
        begins = partial(self._make, folder)
        return RunWriter(header, sinks, self._lost, made, former, begins)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


_SINKS: Mapping[str, Callable[[Path], Sink]] = {
    "hdf5": lambda stem: Hdf5Sink(stem.with_name(f"{stem.name}.h5")),
    "csv": lambda stem: CsvSink(stem.with_name(f"{stem.name}.csv")),
}


class FormerRows(NamedTuple):
    """The rows that a run has taken before it goes on."""

    header: RunHeader
    """That of its start, after which its files are named."""
    points: int
    """How many."""
    superseded: int
    """The number of the first that is superseded."""
    lacking: Callable[[int], Iterable[Row]]
    """Gives them from a number on; called in the thread, for a file that has not all of them."""


class _Kept:
    """A sink, with what has become of it. Written to by the thread only."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.error = ""
        """Why it keeps no more."""
        self.spoilt = False
        """By somebody else: what it holds is not known."""
        self.late = False
        """Not all was in it when the run had ended. Written to by the loop only."""

    def lack(self, taken: int) -> str:
        """What is missing in it, of so many rows; empty = nothing."""
        missing, file = taken - self.sink.rows, self.sink.file
        if self.spoilt or (self.error and not missing):
            return f"rows are missing in {file}: {self.error}"
        if not missing:
            return ""
        reason = self.error or f"the disk did not take them within {_FINISH:g} s"
        return f"{missing} of {taken} rows are not in {file}: {reason}"


_Item: TypeAlias = Row | Baseline | Reading | Mapping[str, Metadata]
"""What waits for the thread: a row, a baseline, an update, or what channels are."""


class RunWriter:
    """Implements `ports.Recorder`: hands header, rows and end to the sinks of one run.

    A sink that fails is told and left out; the others go on.
    """

    def __init__(
        self,
        header: RunHeader,
        sinks: Iterable[Sink],
        lost: Callable[[str], None] = _nobody,
        made: Callable[[str], None] = _nobody,
        former: FormerRows | None = None,
        begins: Callable[[], None] = _nobody,
    ) -> None:
        """Nothing is made before the first row; `lost` and `made` as in `RunStore`.

        `former`: the rows that there are already, of a run that goes on. `begins`: called in the
        thread before that.
        """
        self._begins = begins
        self.journal = NoJournal()
        self._header = header
        self._sinks = [_Kept(sink) for sink in sinks]
        self._rows: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._bytes_in = 0  # of all rows that were offered; written to by the loop only
        self._bytes_out = 0  # of those that wait no longer; by the thread only
        self._wakes: list[Callable[[], object]] = []
        self._taken = 0
        self._written = 0  # rows that are with the operating system in each sink that works
        self._works = True  # whether any sink keeps rows; written to by the thread only
        self._outcome = RunStatus.UNDEFINED, ""
        self._lost = lost
        self._made = made
        self._told = ""  # the file that was told of
        self._former = former
        if former is not None and former.points:
            self._taken = self._written = former.points
            self._start()

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        if self._thread is None:
            return ""
        whole = (k.sink.file for k in self._sinks if not (k.error or k.late))
        return next((str(file) for file in whole if file.name), "")

    @property
    def full(self) -> bool:
        """See `ports.Recorder.full`."""
        late = self._bytes_in - self._bytes_out >= _MOST_WAITING or self._behind >= _MOST_BEHIND
        return late and self._works

    @property
    def _behind(self) -> int:
        """Rows that would be lost if the service was killed now."""
        return self._taken - self._written

    async def room(self) -> None:
        """See `ports.Recorder.room`."""
        loop, freed = asyncio.get_running_loop(), asyncio.Event()
        wake = partial(loop.call_soon_threadsafe, freed.set)
        self._wakes.append(wake)  # before one looks
        try:
            while self.full:
                await freed.wait()
                freed.clear()
        finally:
            self._wakes.remove(wake)

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `ports.Recorder.describe`."""
        if self._works:
            self._rows.put(dict(channels))

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""
        row = Row(self._taken, at, readings, time.time_ns())
        self._taken += 1
        self._put(row, _size(row.readings.values()))

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.baseline`."""
        self._put(Baseline(when, readings, time.time_ns()), _size(readings.values()))

    def update(self, reading: Reading) -> None:
        """See `ports.Recorder.update`."""
        self._put(reading, _size([reading]))

    def _put(self, item: _Item, size: int) -> None:
        if not self._works:
            return  # nobody would take it
        if self._thread is None:
            self._start()
        self._bytes_in += size
        self._rows.put(item)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._write, name="data of a run", daemon=True)
        self._thread.start()

    async def close(self, status: RunStatus, message: str = "") -> str:
        """See `ports.Recorder.close`."""
        if self._thread is None:
            return ""
        self._outcome = status, message
        self._rows.put(None)
        await asyncio.to_thread(self._thread.join, _FINISH)
        lacks = [kept.lack(self._taken) for kept in self._sinks]
        for kept, lack in zip(self._sinks, lacks, strict=True):
            kept.late = bool(lack)
        return "; ".join(lack for lack in lacks if lack)

    # The thread ---------------------------------------------------------------------------------

    def _write(self) -> None:
        with suppress(OSError):  # who needs the folder will tell
            self._begins()
        self._each(self._begin)
        unflushed = 0
        while self._works and (item := self._rows.get()) is not None:
            size = self._take(item)
            unflushed += 1
            if unflushed >= _A_FLUSH or self._rows.empty():
                self._flush()
                unflushed = 0
            self._freed(size)
        self._flush()
        self._each(lambda sink: sink.end(*self._outcome))

    def _begin(self, sink: Sink) -> None:
        former = self._former
        if former is None or not former.points:
            sink.open(self._header)
            return
        there = sink.go_on(self._header, former.superseded)
        for row in former.lacking(there):
            if row.point < former.points:
                sink.row(row._replace(superseded=row.point >= former.superseded))

    def _take(self, item: _Item) -> int:
        """Give it to the sinks; the bytes that it was counted with."""
        match item:
            case Row():
                self._each(lambda sink: sink.row(item))
                return _size(item.readings.values())
            case Baseline():
                self._each(lambda sink: sink.baseline(item))
                return _size(item.readings.values())
            case Reading():
                self._each(lambda sink: sink.update(item))
                return _size([item])
            case _:
                self._each(lambda sink: sink.describe(item))
                return 0

    def _flush(self) -> None:
        """Hand all rows so far to the operating system."""
        self._each(lambda sink: sink.flush())
        self._written = min(k.sink.rows for k in self._sinks if not k.error or not self._works)
        if self.file != self._told:
            self._told = self.file
            self._made(self._told)

    def _each(self, work: Callable[[Sink], object]) -> None:
        """Do something with each sink that works."""
        for kept in self._sinks:
            if not kept.error:
                self._try(kept, work)

    def _try(self, kept: _Kept, work: Callable[[Sink], object]) -> None:
        try:
            work(kept.sink)
        except SpoiltError as error:
            kept.spoilt = not error.gone
            self._failed(kept, str(error))
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) else None
            if not reason:
                log.exception("A row could not be written", file=str(kept.sink.file))
            self._failed(kept, reason or repr(error))

    def _failed(self, kept: _Kept, reason: str) -> None:
        with suppress(OSError):
            kept.sink.give_up()
        kept.error = reason
        self._works = not all(each.error for each in self._sinks)
        self._freed(0)
        self._lost(f"no more rows are kept in {kept.sink.file}: {reason}")

    def _freed(self, size: int) -> None:
        """So many bytes wait no longer."""
        self._bytes_out += size
        # Not at the first row that is free: who waits would be woken for each.
        few = self._behind <= _MOST_BEHIND // 2 or not self._works
        if self._wakes and not self.full and few:
            for wake in tuple(self._wakes):
                wake()


def _size(readings: Iterable[Reading | None]) -> int:
    """Bytes that they hold in memory, about."""
    values = (reading.value for reading in readings if reading is not None)
    return sum(
        _A_READING + (v.nbytes if isinstance(v, np.ndarray) else sys.getsizeof(v)) for v in values
    )
