"""The data files of runs: CSV, a row a sample, written by a thread of its own."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import structlog

from orchestrator.types import Place, Reading, RunStatus, path_text

_FINISH = 30.0
"""s that the last rows may take to reach the disk."""

_PIECE = 4096
"""Elements of an array that are turned into text at a time. Python does nothing else meanwhile:
16 million at once held up every client of the service for five seconds."""

_MOST_WAITING = 64 * 2**20
"""Bytes of rows that may wait for the disk; then `sample` waits. One row may be larger."""

_LONGEST_NAME = 100
"""Bytes of a sequence's name in that of its file; the id before it tells runs apart."""

_BLOCK = 65536
"""Characters of a file that are copied at a time."""

log = structlog.get_logger(__name__)


def _nobody(_why: str) -> None:
    """For those who ask when they close it."""


_Cell = str | float | npt.NDArray[np.generic]
_Row = list[_Cell]
_Columns = tuple[str, ...]
"""The channels that a row has cells for."""


class CsvStore:
    """Implements `ports.Store`: one file a run, `{directory}/{run_id}-{name}.csv`.

    Columns: point (from 0), step, loop (indices, outermost first), try (which try of each retried
    step around it, from 1; a row of a failed try stays), then for each channel its value,
    `{channel}:timestamp` (the IOC's, Unix s) and `{channel}:severity` (0 … 3). A channel that the
    row did not sample, or that did not answer, has empty cells. Arrays are JSON lists.

    A channel that was not known at the start, as Python may sample any, gets its columns behind the
    others with its first row; the file is then replaced by a wider one.
    """

    def __init__(self, directory: Path, lost: Callable[[str], None] = _nobody) -> None:
        """The directory is made with the first file.

        Args:
            directory: Where the files go.
            lost: Called in a thread, once a file, with why no more rows are kept.
        """
        self._directory = directory
        self._lost = lost

    def open(self, run_id: str, name: str, channels: Sequence[str]) -> CsvRecorder:
        """See `ports.Store.open`."""
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name) or "sequence"
        # Bytes of UTF-8, not letters: a file's name holds 255 of them.
        safe = safe.encode()[:_LONGEST_NAME].decode(errors="ignore")
        return CsvRecorder(self._directory / f"{run_id}-{safe}.csv", channels, self._lost)


class CsvRecorder:
    """Implements `ports.Recorder`."""

    def __init__(
        self, file: Path, channels: Sequence[str], lost: Callable[[str], None] = _nobody
    ) -> None:
        """Nothing is made before the first row; `lost` as in `CsvStore`."""
        self._path = file
        self._channels: _Columns = tuple(channels)
        self._rows: queue.SimpleQueue[tuple[_Columns, _Row] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._bytes_in = 0  # of all rows that were offered; written to by the loop only
        self._bytes_out = 0  # of those that wait no longer; by the thread only
        self._wakes: list[Callable[[], object]] = []
        self._taken = 0
        self._written = 0
        self._whole: int | None = None  # bytes of the file up to its last whole row
        self._error = ""
        self._lost = lost

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        return str(self._path) if self._thread is not None and not self._error else ""

    @property
    def full(self) -> bool:
        """See `ports.Recorder.full`."""
        return self._bytes_in - self._bytes_out >= _MOST_WAITING and not self._error

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

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""
        loops, tries = (" ".join(map(str, numbers)) for numbers in (at.loops, at.tries))
        self._channels += tuple(name for name in readings if name not in self._channels)
        row: _Row = [self._taken, path_text(at.path), loops, tries]
        for name in self._channels:
            row += _cells(readings.get(name))
        self._taken += 1
        if self._error:
            return  # nobody would take it
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="data file", daemon=True)
            self._thread.start()
        self._bytes_in += _size(row)
        self._rows.put((self._channels, row))

    async def close(self, status: RunStatus) -> str:
        """See `ports.Recorder.close`."""
        del status  # the CSV file holds rows only
        if self._thread is None:
            return ""
        self._rows.put(None)
        await asyncio.to_thread(self._thread.join, _FINISH)
        if self._written == self._taken:
            return ""
        self._error = self._error or f"the disk did not take them within {_FINISH:g} s"
        lost = self._taken - self._written
        return f"{lost} of {self._taken} rows are not in {self._path}: {self._error}"

    def _write(self) -> None:
        columns: _Columns = ()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path = _made(self._path)
            item = self._rows.get()
            while item is not None:
                _widen(self._path, columns, item[0])
                columns = item[0]
                with self._path.open("a", newline="", encoding="utf-8") as file:
                    self._is_whole(file, 0)
                    item = self._write_rows(file, item)
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) else None
            self._error = reason or repr(error)
            if not reason:
                log.exception("A row could not be written", file=str(self._path))
            self._cut_off()
            self._freed(0)
            self._lost(f"no more rows are kept in {self._path}: {self._error}")

    def _write_rows(
        self, file: TextIO, item: tuple[_Columns, _Row] | None
    ) -> tuple[_Columns, _Row] | None:
        """Write rows of the same columns; the first one of others, or None at the end."""
        columns = item[0] if item else ()
        writer = csv.writer(file)
        unflushed = 0
        while item is not None and item[0] == columns:
            if any(isinstance(cell, np.ndarray) for cell in item[1]):
                file.writelines(_pieces(item[1]))
            else:
                writer.writerow(item[1])
            self._freed(_size(item[1]))
            unflushed += 1
            if self._rows.empty():
                self._is_whole(file, unflushed)
                unflushed = 0
            item = self._rows.get()
        self._is_whole(file, unflushed)
        return item

    def _freed(self, size: int) -> None:
        """So many bytes wait no longer."""
        self._bytes_out += size
        if self._wakes and not self.full:
            for wake in tuple(self._wakes):
                wake()

    def _is_whole(self, file: TextIO, rows: int) -> None:
        """So many rows more make the file whole; raises if it is there no longer."""
        file.flush()
        try:
            self._whole = self._path.stat().st_size
        except FileNotFoundError:
            self._written, self._whole = 0, None
            raise
        self._written += rows

    def _cut_off(self) -> None:
        """Take away what stands behind the last whole row: half of one where the disk is full."""
        if self._whole is not None:
            with suppress(OSError):
                os.truncate(self._path, self._whole)


