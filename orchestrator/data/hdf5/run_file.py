"""A file that a run writes to: rows go in, and readers follow."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

from orchestrator.data.hdf5 import layout
from orchestrator.data.hdf5.columns import (
    ChannelColumns,
    Growing,
    GrowingTexts,
    GrowingTuples,
    Kind,
)
from orchestrator.data.hdf5.killed import clear_flags, cut
from orchestrator.data.hdf5.reserve import Reserve
from orchestrator.data.sinks import Baseline, Identity, Row, SpoiltError, named
from orchestrator.types import Metadata, Reading, RunHeader, RunStatus, Value, path_text
from orchestrator.types import Path as StepPath

_HOW: dict[str, Any] = {"libver": "latest", "locking": "best-effort"}
"""What SWMR (single writer, many readers) asks for; not every file system has locks."""


_CELL = 128
"""Bytes of a value that is no array, with its time."""
_MORE = 1 << 20
"""Bytes of rows for which room is asked at a time: to look costs as much as a row."""
_NEW = 1 << 16
"""Bytes of the chunks that a channel may begin with the next rows."""


PARTS = ("channels", "baseline", "monitors")
"""Groups of channels: those of rows, of the beginning and the end, those of which each update is
kept."""
_Lack: TypeAlias = tuple[str, Kind, Reading]
"""What is to be made: in which part, what for, and the reading that is the first of it."""


class Part:
    """The channels of one group; in all but `monitors` all of them have a line for each row."""

    def __init__(self, group: Any, rows: int) -> None:
        """Goes on with a group as it is, with so many rows."""
        self.columns: dict[str, ChannelColumns] = {}
        self._former: list[ChannelColumns] = []  # of channels whose type has changed
        for own in group.values():
            if "channel" not in own.attrs:
                continue
            channel = own.attrs["channel"]
            if channel in self.columns:
                self._former.append(self.columns[channel])
            self.columns[channel] = ChannelColumns(own, _kind_of(own))
        self.rows = rows
        """That a new channel would have before its first."""

    def __len__(self) -> int:
        return len(self.columns) + len(self._former)

    def add(self, readings: Mapping[str, Reading | None]) -> None:
        """Take a row."""
        for name, columns in self.columns.items():
            columns.add(readings.get(name), sampled=name in readings)
        for columns in self._former:
            columns.add(None, sampled=False)
        self.rows += 1

    def add_one(self, reading: Reading) -> None:
        """Take an update of one channel, of which the others have none."""
        self.columns[reading.channel].add(reading, sampled=True)

    def write(self) -> None:
        """Write what was taken."""
        for columns in (*self.columns.values(), *self._former):
            columns.write()


def unfinished(path: Path) -> Path:
    """Where a file is made that will have that name as soon as any program can open it."""
    return path.with_name(f"{path.name}.part")


class RunFile:
    """An open file, in SWMR mode from its first row on.

    A file that is killed while it is made can't be opened. So it has its name only from then on.

    Nothing new can be made in that mode. A channel, or a type of its values, that comes later has
    the file replaced by a copy that has room for it: one that is changed in place and killed in
    it could not be read any more.
    """

    def __init__(self, path: Path, header: RunHeader, file: Any, *, new: bool = False) -> None:
        """Of a file with the layout of `make_layout`; `new`: it does not have its name yet."""
        self.path = path
        """What it is called, or will be, if there is no such file then."""
        self._at = unfinished(path) if new else path
        self.rows = 0
        """Those that are with the operating system."""
        self._header = header
        self._metadata = {**header.recorded, **header.baseline, **header.channels}
        self._identity = Identity.of(self._at.stat())
        self._taken = 0
        self._waiting = 0  # bytes of rows that are not in the file yet, about
        self._granted = 0  # bytes of such rows for which the disk has room
        self._size = 0  # bytes that were seen in the file
        self._reserve = Reserve(self._at)
        self._take(file)

    @classmethod
    def made(cls, path: Path, header: RunHeader) -> RunFile:
        """A new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = h5py.File(unfinished(path), "w", **_HOW)
        layout.make_layout(file, header)
        return cls(path, header, file, new=True)

    @classmethod
    def again(cls, path: Path, header: RunHeader) -> RunFile:
        """A file that is there, cut to its last whole row."""
        unfinished(path).unlink(missing_ok=True)
        clear_flags(path)
        file = h5py.File(path, "r+", **_HOW)
        try:
            rows = cut(file)
            layout.outcome(file, layout.RUNNING, "", datetime.now().astimezone())
            own = cls(path, header, file)
            own.rows = own._taken = rows
            file.swmr_mode = True
        except BaseException:
            file.close()
            raise
        return own

    def _take(self, file: Any) -> None:
        """Go on with this file, which may be another one than before."""
        self._file = file
        rows = file["entry/rows"]
        self._time = Growing(rows["time"])
        self._step = GrowingTexts(rows["step"])
        self._loops, self._tries = GrowingTuples(rows["loop"]), GrowingTuples(rows["try"])
        self._superseded, self._point = Growing(rows["superseded"]), Growing(rows["point"])
        baseline = file["entry/baseline"]
        lines = len(rows["point"]), len(baseline["time"]), 0
        self._parts = {n: Part(file["entry"][n], m) for n, m in zip(PARTS, lines, strict=True)}
        self._moments = Growing(baseline["time"]), GrowingTexts(baseline["when"])

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `Sink.describe`."""
        self._metadata.update(channels)

    # Rows ---------------------------------------------------------------------------------------

    def row(self, row: Row) -> None:
        """See `Sink.row`."""
        at, step = row.at, _step(row.at.path)
        self._make_room("channels", row.readings, step)
        self._time.add(row.taken)
        self._step.add(step)
        self._loops.add(at.loops)
        self._tries.add(at.tries)
        self._superseded.add(int(row.superseded))
        self._point.add(row.point)
        self._parts["channels"].add(row.readings)
        self._taken += 1

    def baseline(self, baseline: Baseline) -> None:
        """See `Sink.baseline`."""
        self._make_room("baseline", baseline.readings)
        times, whens = self._moments
        times.add(baseline.taken)
        whens.add(baseline.when.encode())
        self._parts["baseline"].add(baseline.readings)

    def update(self, reading: Reading) -> None:
        """See `Sink.update`."""
        self._make_room("monitors", {reading.channel: reading})
        self._parts["monitors"].add_one(reading)

    def flush(self) -> None:
        """See `Sink.flush`; readers see all rows so far."""
        self._need(0)
        self._write()
        self._file.flush()
        self._check_own()
        self.rows, self._waiting, self._granted = self._taken, 0, 0

    def _need(self, more: int) -> None:
        """See that the disk has room for all that waits, and for so many bytes."""
        self._check_own()
        channels = sum(len(part) for part in self._parts.values()) + 1
        self._granted = more + self._waiting + _MORE
        self._reserve.need(self._file.id.get_filesize(), self._granted + _NEW * channels)

    def _write(self) -> None:
        for part in self._parts.values():
            part.write()
        for column in (
            self._time, self._step, self._loops, self._tries, self._superseded, self._point,
            *self._moments,
        ):  # fmt: skip
            column.write()

    def supersede(self, first: int) -> int:
        """Mark the rows from that one on; gives the number of rows."""
        if first < self._taken:
            self._superseded.dataset[first : self._taken] = 1
        self.flush()
        return self._taken

    # Room ---------------------------------------------------------------------------------------

    def _make_room(
        self, part: str, readings: Mapping[str, Reading | None], step: bytes = b""
    ) -> None:
        """For what the datasets can't take as they are; at first for all that is foreseen."""
        size = _CELL + _size(readings.values())
        if self._waiting + size > self._granted:
            self._need(size)
        self._waiting += size
        new = [r for r in readings.values() if r is not None and not self._takes(part, r)]
        longer = len(step) if len(step) > self._step.width else 0
        if not (new or longer) and self._file.swmr_mode:
            return
        lacks = [(part, self._kind(reading), reading) for reading in new]
        if self._file.swmr_mode:
            self.flush()
            self._replace(lambda file: self._widen(file, lacks, 2 * longer))
        else:
            lacks += self._foreseen({(part, reading.channel) for reading in new})
            self._widen(self._file, lacks, 2 * longer)
            self._take(self._file)
        self._file.swmr_mode = True  # from now on readers may follow
        self._has_its_name()

    def _has_its_name(self) -> None:
        """Any program can open it, whatever becomes of this one."""
        if self._at == self.path:
            return
        _sync(self._at)
        self.path = self._at = named(self._at, self.path)

    def _kind(self, reading: Reading) -> Kind:
        return Kind.of(reading.value, self._metadata.get(reading.channel))

    def _takes(self, part: str, reading: Reading) -> bool:
        columns = self._parts[part].columns.get(reading.channel)
        return columns is not None and columns.takes(reading, self._metadata.get(reading.channel))

    def _foreseen(self, now: Container[tuple[str, str]]) -> list[_Lack]:
        """Channels whose turn is still to come, with what is known of their values."""
        header = self._header
        known = zip(PARTS, (header.channels, header.baseline, header.recorded), strict=True)
        lacks: list[_Lack] = []
        for part, channels in known:
            for name in channels:
                metadata = self._metadata.get(name)
                kind = None if metadata is None else Kind.foreseen(metadata)
                if kind is not None and (part, name) not in now:
                    lacks.append((part, kind, Reading(name, 0, 0.0)))
        there = self._parts
        return [own for own in lacks if own[2].channel not in there[own[0]].columns]

    def _widen(self, file: Any, lacks: Iterable[_Lack], step: int) -> None:
        """Make in a file what it lacks."""
        if step:
            _wider(file["entry/rows"], "step", step)
        for part, kind, reading in lacks:
            columns = self._parts[part].columns.get(reading.channel)
            if columns is not None and columns.kind == kind:  # a text that is longer than others
                width = 2 * len(str(reading.value).encode())
                _wider(file[columns.where], "value", width)
            else:
                self._made(file, part, kind, reading)
        layout.show(file, self._header.axes)

    def _made(self, file: Any, part: str, kind: Kind, reading: Reading) -> None:
        name = reading.channel
        metadata = self._metadata.get(name)
        group = layout.channel_group(file, part, name, kind)
        columns = ChannelColumns.made(group, kind, reading.value, metadata)
        layout.describe(group["value"], name, metadata)
        columns.skip(self._parts[part].rows)

    def _replace(self, change: Callable[[Any], None]) -> None:
        """Put a copy in the place of the file, with a change; readers of the old one keep it."""
        part, size = unfinished(self.path), self._file.id.get_filesize()
        self._file.close()  # HDF5 2.0 can't copy out of a file in SWMR mode: `ring type mismatch`
        try:
            with h5py.File(self.path, **_HOW) as old, h5py.File(part, "w", **_HOW) as copy:
                reserve = Reserve(part)
                reserve.need(0, 2 * size)
                copy.attrs.update(old.attrs)
                old.copy("entry", copy)
                change(copy)
            _sync(part)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        self._reserve.release()
        self._reserve, self._identity = reserve, Identity.of(self.path.stat())
        self._size = 0
        self._take(h5py.File(self.path, "r+", **_HOW))

    # The end ------------------------------------------------------------------------------------

    def end(self, status: RunStatus, message: str) -> None:
        """See `Sink.end`."""
        layout.outcome(self._file, status, message, datetime.now().astimezone())
        self._file.close()
        self._reserve.release()
        self._has_its_name()

    def give_up(self) -> None:
        """See `Sink.give_up`."""
        with suppress(Exception):  # HDF5 fails in many ways
            why = "the journal of the run tells why"
            layout.outcome(self._file, layout.INCOMPLETE, why, datetime.now().astimezone())
        with suppress(Exception):  # as above
            self._file.close()
        with suppress(OSError):
            self._reserve.release()
            if Identity.of(self._at.stat()) == self._identity:
                clear_flags(self._at)
                self._has_its_name()

    def _check_own(self) -> None:
        """See that the file is the one that we have made.

        Raises:
            SpoiltError: Somebody else has changed it.
        """
        try:
            found = self._at.stat()
        except FileNotFoundError as error:
            self.rows = 0
            raise SpoiltError("it was removed in the run", gone=True) from error
        if Identity.of(found) != self._identity:
            raise SpoiltError("another file was put in its place in the run")
        if found.st_size < self._size:
            text = f"it has {found.st_size:,} bytes, and should have {self._size:,}"
            raise SpoiltError(f"it was cut off in the run: {text}")
        self._size = found.st_size


def _size(readings: Iterable[Reading | None]) -> int:
    """Bytes that they take in the file, about."""
    return sum(_bytes_of(reading.value) for reading in readings if reading is not None)


@lru_cache(10_000)
def _step(path: StepPath) -> bytes:
    """A step's path as it stands in the file."""
    return path_text(path).encode()


def _bytes_of(value: Value) -> int:
    if type(value) is float or type(value) is int:
        return _CELL
    match value:
        case np.ndarray():
            return _CELL + value.nbytes
        case str():
            return _CELL + 4 * len(value)
        case tuple():
            return _CELL * (1 + len(value))
    return _CELL


def _kind_of(group: Any) -> Kind:
    name, value = str(group.attrs["kind"]), group["value"]
    if name in ("array", "texts"):
        return Kind(name, value.dtype.str, value.ndim - 1)
    return Kind(name)


def _wider(group: Any, name: str, width: int) -> None:
    """Replace a dataset of texts by one for longer ones."""
    old = group[name]
    texts, attributes = old[:], dict(old.attrs)
    del group[name]
    new = GrowingTexts.made_for(group, name, width)
    new.dataset.resize(len(texts), 0)
    new.dataset[:] = texts
    new.dataset.attrs.update(attributes)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
