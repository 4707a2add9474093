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
from typing import BinaryIO, NamedTuple

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

_MOST_BEHIND = 200
"""Rows that may not yet be with the operating system; then `sample` waits. A service that is
killed loses no more of those that were told."""

_A_FLUSH = 50
"""Rows after which they are handed to the operating system though more wait already."""

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


class _SpoiltError(Exception):
    """Somebody else has changed the file, or it is `gone`."""

    def __init__(self, text: str, *, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone


class _Identity(NamedTuple):
    """By which a file is known again."""

    device: int
    inode: int

    @classmethod
    def of(cls, file: os.stat_result) -> _Identity:
        return cls(file.st_dev, file.st_ino)


class _Lines:
    """A file to append text to, which knows how large it should be. `csv` writes to it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def write(self, text: str) -> int:
        data = text.encode()
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


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
        self._spoilt = False  # by somebody else: what it holds is not known
        self._identity: _Identity | None = None  # of the file that we have made
        self._error = ""
        self._lost = lost

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        return str(self._path) if self._thread is not None and not self._error else ""

    @property
    def full(self) -> bool:
        """See `ports.Recorder.full`."""
        late = self._bytes_in - self._bytes_out >= _MOST_WAITING or self._behind >= _MOST_BEHIND
        return late and not self._error

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
        if self._spoilt or (self._error and not self._behind):
            return f"rows are missing in {self._path}: {self._error}"
        if self._written == self._taken and not self._error:
            return ""
        self._error = self._error or f"the disk did not take them within {_FINISH:g} s"
        return f"{self._behind} of {self._taken} rows are not in {self._path}: {self._error}"

    def _write(self) -> None:
        columns: _Columns = ()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path, self._identity = _made(self._path)
            self._whole = 0
            item = self._rows.get()
            while item is not None:
                self._check_own(self._whole)
                self._identity, self._whole = _widen(self._path, columns, item[0])
                columns = item[0]
                with self._path.open("ab") as file:
                    self._check_own(self._whole)
                    item = self._write_rows(_Lines(file, self._whole), item)
        except _SpoiltError as error:
            self._spoilt = not error.gone
            self._written = 0 if error.gone else self._written
            self._failed(str(error))
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) else None
            if not reason:
                log.exception("A row could not be written", file=str(self._path))
            self._cut_off()
            self._failed(reason or repr(error))

    def _failed(self, reason: str) -> None:
        self._error = reason
        self._freed(0)
        self._lost(f"no more rows are kept in {self._path}: {self._error}")

    def _write_rows(
        self, file: _Lines, item: tuple[_Columns, _Row] | None
    ) -> tuple[_Columns, _Row] | None:
        """Write rows of the same columns; the first one of others, or None at the end."""
        columns = item[0] if item else ()
        writer = csv.writer(file)
        unflushed = 0
        while item is not None and item[0] == columns:
            if any(isinstance(cell, np.ndarray) for cell in item[1]):
                for piece in _pieces(item[1]):
                    file.write(piece)
            else:
                writer.writerow(item[1])
            unflushed += 1
            if unflushed >= _A_FLUSH or self._rows.empty():
                self._is_whole(file, unflushed)
                unflushed = 0
            self._freed(_size(item[1]))
            item = self._rows.get()
        self._is_whole(file, unflushed)
        return item

    def _freed(self, size: int) -> None:
        """So many bytes wait no longer."""
        self._bytes_out += size
        # Not at the first row that is free: who waits would be woken for each.
        if self._wakes and not self.full and (self._behind <= _MOST_BEHIND // 2 or self._error):
            for wake in tuple(self._wakes):
                wake()

    def _is_whole(self, file: _Lines, rows: int) -> None:
        """So many rows more make the file whole.

        Raises:
            _SpoiltError: Somebody else has changed it.
        """
        file.flush()
        self._check_own(file.size)
        self._whole = file.size
        self._written += rows

    def _check_own(self, size: int) -> None:
        """Raise if the file is not the one that we have made, with all that was written."""
        try:
            found = self._path.stat()
        except FileNotFoundError as error:
            raise _SpoiltError("it was removed in the run", gone=True) from error
        if _Identity.of(found) != self._identity:
            raise _SpoiltError("another file was put in its place in the run")
        if found.st_size != size:
            changed = "cut off" if found.st_size < size else "written to by somebody else"
            text = f"{changed} in the run: it has {found.st_size:,} bytes, and should have {size:,}"
            raise _SpoiltError(f"it was {text}")

    def _cut_off(self) -> None:
        """Take away what stands behind the last whole row: half of one where the disk is full."""
        with suppress(OSError):
            own = _Identity.of(self._path.stat()) == self._identity
            if own and self._whole is not None:
                os.truncate(self._path, self._whole)


def _made(path: Path) -> tuple[Path, _Identity]:
    """Make the file, with a number where another run has it: two may begin in one millisecond."""
    number, own = 1, path
    while True:
        try:
            with own.open("xb") as file:
                return own, _Identity.of(os.fstat(file.fileno()))
        except FileExistsError:
            number += 1
            own = path.with_stem(f"{path.stem}-{number}")


def _widen(path: Path, before: _Columns, after: _Columns) -> tuple[_Identity, int]:
    """Replace the file by one with more columns: their names in the header, empty cells in rows.

    In pieces, whatever its size: it is neither kept nor looked through in one go.

    Returns:
        What the new file is known by, and its bytes.
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
            if before:  # all that was taken is in it, and takes the other's place
                os.fsync(new.fileno())
            made = os.fstat(new.fileno())
        wider.replace(path)
    finally:
        wider.unlink(missing_ok=True)
    return _Identity.of(made), made.st_size


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