def _made(path: Path) -> Path:
    """Make the file, with a number where another run has it: two may begin in one millisecond."""
    number, own = 1, path
    while True:
        try:
            own.open("x", encoding="utf-8").close()
        except FileExistsError:
            number += 1
            own = path.with_stem(f"{path.stem}-{number}")
        else:
            return own


def _widen(path: Path, before: _Columns, after: _Columns) -> None:
    """Replace the file by one with more columns: their names in the header, empty cells in rows.

    In pieces, whatever its size: it is neither kept nor looked through in one go.
    """
    former = _header(before) if before else []
    header = _header(after)
    more = "," * (len(header) - len(former))
    wider = path.with_suffix(".part")
    try:
        with (
            path.open(newline="", encoding="utf-8") as old,
            wider.open("w", newline="", encoding="utf-8") as new,
        ):
            old.read(len(_line(former)))
            new.write(_line(header))
            quoted = False
            while piece := old.read(_BLOCK):
                parts = piece.split('"')
                for number in range(int(quoted), len(parts), 2):  # what no quotes enclose
                    parts[number] = parts[number].replace("\r", f"{more}\r")  # a row's end
                quoted ^= len(parts) % 2 == 0
                new.write('"'.join(parts))
            new.flush()
            os.fsync(new.fileno())  # all that was taken is in it, and takes the other's place
        wider.replace(path)
    finally:
        wider.unlink(missing_ok=True)


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _header(channels: Sequence[str]) -> list[str]:
    own = [(name, f"{name}:timestamp", f"{name}:severity") for name in channels]
    return ["point", "step", "loop", "try", *(cell for cells in own for cell in cells)]


def _cells(reading: Reading | None) -> _Row:
    if reading is None:
        return ["", "", ""]
    value = reading.value
    cell: _Cell = json.dumps(value) if isinstance(value, tuple) else value
    return [cell, _stamp(reading), int(reading.severity)]


def _stamp(reading: Reading) -> str:
    """Unix s with nine digits, those of the IOC: a float of today holds seven."""
    if reading.nanoseconds is None:
        return f"{reading.timestamp:.9f}"
    # Not the float's whole seconds: it may have been rounded up to the next one.
    seconds = round(reading.timestamp - reading.nanoseconds / 1e9)
    return f"{seconds}.{reading.nanoseconds:09d}"


def _size(row: _Row) -> int:
    """Bytes that a row holds in memory, about."""
    return sum(c.nbytes if isinstance(c, np.ndarray) else sys.getsizeof(c) for c in row)


def _pieces(row: _Row) -> Iterator[str]:
    """The text of a row in pieces, none of which takes long; `csv` would need it as a whole."""
    for number, cell in enumerate(row):
        if number:
            yield ","
        if isinstance(cell, np.ndarray):
            yield '"['
            for start in range(0, cell.size, _PIECE):
                text = json.dumps(cell[start : start + _PIECE].tolist())[1:-1]
                yield f", {text}" if start else text
            yield ']"'
        else:
            text = str(cell)
            quoted = any(mark in text for mark in ',"\r\n')
            yield '"' + text.replace('"', '""') + '"' if quoted else text
    yield "\r\n"
