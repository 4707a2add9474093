"""Reads what is left of a run: its journal, line by line, and in short."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.data.journal.entries import FORMAT
from orchestrator.data.journal.file import file_name
from orchestrator.errors import InputError
from orchestrator.present import NO_LOCKS

Entry: TypeAlias = Mapping[str, Any]

_NAME = re.compile(r"journal(?:-(\d+))?\.jsonl")
_ROW = b',"event":"row","point":'
_TAIL = 1 << 16
"""Bytes at the end of a file in which the last line is looked for first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in short."""

    header: Entry
    """Its first line."""
    end: Entry | None
    """Its line `run_ended`; None where it has not ended."""
    under_way: bool
    """Whether a process holds its journal."""


def entries_of(folder: Path) -> Iterator[Entry]:
    """All that a journal tells, in order; a line at the end that is not whole is none.

    Raises:
        InputError: It is no journal, or one that this version can't read.
    """
    first = True
    for entry in _joined(_lines(folder)):
        if first:
            _check(entry, folder / file_name(1))
            first = False
        yield entry


def _lines(folder: Path) -> Iterator[Entry]:
    for path in _files(folder):
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield _entry(line, path)


def _joined(lines: Iterable[Entry]) -> Iterator[Entry]:
    """Lines that were written in parts as one each; where parts of one are missing it is none."""
    pieces: list[str] = []
    for entry in lines:
        if entry.get("event") != "part":
            yield entry
            continue
        if entry["part"] == 1:
            pieces = []
        elif entry["part"] != len(pieces) + 1:
            continue
        pieces.append(entry["text"])
        if entry["of"] == len(pieces):
            yield json.loads("".join(pieces))


def summary_of(folder: Path) -> Summary:
    """A run in short: only the beginning and the end of its journal are read, as a rule.

    Raises:
        InputError: It is no journal, or one that this version can't read.
    """
    first = folder / file_name(1)
    try:
        header = next(entries_of(folder), None)
        if header is None:
            raise InputError(f"{first}: there is no whole line in it")
        with first.open("rb") as file:
            under_way = _is_held(file.fileno())
        ends = (_last(path) for path in reversed(_files(folder)))  # the newest may be empty yet
        end = next((end for end in ends if end), None)
        if end and end.get("event") == "part":
            *_, end = entries_of(folder)
    except OSError as error:
        raise InputError(f"{folder} has no journal: {error.strerror}") from error
    return Summary(header, end if end and end.get("event") == "run_ended" else None, under_way)


def points_in(folder: Path) -> int:
    """The number of rows that a run has taken, by the last of them; as a rule it is near the end.

    Raises:
        InputError, OSError: There is no journal.
    """
    for path in reversed(_files(folder)):
        if path.stat().st_size:
            with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
                at = text.rfind(_ROW)  # a text can't look like it: its quotes are escaped
                if at >= 0:
                    digits = text[at + len(_ROW) : at + len(_ROW) + 20].partition(b",")[0]
                    return int(digits) + 1
    return 0


def _files(folder: Path) -> list[Path]:
    """Those that there are, in order; of many those in the middle are missing."""
    found = [(int(match[1] or 1), path) for path in folder.iterdir() if (match := _name(path))]
    if not found:
        raise InputError(f"{folder} has no journal: there is no {file_name(1)} in it")
    return [path for _, path in sorted(found)]


def _name(path: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(path.name)


def _entry(line: bytes, path: Path) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}: this is no line of a journal: {error}") from error
    if not isinstance(entry, dict):
        raise InputError(f"{path}: expected an object, got {line[:40]!r}")
    return entry


def _check(header: Entry, path: Path) -> None:
    if header.get("event") != "run":
        raise InputError(f"{path}: it does not begin as a journal does")
    if header.get("format") != FORMAT:
        by = f"format {header.get('format')}, this version reads {FORMAT}"
        raise InputError(f"{path}: it was written by another version: {by}")


def _is_held(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return False


def _last(path: Path) -> Entry | None:
    """The last whole line of a file."""
    with path.open("rb") as file:
        size, back = os.fstat(file.fileno()).st_size, _TAIL
        while True:
            file.seek(max(size - back, 0))
            lines = file.read().split(b"\n")[:-1]  # behind the last end there is no whole line
            if len(lines) > 1 or back >= size:
                return _entry(lines[-1], path) if lines else None
            back *= 8
