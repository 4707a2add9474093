"""Reads what is left of a run: its journal, line by line, and in short."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from orchestrator.data.journal.entries import FORMAT
from orchestrator.data.journal.file import file_name
from orchestrator.data.sinks import Row
from orchestrator.errors import InputError
from orchestrator.present import NO_LOCKS
from orchestrator.types import Place, Reading, Severity, parse_path

Entry: TypeAlias = Mapping[str, Any]
Line: TypeAlias = tuple[int, int]
"""Where a line stands: the numbers of its file, and of it in that, from 1."""

_NAME = re.compile(r"(?:journal(?:-(\d+))?|middle-(\d+))\.jsonl")
_MIDDLE = "middle-"
_ROW = b',"event":"row","point":'
_TAIL = 1 << 16
"""Bytes at the end of a file in which the last line is looked for first."""


_HEAD = 80
"""Characters of a line in which its `event` stands."""


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
    return (entry for _, entry in numbered(folder))


def numbered(
    folder: Path, first: int = 1, last: int = 0, open_parts: list[Entry] | None = None
) -> Iterator[tuple[Line, Entry]]:
    """The same, each with where it stands, or ends where it was written in parts.

    Args:
        folder: Of the run.
        first: The number of the first file that is read.
        last: That of the last one; 0 = there is none.
        open_parts: Has in the end what there is of a line of which the end is missing.
    """
    is_checked = first > 1
    for line, entry in _joined(_lines(folder, first, last), open_parts):
        if not is_checked:
            _check(entry, folder / file_name(1))
            is_checked = True
        yield line, entry


def entries_of_any(folder: Path) -> Iterator[Entry]:
    """All that a journal of any kind tells, in order.

    Raises:
        InputError: It is no journal.
        OSError: It can't be read.
    """
    return (entry for _, entry in _joined(_lines(folder)))


def _lines(folder: Path, first: int = 1, last: int = 0) -> Iterator[tuple[Line, Entry]]:
    before = first - 1
    for number, path in _files(folder):
        if number < first:
            continue
        if last and number > last:
            return
        if number > before + 1:  # files in the middle of a very long run
            yield (number, 0), {"event": "left_out", "lines": None}
        before = number
        with path.open("rb") as file:
            for count, line in enumerate(file, 1):
                if line.endswith(b"\n"):  # else it was being written when a process was killed
                    yield (number, count), _entry(line, path)


def _joined(
    lines: Iterable[tuple[Line, Entry]], open_parts: list[Entry] | None = None
) -> Iterator[tuple[Line, Entry]]:
    """Lines that were written in parts as one each; where parts of one are missing it is none."""
    pieces: list[Entry] = [] if open_parts is None else open_parts
    for line, entry in lines:
        if entry.get("event") != "part":
            yield line, entry
            continue
        if entry["part"] == 1:
            pieces.clear()
        elif entry["part"] != len(pieces) + 1:
            continue
        pieces.append(entry)
        if entry["of"] == len(pieces):
            text = "".join(piece["text"] for piece in pieces)
            pieces.clear()
            yield line, json.loads(text)


def is_whole(folder: Path) -> bool:
    """Whether no file in the middle is missing of which no other tells what followed from it.

    Raises:
        InputError: It has none.
    """
    before = 0
    for number, path in _files(folder):
        if number > before + 1 and not is_middle(path):
            return False
        before = number
    return True


def is_middle(path: Path) -> bool:
    """Whether a file stands for others, which are not kept."""
    return path.name.startswith(_MIDDLE)


def middle_numbers(folder: Path) -> list[int]:
    """Those of the files that stand for others."""
    return [number for number, path in _files(folder) if is_middle(path)]


def middle_name(number: int) -> str:
    """How the file is called that stands for the one of that number, and for those before it."""
    return f"{_MIDDLE}{number}.jsonl"


def attempts_of(folder: Path) -> int:
    """How often the run was begun, or gone on with.

    Raises:
        InputError: There is none.
    """
    attempts = 1
    for _, path in _files(folder):
        if is_middle(path):
            told = (entry["recovery"]["attempt"] for entry in _snapshots(path))
            attempts = max(attempts, *told, 1)
        else:
            first = _first(path)
            attempts += first is not None and first.get("event") == "attempt"
    return attempts


def _snapshots(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        for line in file:
            if (entry := _entry(line, path)).get("event") == "snapshot":
                yield entry


def _first(path: Path) -> Entry | None:
    """The first whole line of a file, its first part where it has some."""
    with path.open("rb") as file:
        line = file.readline()
    entry = _entry(line, path) if line.endswith(b"\n") else None
    if entry is not None and entry.get("event") == "part":
        is_attempt = '"event":"attempt"' in entry["text"][:_HEAD]
        return {"event": "attempt"} if is_attempt else None
    return entry


def row_of(entry: Entry) -> Row:
    """A row as it was taken; of a longer array the journal has not all: that reading is None."""
    at = Place(parse_path(entry["path"]), tuple(entry["loops"]), tuple(entry["tries"]))
    return Row(entry["point"], at, readings_of(entry["channels"]), round(entry["t"] * 1e9))


def readings_of(channels: Mapping[str, Entry | None]) -> dict[str, Reading | None]:
    """What channels held, as a row and a baseline tell it."""
    return {n: None if read is None else _reading(n, read) for n, read in channels.items()}


def _reading(name: str, read: Entry) -> Reading | None:
    value = read["value"]
    match value:
        case dict():
            return None
        case None:
            value = math.nan
        case list() if all(isinstance(item, str) for item in value):
            value = tuple(value)
        case list():
            value = np.array([math.nan if item is None else item for item in value])
    severity, status = Severity(read.get("severity", 0)), read.get("status", 0)
    return Reading(name, value, read["time"], severity, status)


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
            under_way = is_held(file.fileno())
        ends = (_last(path) for _, path in reversed(_files(folder)))  # the newest may be empty yet
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
    for _, path in reversed(_files(folder)):
        if is_middle(path):
            for entry in _snapshots(path):
                return int(entry["recovery"]["points"])
        elif path.stat().st_size:
            with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
                at = text.rfind(_ROW)  # a text can't look like it: its quotes are escaped
                if at >= 0:
                    digits = text[at + len(_ROW) : at + len(_ROW) + 20].partition(b",")[0]
                    return int(digits) + 1
    return 0


def last_file(folder: Path) -> int:
    """The number of the last file.

    Raises:
        InputError: There is none.
    """
    return _files(folder)[-1][0]


def _files(folder: Path) -> list[tuple[int, Path]]:
    """Those that there are, with their numbers; of many those in the middle are missing."""
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        if match := _name(path):
            number = int(match[1] or match[2] or 1)
            if is_middle(path) or number not in found:  # what it stands for may not be gone yet
                found[number] = path
    if not found:
        raise InputError(f"{folder} has no journal: there is no {file_name(1)} in it")
    return sorted(found.items())


def _name(path: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(path.name)


def _entry(line: bytes, path: Path) -> Entry:
    try:
        entry = json.loads(line.decode("ascii"))  # as a text: else it looks for how it is encoded
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


def is_held(file: int) -> bool:
    """Whether a process that lives holds an open file."""
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
