"""Writes the data of a run to its sinks, in a thread of its own, and bounds what waits for it."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from orchestrator.data.csv_file import CsvSink
from orchestrator.data.sinks import Row, Sink, SpoiltError
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


def _nobody(_why: str) -> None:
    """For those who ask when they close it."""


class RunStore:
    """Implements `ports.Store`: one CSV file a run, `{directory}/{run_id}-{name}.csv`."""

    def __init__(self, directory: Path, lost: Callable[[str], None] = _nobody) -> None:
        """The directory is made with the first file.

        Args:
            directory: Where the files go.
            lost: Called in a thread, once a file, with why no more rows are kept.
        """
        self._directory = directory
        self._lost = lost

    def open(self, header: RunHeader) -> RunWriter:
        """See `ports.Store.open`."""
        return RunWriter(header, [CsvSink(self._directory, header)], self._lost)


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


class RunWriter:
    """Implements `ports.Recorder`: hands header, rows and end to the sinks of one run.

    A sink that fails is told and left out; the others go on.
    """

    def __init__(
        self,
        header: RunHeader,
        sinks: Iterable[Sink],
        lost: Callable[[str], None] = _nobody,
    ) -> None:
        """Nothing is made before the first row; `lost` as in `RunStore`."""
        self.journal = NoJournal()
        self._header = header
        self._sinks = [_Kept(sink) for sink in sinks]
        self._rows: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._bytes_in = 0  # of all rows that were offered; written to by the loop only
        self._bytes_out = 0  # of those that wait no longer; by the thread only
        self._wakes: list[Callable[[], object]] = []
        self._taken = 0
        self._written = 0  # rows that are with the operating system in each sink that works
        self._works = True  # whether any sink keeps rows; written to by the thread only
        self._status = RunStatus.UNDEFINED
        self._lost = lost

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        if self._thread is None:
            return ""
        whole = (str(k.sink.file) for k in self._sinks if not (k.error or k.late))
        return next(whole, "")

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
        """See `ports.Recorder.describe`: a table of values has no room for it."""

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""
        row = Row(self._taken, at, readings)
        self._taken += 1
        if not self._works:
            return  # nobody would take it
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="data of a run", daemon=True)
            self._thread.start()
        self._bytes_in += _size(row)
        self._rows.put(row)

    async def close(self, status: RunStatus) -> str:
        """See `ports.Recorder.close`."""
        if self._thread is None:
            return ""
        self._status = status
        self._rows.put(None)
        await asyncio.to_thread(self._thread.join, _FINISH)
        lacks = [kept.lack(self._taken) for kept in self._sinks]
        for kept, lack in zip(self._sinks, lacks, strict=True):
            kept.late = bool(lack)
        return "; ".join(lack for lack in lacks if lack)

    # The thread ---------------------------------------------------------------------------------

    def _write(self) -> None:
        self._each(lambda sink: sink.open(self._header))
        unflushed = 0
        while self._works and (row := self._rows.get()) is not None:
            self._take(row)
            unflushed += 1
            if unflushed >= _A_FLUSH or self._rows.empty():
                self._flush()
                unflushed = 0
            self._freed(_size(row))
        self._flush()
        self._each(lambda sink: sink.end(self._status))

    def _take(self, row: Row) -> None:
        self._each(lambda sink: sink.row(row))

    def _flush(self) -> None:
        """Hand all rows so far to the operating system."""
        self._each(lambda sink: sink.flush())
        self._written = min(k.sink.rows for k in self._sinks if not k.error or not self._works)

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


def _size(row: Row) -> int:
    """Bytes that a row holds in memory, about."""
    values = (reading.value for reading in row.readings.values() if reading is not None)
    return sum(
        _A_READING + (v.nbytes if isinstance(v, np.ndarray) else sys.getsizeof(v)) for v in values
    )
