"""The files of a journal: a thread empties the buffer into them, and hands them to the disk."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from orchestrator.data.journal.buffer import LineBuffer
from orchestrator.data.journal.entries import LONGEST, left_out, parts
from orchestrator.data.store_room import LOOK
from orchestrator.errors import OrchestratorError
from orchestrator.present import NO_LOCKS

log = structlog.get_logger(__name__)

_BATCH = 0.02
"""s between two looks at the buffer: the loop must not wake a thread for each line."""
_SYNC = 1.0
"""s that a loss of power may cost."""
_AGAIN = 1.0
"""s after which a disk that has failed is tried again."""
_FINISH = 30.0
"""s that the last lines may take to reach it."""
_LOOKED_AT = 0.5
"""s for which others may hold it who only look whether a process lives that writes to it."""
_PIECE = 1 << 18
"""Bytes that are written at a time."""
_MOST_LATE = 1 << 26
"""Bytes that may wait in memory for a disk that has failed; beyond, lines are left out."""
_A_FILE = 1 << 24
"""Bytes after which a file is followed by another."""
_FILES = 16
"""Files of that size that a journal has at most, the first one and the last ones: a run without an
end must not fill the disk."""

_MOMENT = 0.008
"""s for which files in the middle are shortened between two looks at the buffer."""
_BEHIND = 3
"""Files that may wait for that."""


def file_name(number: int) -> str:
    """How the files of a journal are called, from 1 on."""
    return "journal.jsonl" if number == 1 else f"journal-{number}.jsonl"


class Former(NamedTuple):
    """A journal that is there, and that nobody else writes to."""

    number: int
    """Of its last file."""
    lock: int
    """The open file by which it is held."""


class JournalFile:
    """Takes lines at once, and never waits for the disk."""

    def __init__(
        self,
        folder: Path,
        buffer: LineBuffer,
        lost: Callable[[str], None],
        kept: Callable[[Path], None],
        done: Callable[[LineBuffer], None],
        former: Former | None = None,
        files: int | None = None,
        look: Callable[[], None] | None = None,
        make: Callable[[Path], None] | None = None,
        shorten: Callable[[Path, int], Iterator[None]] | None = None,
    ) -> None:
        """Begin the journal of a run, or go on with that of a `former` one.

        Args:
            folder: Made by the thread; where another run has it already it gets a number.
            buffer: Free again when it is `done`.
            lost: Called in the thread, once, with why lines can't be kept.
            kept: Called in the thread when its first line is in the folder, and its last.
            done: Called in the thread at its end.
            former: What there is of it in the folder.
            files: How many it has at most; None: as many as a run may have.
            look: Called in the thread, from the first line on at least each `LOOK` s.
            make: Makes its folder, if it is not there.
            shorten: Puts in the place of a file in the middle what is needed of it, in small
                pieces of work; None: nothing is.
        """
        self.folder = folder
        self._buffer = buffer
        self._lost = lost
        self._kept = kept
        self._done = done
        self._most = files or _FILES
        self._look = look
        self._make = make or _make_folder
        self._shorten = shorten
        self._middle: deque[int] = deque()  # files that are to be shortened
        self._shortens: Iterator[None] | None = None
        self._late: deque[bytes] = deque()  # what there was no room for; the loop's own
        self._late_bytes = 0
        self._left_out = 0  # lines that are kept nowhere, and of which no line tells yet
        self._missing = 0
        self.error = ""
        """Why nothing can be kept now."""
        self._told = False
        self._woken = threading.Event()
        self._asleep = True
        self._wants_sync = False
        self._ends: float | None = None
        self._made, self._known = former is not None, False
        self._file = -1
        self._number, self._lock = former or (0, -1)
        self._bytes = 0  # in the file that is written to
        self._written = 0  # in all of them
        self._first = 0
        self._dirty_since: float | None = None
        with suppress(OSError):  # it is told by the thread
            buffer.begin(
                folder / file_name(self._number + 1)
            )  # before a line: the thread may never come to it
        self.thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self.thread.start()

    def begin(self, line: bytes) -> None:
        """Take the first line; with it in the folder a reader knows what it is."""
        lines = parts(line) if len(line) > LONGEST else (line,)
        self._first = sum(map(len, lines))  # before the thread sees one
        self.append(line)

    def append(self, line: bytes) -> None:
        """Take a line: a process that dies from now on does not lose it.

        Unless the disk is so far behind that the buffer is full, see `full`: then it is lost with
        the process.
        """
        if len(line) > LONGEST:
            self._append_parts(line)
            return
        if self._late or self._ends is not None or not self._buffer.append(line):
            self._take_late(line)
        if self._asleep:
            self._asleep = False
            self._woken.set()

    def _append_parts(self, line: bytes) -> None:
        if self._late_bytes + len(line) > _MOST_LATE:
            self._leave_out()  # as a whole: nobody could read a part of it
            return
        for part in parts(line):
            self.append(part)

    def _take_late(self, line: bytes) -> None:
        """Take a line for which the buffer has no room, or which others stand before."""
        if self._ends is not None:
            return  # of a put that is still owed: the run has ended without it
        self._move_late()
        if self._late_bytes + len(line) > _MOST_LATE:
            self._leave_out()
            return
        if self._left_out:
            self._keep_late(left_out(self._left_out))
            self._left_out = 0
        self._keep_late(line)
        self._move_late()

    def _leave_out(self) -> None:
        self._left_out += 1
        self._missing += 1

    def _keep_late(self, line: bytes) -> None:
        self._late.append(line)
        self._late_bytes += len(line)

    def _move_late(self) -> None:
        while self._late and self._buffer.append(self._late[0]):
            self._late_bytes -= len(self._late.popleft())
            self._woken.set()

    @property
    def full(self) -> bool:
        """Whether the disk is so far behind that nothing should be begun; not if it has failed."""
        return (self._buffer.full or bool(self._late)) and not self.error

    async def room(self) -> None:
        """Return when it is not."""
        while self.full:
            await asyncio.sleep(_BATCH)
            self._move_late()
            self._buffer.look()

    @property
    def fault(self) -> str:
        """What is wrong with it; empty = nothing."""
        if self._missing:
            why = self.error or "the disk did not take them"
            return f"{self._missing} lines are not in the journal {self.folder}: {why}"
        return f"the journal {self.folder} is not complete: {self.error}" if self.error else ""

    def sync(self) -> None:
        """Have all so far put on the disk, soon."""
        self._wants_sync = True
        self._woken.set()

    def close(self) -> None:
        """No line follows; the thread does the rest, within `_FINISH` s."""
        if self._left_out:
            self._keep_late(left_out(self._left_out))
        self._ends = time.monotonic() + _FINISH
        self._woken.set()

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        ends: float | None = None
        while ends is None or self.error:
            self._woken.wait(self._patience)
            self._woken.clear()
            self._asleep = True  # before one looks
            if self._look is not None:
                self._look()
            ends = self._ends
            self._try_to_keep(last=ends is not None)
            if self.error and ends is not None and time.monotonic() > ends:
                log.error("a journal ends early", folder=str(self.folder), error=self.error)
                break
            if ends is None and self._shorten is not None:
                self._shorten_some(self._shorten)
            time.sleep(_AGAIN if self.error else 0.0 if ends is not None else _BATCH)
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        if self._known:
            self._kept(self.folder)
        self._buffer.drop(self._buffer.waiting)
        self._done(self._buffer)

    @property
    def _patience(self) -> float | None:
        """S until something has to be done though nothing comes."""
        if self.error or self._middle:
            return 0.0
        # Before its first line it waits for that: a reader is to find it there.
        patience = LOOK if self._look is not None and self._written else None
        if self._dirty_since is None:
            return patience
        due = max(self._dirty_since + _SYNC - time.monotonic(), 0.0)
        return due if patience is None else min(due, patience)

    def _try_to_keep(self, *, last: bool) -> None:
        try:
            self._keep(last=last)
        except OSError as error:
            self.error = error.strerror or str(error)
            if not self._told:
                self._told = True
                self._lost(f"nothing is kept in the journal {self.folder}: {self.error}")
        else:
            self.error = ""

    def _keep(self, *, last: bool) -> None:
        """Write what waits; `last`: nothing follows.

        Raises:
            OSError: The disk is full, or gone.
        """
        if self._file < 0:
            self._make_folder()
            self._begin()
        self._empty_buffer()
        while last and self._late:  # the loop puts nothing in any more
            self._move_late()
            self._empty_buffer()
        due = self._dirty_since is not None and time.monotonic() - self._dirty_since >= _SYNC
        if due or last or self._wants_sync:
            self._wants_sync = False
            if not os.fstat(self._file).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "it was removed while it was written to")
            os.fdatasync(self._file)
            self._dirty_since = None
        if not self._known and self._written >= self._first:
            self._known = True
            self._kept(self.folder)

    def _empty_buffer(self) -> None:
        while piece := self._buffer.peek(_PIECE):
            if self._dirty_since is None:
                self._dirty_since = time.monotonic()
            whole = piece.rfind(b"\n") + 1
            self._write(piece[:whole] if whole else piece)
            if whole and self._bytes >= _A_FILE:
                self._begin()

    def _write(self, piece: bytes) -> None:
        while piece:
            written = os.write(self._file, piece)
            self._buffer.drop(written)
            self._bytes += written
            self._written += written
            piece = piece[written:]

    def _make_folder(self) -> None:
        number, own = 1, self.folder
        while not self._made:
            self._make(own)  # its data may have come first
            try:
                (own / file_name(1)).open("xb").close()
                self.folder, self._made = own, True
            except FileExistsError:
                number += 1
                own = self.folder.with_name(f"{self.folder.name}-{number}")

    def _begin(self) -> None:
        """Go on in the next file; of many those in the middle go."""
        number = self._number + 1
        path = self.folder / file_name(number)
        self._buffer.begin(path)  # first: what is left of a process that dies now is put there
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if self._file >= 0:
            os.fdatasync(self._file)
            os.close(self._file)
        self._file, self._number, self._bytes = file, number, 0
        if number == 1:
            self._lock = locked(path)
        self._leave_out_the_middle()
        _sync_folder(self.folder)

    def _leave_out_the_middle(self) -> None:
        """Of what is more than a journal may have, the first file and the last ones stay."""
        middle = range(2, self._number - self._most + 2)
        if not middle:
            return
        # An attempt at a short run is a short file: of those there may be more.
        sizes = {path: path.stat().st_size for path in self.folder.glob("journal*.jsonl")}
        for number in middle:
            path = self.folder / file_name(number)
            if path in sizes and sum(sizes.values()) > (self._most - 1) * _A_FILE:
                del sizes[path]
                self._leave_out_file(number)

    def _leave_out_file(self, number: int) -> None:
        if self._shorten is None:
            (self.folder / file_name(number)).unlink()
        elif number not in self._middle:
            self._middle.append(number)

    def _shorten_some(self, shorten: Callable[[Path, int], Iterator[None]]) -> None:
        """Shorten files for a moment: the lines that come meanwhile wait for it.

        As long as it takes where the run is too quick for that.
        """
        ends = time.monotonic() + _MOMENT
        while self._middle and (len(self._middle) > _BEHIND or time.monotonic() < ends):
            number = self._middle[0]
            self._shortens = self._shortens or shorten(self.folder, number)
            try:
                if next(self._shortens, self) is not self:
                    continue
            except (OSError, OrchestratorError, ValueError, KeyError) as error:
                path = self.folder / file_name(number)
                text = "a file of a journal is removed as it is: the run can't be gone on with"
                log.warning(text, file=str(path), error=str(error))
                path.unlink(missing_ok=True)
            self._middle.popleft()
            self._shortens = None


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def locked(path: Path) -> int:
    """Hold a file for as long as it is open: its process lives. Not for the event loop.

    Raises:
        OSError: Another process holds it.
    """
    file = os.open(path, os.O_RDONLY)
    ends = time.monotonic() + _LOOKED_AT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                os.close(file)
                raise
            time.sleep(0.005)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(file)
                raise
            return file
        else:
            return file


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder put on the disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can
            os.fsync(file)
    finally:
        os.close(file)
