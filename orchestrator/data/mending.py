"""The data file of a killed run, put right by the journal: with all rows that were told of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from orchestrator.data.hdf5 import Hdf5Sink, is_whole_file, mend
from orchestrator.data.journal.file import file_name, locked
from orchestrator.data.journal.journals import header_of
from orchestrator.data.journal.reader import (
    Entry,
    entries_of,
    points_in,
    readings_of,
    row_of,
    summary_of,
)
from orchestrator.data.sinks import Baseline, Row
from orchestrator.errors import InputError
from orchestrator.types import Limits, Metadata, NativeType, RunHeader, RunStatus

log = structlog.get_logger(__name__)

_KILLED = "its process was killed"
_LIMITS = ("display", "control", "warning", "alarm")
_UNREADABLE = ".unreadable"
"""What the name of a file gets at its end that nobody can read."""


def mend_data(folder: Path, told: Callable[[str], None] = lambda _text: None) -> None:
    """Have any program open the data file of a killed run, with all rows that its journal has.

    One that can't be read is made anew from the journal, beside it. Where the run is under way, or
    nothing can be written, nothing is done. Reads and writes files: not for the event loop.

    Args:
        folder: Of the run.
        told: Called with what became of a file that could not be read, and what it lacks.
    """
    files = [path for path in _files(folder) if not is_whole_file(path)]
    if not files or not os.access(folder, os.W_OK):
        return
    try:
        lock = locked(folder / file_name(1))
    except OSError:
        return  # it goes on at this moment
    try:
        for path in files:
            _mend(folder, path, told)
    except Exception as error:  # noqa: BLE001 - h5py raises what comes; others are to be told
        text = "the data file of a killed run can't be put right"
        log.warning(text, folder=str(folder), error=str(error))
    finally:
        os.close(lock)


def _files(folder: Path) -> list[Path]:
    """Those of HDF5, and those that had no name yet when their process was killed."""
    begun = (path.with_suffix("") for path in folder.glob("*.h5.part"))
    return sorted({*folder.glob("*.h5"), *begun})


def _mend(folder: Path, path: Path, told: Callable[[str], None]) -> None:
    points = points_in(folder)
    try:
        rows = mend(path)
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # as h5py has it
        if path.exists():
            path.rename(path.with_name(f"{path.name}{_UNREADABLE}"))
        if not points:
            return
        _make_anew(folder, path)
        text = f"{path} could not be read ({error}) and is made anew from the journal"
        lacks = "what `record` kept, and long arrays, are in the journal in part only"
        log.warning("a data file is made anew", file=str(path), error=str(error), lacks=lacks)
        told(f"{text}: {lacks}")
        return
    if rows < points:
        sink = Hdf5Sink(path)
        there = sink.go_on(_header(folder), points)
        cut = 0
        for row, is_cut in _rows(folder):
            if row.point >= there:
                sink.row(row)
                cut += is_cut
        _end(sink)
        if cut:
            lost = f"{path}: of {cut} rows, taken as its process was killed, long arrays are lost"
            log.warning("long arrays are lost", file=str(path), rows=cut)
            told(lost)
    log.info("the data file of a killed run is whole", file=str(path), rows=max(rows, points))


def _make_anew(folder: Path, path: Path) -> None:
    sink = Hdf5Sink(path)
    sink.open(_header(folder))
    rows = _rows(folder)
    for entry in entries_of(folder):
        match entry["event"]:
            case "channels":
                sink.describe(_channels(entry["channels"]))
            case "baseline":
                readings = readings_of(entry["channels"])
                sink.baseline(Baseline(entry["when"], readings, round(entry["t"] * 1e9)))
            case "row":
                sink.row(next(rows)[0])
    _end(sink)


def _end(sink: Hdf5Sink) -> None:
    sink.flush()
    sink.end(RunStatus.INTERRUPTED, _KILLED)


def _rows(folder: Path) -> Iterator[tuple[Row, bool]]:
    """All rows, each with whether the journal has of an array of it the beginning only.

    Raises:
        InputError: Of a very long journal the middle is not kept.
    """
    old: list[tuple[int, int]] = []
    taken = 0
    for entry in entries_of(folder):
        if entry["event"] == "attempt":
            old.append((entry["superseded"], taken))
        elif entry["event"] == "row":
            if entry["point"] > taken:
                raise InputError(f"rows {taken} to {entry['point'] - 1} are not in the journal")
            taken = entry["point"] + 1
    for entry in entries_of(folder):
        if entry["event"] == "row":
            row = row_of(entry)
            is_old = any(first <= row.point < last for first, last in old)
            reads = (read["value"] for read in entry["channels"].values() if read is not None)
            yield row._replace(superseded=is_old), any(isinstance(value, dict) for value in reads)


def _header(folder: Path) -> RunHeader:
    told = summary_of(folder).header
    return header_of(told, _channels(told["channels"]))


def _channels(told: Mapping[str, Entry | None]) -> dict[str, Metadata]:
    return {name: _metadata(of) for name, of in told.items() if of is not None}


def _metadata(of: Entry) -> Metadata:
    """What a journal has of what a server says of a channel."""
    limits: dict[str, Any] = {name: Limits(*of[name]) for name in _LIMITS if name in of}
    return Metadata(
        NativeType[of["type"]],
        count=of["count"],
        units=of["units"],
        precision=of["precision"],
        labels=tuple(of["labels"]),
        host=of["host"],
        **limits,
    )
