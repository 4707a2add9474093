"""Lines on their way to a file, in shared memory: a process that is killed loses none of them."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import mmap
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

MEMORY = Path("/dev/shm")  # noqa: S108 - nothing temporary: POSIX shared memory
"""Where Linux has it. What is there is kept by the system, and never waits for a disk."""

_MAGIC = 0x314C4E524A4F  # "OJRNL1"
_HEAD = 8192
"""Bytes in front of the lines: the fields, and two places for the name of a file."""
_KIND, _TAKEN, _KEPT, _PLACE = range(4)
"""Fields of the head, 8 bytes each. One is written at once, so that none is ever half written."""
_BASE, _LENGTH = range(2)
"""Fields of each of the two places, in front of the name itself."""
_NAMED_AT = (64, 64 + (_HEAD - 64) // 2)
_LONGEST = (_HEAD - 64) // 2 - 16
_ABANDONED = 86400.0
"""s after which that of a store that is gone is given up: it may be a disk that comes back."""
_numbers = itertools.count()


class LineBuffer:
    """A ring of bytes: the event loop puts lines in, one thread takes them out.

    All positions count bytes from the first that was ever put in. What stands between `kept` and
    `taken` is not in a file yet; where the process dies, `left_over` finds it.
    """

    def __init__(self, memory: mmap.mmap, file: int | None = None, path: Path | None = None):
        """See `new_buffer`."""
        self._memory, self._file, self._path = memory, file, path
        self._size = len(memory) - _HEAD
        self._head = memoryview(memory)[: _NAMED_AT[0]].cast("Q")
        self._taken = self._head[_TAKEN]  # the writer's own; that in the head is for the others
        self._plenty = 0  # up to which there was plenty of room when it was last looked at
        self.full = False
        """Whether half of it is taken: as far as known when a line was put in."""

    @property
    def waiting(self) -> int:
        """Bytes that are not in a file yet."""
        return self._taken - self._head[_KEPT]

    def append(self, line: bytes) -> bool:
        """Put whole lines in; False where there is no room for them."""
        count, taken = len(line), self._taken
        after = taken + count
        if after > self._plenty and not self._has_room(after):
            return False
        at = taken % self._size + _HEAD
        over = at + count - _HEAD - self._size
        if over <= 0:
            self._memory[at : at + count] = line
        else:
            self._memory[at:] = line[:-over]
            self._memory[_HEAD : _HEAD + over] = line[-over:]
        self._head[_TAKEN] = self._taken = after  # last: all that a killed process leaves is whole
        return True

    def look(self) -> None:
        """See whether it is still full."""
        self._has_room(self._taken)

    def _has_room(self, after: int) -> bool:
        kept = self._head[_KEPT]
        self._plenty = kept + self._size // 2
        self.full = after > self._plenty
        return after <= kept + self._size

    # The thread ---------------------------------------------------------------------------------

    def begin(self, file: Path) -> None:
        """What is not kept yet goes to another file.

        Raises:
            OSError: Its path is too long.
        """
        name = os.fsencode(file)
        if len(name) > _LONGEST:
            raise OSError(f"the path of {file} is longer than {_LONGEST} bytes")
        place = 1 - self._head[_PLACE]
        with self._fields(place) as fields:
            fields[_BASE], fields[_LENGTH] = self._head[_KEPT], len(name)
        start = _NAMED_AT[place] + 16
        self._memory[start : start + len(name)] = name
        self._head[_PLACE] = place  # last: at every moment one of the two is whole

    def _fields(self, place: int) -> memoryview:
        return memoryview(self._memory)[_NAMED_AT[place] : _NAMED_AT[place] + 16].cast("Q")

    def peek(self, most: int) -> bytes:
        """The first bytes that are not kept yet."""
        start = self._head[_KEPT]
        count = min(self._head[_TAKEN] - start, most)
        at = start % self._size + _HEAD
        over = at + count - _HEAD - self._size
        if over <= 0:
            return self._memory[at : at + count]
        return self._memory[at:] + self._memory[_HEAD : _HEAD + over]

    def drop(self, count: int) -> None:
        """So many bytes are in the file."""
        self._head[_KEPT] += count

    def close(self, *, keep: bool = False) -> None:
        """Give the memory back; with `keep` it stays for `left_over`."""
        self._head.release()
        self._memory.close()
        if self._path is not None and not keep:
            with suppress(OSError):
                self._path.unlink()
        if self._file is not None:
            os.close(self._file)

    # What a process has left that died -----------------------------------------------------------

    def keep_left_over(self) -> Path | None:
        """Append to its file what that lacks; gives the file, None where nothing was lacking.

        Raises:
            OSError: The disk is full.
        """
        path, base = self.file()
        if path is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            # There may be more in it than the head says: the thread died between the two.
            self._head[_KEPT] = base + file.tell()
            if not 0 < self.waiting <= self._size:
                return None
            file.write(self.peek(self.waiting))
            file.flush()
            os.fsync(file.fileno())
        return path

    def file(self) -> tuple[Path | None, int]:
        """Where the lines go, and the position of the first that does; None: it has none."""
        place = self._head[_PLACE]
        if self._head[_KIND] != _MAGIC or place > 1:
            return None, 0
        with self._fields(place) as fields:
            base, length = fields[_BASE], fields[_LENGTH]
        if not 0 < length <= _LONGEST:
            return None, 0
        start = _NAMED_AT[place] + 16
        return Path(os.fsdecode(self._memory[start : start + length])), base


def new_buffer(size: int, store: Path) -> LineBuffer:
    """Make a buffer of so many bytes, for runs of a store.

    Where there is no shared memory a killed process loses what is in it; that is logged.
    """
    try:
        return _shared(size, store)
    except OSError as error:
        text = "no shared memory: a service that is killed may lose the last lines of its journal"
        log.warning(text, at=str(MEMORY), error=error.strerror)
        return LineBuffer(mmap.mmap(-1, _HEAD + size))


def _shared(size: int, store: Path) -> LineBuffer:
    number = f"{os.getpid()}-{next(_numbers)}"
    new, path = MEMORY / f"orchestrator-new-{number}", MEMORY / f"{_prefix(store)}{number}"
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Now: a page that can't be had when it is first written to would end the process.
        os.posix_fallocate(file, 0, _HEAD + size)
        # Mapped at once as well: later each page would cost its first writer a fault.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        memory = mmap.mmap(file, _HEAD + size, flags=flags)
        memory[:8] = _MAGIC.to_bytes(8, sys.byteorder)
        new.rename(path)  # not before it is locked and whole
    except OSError:
        new.unlink(missing_ok=True)
        os.close(file)
        raise
    return LineBuffer(memory, file, path)


def _prefix(store: Path) -> str:
    name = hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:16]
    return f"orchestrator-{name}-"


def left_over(store: Path) -> Iterator[Path]:
    """Append to the files what processes have left that died; gives each that lacked something.

    Reads and writes files: not for the event loop.
    """
    for path in sorted(MEMORY.glob(f"{_prefix(store)}*")):
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:  # another user's, or gone by now
            continue
        buffer = _locked(file, path)
        if buffer is None:
            os.close(file)
            continue
        kept: Path | None = None
        try:
            kept = buffer.keep_left_over()
        except OSError as error:
            log.warning("what a killed process has left can't be kept now", error=str(error))
            buffer.close(keep=True)
        else:
            buffer.close()
        if kept is not None:
            yield kept


def give_up_abandoned() -> Iterator[Path]:
    """Remove what killed processes have left of stores that are gone; gives the files it was for.

    Nobody would ever ask for it, and it takes memory. Reads files: not for the event loop.
    """
    for path in sorted(MEMORY.glob("orchestrator-*")):
        try:
            if time.time() - path.stat().st_mtime < _ABANDONED:
                continue
            file = os.open(path, os.O_RDWR)
        except OSError:  # another user's, or gone by now
            continue
        buffer = _locked(file, path)
        if buffer is None:
            os.close(file)
            continue
        journal, _ = buffer.file()
        gone = journal is None or not journal.parents[2].is_dir()  # {store}/runs/{id}/journal…
        buffer.close(keep=not gone)
        if gone and journal is not None:
            yield journal


def _locked(file: int, path: Path) -> LineBuffer | None:
    """The buffer in a file; None where its process lives, or it is none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.fstat(file).st_size
        return LineBuffer(mmap.mmap(file, size), file, path) if size > _HEAD else None
    except OSError:
        return None
