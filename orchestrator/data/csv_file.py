"""CSV, a row a sample: the data file that any tool reads, also while it grows."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import numpy.typing as npt

from orchestrator.data.sinks import Baseline, Identity, Row, SpoiltError, new_file, stamp
from orchestrator.types import Metadata, Reading, RunHeader, RunStatus, path_text

_PIECE = 4096
"""Elements of an array that are turned into text at a time. Python does nothing else meanwhile:
16 million at once held up every client of the service for five seconds."""

_BLOCK = 65536
"""Characters of a file that are copied at a time."""

_MARK = "superseded"
"""The column that says so of a row."""
_BEFORE_MARK = 4
"""Columns in front of it; nothing in them is quoted."""

_Cell = str | float | npt.NDArray[np.generic]
_Cells = list[_Cell]
_Columns = tuple[str, ...]
"""The channels that a row has cells for."""


class _Lines:
    """A file to append text to, which knows how large it should be. `csv` writes to it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self._writer = csv.writer(self)

    def row(self, cells: _Cells) -> None:
        """Append a row."""
        if any(isinstance(cell, np.ndarray) for cell in cells):
            for piece in _pieces(cells):
                self.write(piece)
        else:
            self._writer.writerow(cells)

    def write(self, text: str) -> int:
        data = text.encode()
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Beside(_Lines):
    """A file of lines that are not rows."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path.open("ab"), 0)
        self._path = path
        self._identity = Identity.of(path.stat())
        self.row(list(columns))

    def flush(self) -> None:
        """Hand all to the operating system; raises SpoiltError where somebody has changed it."""
        super().flush()
        try:
            found = self._path.stat()
        except FileNotFoundError as error:
            raise SpoiltError(f"{self._path.name} was removed in the run") from error
        if (Identity.of(found), found.st_size) != (self._identity, self.size):
            raise SpoiltError(f"{self._path.name} was changed in the run by somebody else")


class CsvSink:
    """Implements `Sink`: a file of CSV.

    Columns: point (from 0), step, loop (indices, outermost first), try (which try of each retried
    step around it, from 1; a row of a failed try stays), then for each channel its value,
    `{channel}:timestamp` (the IOC's, Unix s) and `{channel}:severity` (0 … 3). A channel that the
    row did not sample, or that did not answer, has empty cells. Arrays are JSON lists.

    Of a run that was gone on with there is `superseded` behind `try`: 1 where its point was taken
    anew later.

    A channel that was not known at the start, as Python may sample any, gets its columns behind the
    others with its first row; the file is then replaced by a wider one.
    """

    def __init__(self, path: Path) -> None:
        """It is made when it is opened, under another name if there is one already."""
        self._path = path
        self._identity: Identity | None = None  # of the file that we have made
        self._whole: int | None = None  # bytes of the file up to its last whole row
        self._columns: _Columns = ()  # of the file; none as long as it has no header
        self._channels: _Columns = ()
        self._lines: _Lines | None = None  # open while rows have the same columns
        self._spoilt = False
        self._others: dict[str, _Beside] = {}
        self._marks = False  # whether it has the column `superseded`
        self._taken = 0
        self.rows = 0

    @property
    def file(self) -> Path:
        """See `Sink.file`."""
        return self._path

    def open(self, header: RunHeader) -> None:
        """See `Sink.open`."""
        self._channels = tuple(header.channels)
        self._path = new_file(self._path)
        self._identity, self._whole = Identity.of(self._path.stat()), 0

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `Sink.describe`; a table of values has no room for it."""

    def go_on(self, header: RunHeader, superseded_from: int) -> int:
        """See `Sink.go_on`."""
        self._marks = True
        if not self._path.exists():
            self.open(header)
            return 0
        self._identity, self._whole, self._columns, self.rows = _marked(self._path, superseded_from)
        self._taken = self.rows
        more = tuple(name for name in header.channels if name not in self._columns)
        self._channels = self._columns + more
        return self.rows

    def row(self, row: Row) -> None:
        """See `Sink.row`."""
        self._channels += tuple(name for name in row.readings if name not in self._channels)
        if self._lines is None or self._channels != self._columns:
            self._lines = self._widened()
        loops, tries = (" ".join(map(str, numbers)) for numbers in (row.at.loops, row.at.tries))
        cells: _Cells = [row.point, path_text(row.at.path), loops, tries]
        if self._marks:
            cells.append("1" if row.superseded else "")
        for name in self._channels:
            cells += _cells(row.readings.get(name))
        self._lines.row(cells)
        self._taken += 1

    def _widened(self) -> _Lines:
        """The file, with columns for all channels, open to append to."""
        self.flush()
        self._close()
        self._check_own(self._whole or 0)
        self._identity, self._whole = _widen(
            self._path, self._columns, self._channels, marks=self._marks
        )
        self._columns = self._channels
        lines = self._lines = _Lines(self._path.open("ab"), self._whole)
        self._check_own(self._whole)
        return lines

    def baseline(self, baseline: Baseline) -> None:
        """See `Sink.baseline`: lines of a file `-baseline.csv`."""
        for name, reading in baseline.readings.items():
            self._beside("baseline", "when").row([baseline.when, name, *_cells(reading)])

    def update(self, reading: Reading) -> None:
        """See `Sink.update`: a line of a file `-recorded.csv`."""
        self._beside("recorded").row([reading.channel, *_cells(reading)])

    def _beside(self, kind: str, *first: str) -> _Beside:
        """A file beside that of the rows."""
        if kind not in self._others:
            path = self._path.with_name(f"{self._path.stem}-{kind}.csv")
            columns = [*first, "channel", "value", "timestamp", "severity"]
            self._others[kind] = _Beside(new_file(path), columns)
        return self._others[kind]

    def flush(self) -> None:
        """See `Sink.flush`."""
        for other in self._others.values():
            other.flush()
        if self._lines is not None:
            self._lines.flush()
            self._check_own(self._lines.size)
            self._whole, self.rows = self._lines.size, self._taken

    def end(self, status: RunStatus, message: str) -> None:
        """See `Sink.end`; the file holds rows only."""
        del status, message
        self._close_all()

    def give_up(self) -> None:
        """See `Sink.give_up`."""
        with suppress(OSError):  # the disk is full: what is not in the file yet never will be
            self._close_all()
        if self._spoilt or self._whole is None:
            return
        if Identity.of(self._path.stat()) == self._identity:
            os.truncate(self._path, self._whole)

    def _close_all(self) -> None:
        for other in self._others.values():
            other.close()
        self._close()

    def _close(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    def _check_own(self, size: int) -> None:
        """See that the file is the one that we have made, with all that was written.

        Raises:
            SpoiltError: Somebody else has changed it.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError as error:
            self._spoilt, self.rows = True, 0
            raise SpoiltError("it was removed in the run", gone=True) from error
        if Identity.of(found) != self._identity:
            self._spoilt = True
            raise SpoiltError("another file was put in its place in the run")
        if found.st_size != size:
            self._spoilt = True
            changed = "cut off" if found.st_size < size else "written to by somebody else"
            text = f"{changed} in the run: it has {found.st_size:,} bytes, and should have {size:,}"
            raise SpoiltError(f"it was {text}")


def _widen(
    path: Path, before: _Columns, after: _Columns, *, marks: bool = False
) -> tuple[Identity, int]:
    """Replace the file by one with more columns: their names in the header, empty cells in rows.

    In pieces, whatever its size: it is neither kept nor looked through in one go.

    Returns:
        What the new file is known by, and its bytes.
    """
    former = _header(before, marks=marks) if before else []
    header = _header(after, marks=marks)
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
    return Identity.of(made), made.st_size


def _marked(path: Path, superseded: int) -> tuple[Identity, int, _Columns, int]:
    """Replace the file by one in which the rows from that number on are marked as superseded.

    What is behind its last whole row is left out.

    Returns:
        What the new file is known by, its bytes, its channels, and how many rows it has.
    """
    other = path.with_suffix(".part")
    rows = 0
    try:
        with (
            path.open(newline="", encoding="utf-8") as old,
            other.open("w", newline="", encoding="utf-8") as new,
        ):
            whole = _whole_rows(old)
            names = next(csv.reader([next(whole, "")]), [])
            marks = names[_BEFORE_MARK : _BEFORE_MARK + 1] == [_MARK]
            channels = tuple(names[_BEFORE_MARK + marks :: 3])
            if channels:
                new.write(_line(_header(channels, marks=True)))
            for row in whole if channels else ():
                *first, rest = row.split(",", _BEFORE_MARK + marks)
                late = int(first[0]) >= superseded or first[_BEFORE_MARK:] == ["1"]
                new.write(",".join((*first[:_BEFORE_MARK], "1" if late else "", rest)))
                rows += 1
            new.flush()
            os.fsync(new.fileno())
            made = os.fstat(new.fileno())
        other.replace(path)
    finally:
        other.unlink(missing_ok=True)
    return Identity.of(made), made.st_size, channels, rows


def _whole_rows(file: TextIO) -> Iterator[str]:
    """The rows of a file, each with its end; a last one without it is none."""
    row, quotes = "", 0
    for line in file:
        row += line
        quotes += line.count('"')
        if row.endswith("\r\n") and quotes % 2 == 0:
            yield row
            row, quotes = "", 0


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _header(channels: Sequence[str], *, marks: bool = False) -> list[str]:
    own = [(name, f"{name}:timestamp", f"{name}:severity") for name in channels]
    mark = (_MARK,) if marks else ()
    return ["point", "step", "loop", "try", *mark, *(cell for cells in own for cell in cells)]


def _cells(reading: Reading | None) -> _Cells:
    if reading is None:
        return ["", "", ""]
    value = reading.value
    cell: _Cell = json.dumps(value) if isinstance(value, tuple) else value
    return [cell, stamp(reading), int(reading.severity)]


def _pieces(row: _Cells) -> Iterator[str]:
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
