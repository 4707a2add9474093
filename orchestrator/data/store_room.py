"""Whether there is room for what runs keep: looked after while there are runs."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from orchestrator.data.sinks import Identity
from orchestrator.errors import StoreFullError

LOOK = 0.25
"""s between two looks at the disk while a run is under way."""
_WATCH = 1.0
"""s between two looks while no run is under way."""
_AGAIN = 0.1
"""s after which a run that waits asks again."""
_SPARE = 256 * 2**20
"""Bytes that are kept free for what is on its way already: rows and lines in memory, and as many
images as a detector makes between two looks."""
_OF_A_SMALL_DISK = 20
"""The part of it that is kept free of a disk that is small: a twentieth."""
_LEAST = 32 * 2**20
"""Bytes that are kept free in any case: `data.h5` asks for 12 MB before it is made."""

log = structlog.get_logger(__name__)


def lack_of_room(directory: Path) -> str:
    """Why a store can't take what runs keep; empty if it can. Not for the event loop."""
    try:
        store, disk = _disk_of(directory)
    except OSError as error:
        return f"the store {directory} can't be reached: {error.strerror}"
    if disk.f_flag & os.ST_RDONLY:
        return f"the disk of the store {directory} is read-only: mount it to be written to"
    if not os.access(store, os.W_OK | os.X_OK):
        return f"the store {directory} can't be written to: give the service's user the right to"
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    spare = min(_SPARE, max(size // _OF_A_SMALL_DISK, _LEAST))
    if free < spare:
        had = f"{_megabytes(free)} are free, {_megabytes(spare)} are needed"
        return f"no room on the disk of the store {directory}: {had}: remove something"
    if disk.f_files and not disk.f_favail:
        return f"no room for more files on the disk of the store {directory}: remove some"
    return ""


def _disk_of(directory: Path) -> tuple[Path, os.statvfs_result]:
    """Itself, or the folder in which it will be made, and what there is of its disk.

    Raises:
        OSError: It can't be reached.
    """
    folder = directory.absolute()
    while True:
        try:
            return folder, os.statvfs(folder)
        except FileNotFoundError:
            folder = folder.parent


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB"


class StoreRoom:
    """Looks after the room for what runs keep, in the threads of their journals.

    Not in one of its own: with each more that is at work, what threads allocate is scattered over
    more of the C library's arenas, and the service grows by megabytes.

    What waits for the disk is bounded (`RunWriter`, `JournalFile`), so that all that was told of is
    kept in what is left when runs begin to wait.
    """

    def __init__(
        self, directory: Path, told: Callable[[str], None], *, fails: bool = False
    ) -> None:
        """Nothing is looked at before the first run.

        Args:
            directory: Of the store.
            told: Called in a thread with why runs can't go on, once.
            fails: Whether a run is to fail then, rather than to wait.
        """
        self._directory = directory
        self._identity: Identity | None = None
        """By which it is known again, once it was there."""
        self._told = told
        self._fails = fails
        self._looked = -LOOK
        self.lack = ""
        """Why nothing can be kept now; empty = there is room."""

    def forget(self) -> None:
        """A run begins where none is under way: what was seen before the last one ended is old."""
        self._looked, self.lack = -LOOK, ""

    def look(self) -> None:
        """Look at the disk, if it is time to. Not for the event loop."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        lack = self._gone() or lack_of_room(self._directory)
        if lack and not self.lack:
            log.error("nothing can be kept of runs", why=lack)
            with suppress(RuntimeError):  # the loop has ended
                self._told(lack)
        elif self.lack and not lack:
            log.info("there is room again in the store", store=str(self._directory))
        self.lack = lack

    def _gone(self) -> str:
        """Why nothing can be kept in a store that was there; an empty one is not as good."""
        try:
            found = Identity.of(self._directory.stat())
        except FileNotFoundError:
            if self._identity is None:
                return ""  # it is made with the first run
            text = "is gone: it was removed, or its disk was unmounted"
            return f"the store {self._directory} {text}; bring it back, or start the service again"
        except OSError:
            return ""  # that is told as any other
        if self._identity is None:
            self._identity = found
        elif found != self._identity:
            text = "is another folder than before: a disk was unmounted, or it was replaced"
            return f"the store {self._directory} {text}; bring it back, or start the service again"
        return ""

    def check_there(self) -> None:
        """See that the store is that which was there before: it is not to be made anew.

        Raises:
            OSError: It is not.
        """
        if gone := self._gone():
            raise FileNotFoundError(errno.ENOENT, gone)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look after the store also while no run is under way."""
        watching = asyncio.create_task(self._watch(), name="watch the store")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self) -> None:
        while True:
            try:
                if time.monotonic() - self._looked >= _WATCH:  # else a run's journal does it
                    await asyncio.to_thread(self.look)
            except Exception:  # the top of a task: the service goes on
                log.exception("the store can't be looked after")
            await asyncio.sleep(_WATCH)

    async def wait(self) -> None:
        """Return when there is room.

        Raises:
            StoreFullError: There is none, and runs are to fail.
        """
        while self.lack:
            if self._fails:
                raise StoreFullError(self.lack)
            await asyncio.sleep(_AGAIN)
