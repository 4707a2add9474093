"""How long runs are kept: the oldest go first, never one that waits to be gone on with."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from orchestrator.data.journal.file import file_name, locked
from orchestrator.data.journal.index import RunIndex
from orchestrator.data.journal.reader import summary_of
from orchestrator.errors import InputError

_EVERY = 60.0
"""s between two looks."""
_TO_GO = """WHERE status IS NOT NULL AND status <> 'Interrupted' AND ended < ?
    ORDER BY folder LIMIT ?"""
"""Those that have ended before a moment, the oldest first."""
_AT_A_TIME = 1000
"""Runs that are looked at for one reason; the next ones a minute later."""

log = structlog.get_logger(__name__)


class Retention:
    """Removes runs that have ended, by their age or for room on the disk."""

    def __init__(
        self,
        store: Path,
        keep: float | None,
        keep_free: int | None,
        told: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Nothing is removed before `tidy`.

        Args:
            store: The directory of all that is kept of runs.
            keep: s that a run is kept after its end; None = for ever.
            keep_free: Bytes to be kept free on the disk; None = none.
            told: Called with why there is less, once, where no run is left to be removed.
        """
        self._store = store
        self._keep = keep
        self._keep_free = keep_free
        self._told = told
        self._lacked = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after it meanwhile, in a thread."""
        if self._keep is None and self._keep_free is None:
            yield
            return
        looking = asyncio.create_task(self._look(), name="retention")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    async def _look(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.tidy)
            except OSError as error:  # the store is out of reach: who runs is told by its room
                log.warning("runs that are too old can't be removed", error=str(error))
            except Exception:  # the top of a task: the service goes on
                log.exception("runs that are too old can't be removed")
            await asyncio.sleep(_EVERY)

    def tidy(self) -> list[str]:
        """Remove what is to go; gives the names of its folders. Not for the event loop."""
        runs = self._store / "runs"
        if not runs.is_dir():
            return []
        # What a process has left that was killed; or another one that is at it now.
        shutil.rmtree(self._gone, ignore_errors=True)
        index = RunIndex(self._store / "index.db", runs)
        gone: list[str] = []
        if self._keep is not None:
            before = time.time() - self._keep
            old = index.rows(_TO_GO, (before, _AT_A_TIME))
            gone += [name for row in old if self._remove(runs / (name := str(row[0])), before)]
        if self._lacks_room():
            before = time.time()
            for row in index.rows(_TO_GO, (before, _AT_A_TIME)):
                if self._remove(runs / (name := str(row[0])), before):
                    gone.append(name)
                    if not self._lacks_room():
                        break
        if gone:
            log.info("old runs are removed", runs=len(gone), first=gone[0], last=gone[-1])
        self._tell_of_lack()
        return gone

    def _lacks_room(self) -> bool:
        if self._keep_free is None:
            return False
        disk = os.statvfs(self._store)
        return disk.f_bavail * disk.f_frsize < self._keep_free

    def _tell_of_lack(self) -> None:
        lacks = self._lacks_room()
        if lacks and not self._lacked:
            self._told(
                f"less than keep_free is free on the disk of the store {self._store}, and there "
                "is no run left that may be removed"
            )
        self._lacked = lacks

    @property
    def _gone(self) -> Path:
        """Where runs are removed: never half of one in its place."""
        return self._store / ".removed"

    def _remove(self, folder: Path, before: float) -> bool:
        """Remove a run that has ended before then.

        Not one that somebody goes on with at this moment, or has gone on with since the index was
        asked; another process may remove it as well.
        """
        try:
            lock = locked(folder / file_name(1))
        except OSError as error:
            log.debug("a run stays", run=folder.name, error=str(error))
            return False
        try:
            end = summary_of(folder).end
            if end is None or end["t"] >= before:
                return False
            self._gone.mkdir(exist_ok=True)
            gone = folder.rename(self._gone / folder.name)
        except FileNotFoundError:  # another process has removed it, or the place for it
            return False
        except (OSError, InputError) as error:
            log.warning("a run can't be removed", run=folder.name, error=str(error))
            return False
        finally:
            os.close(lock)
        shutil.rmtree(gone, ignore_errors=True)  # else the next one does
        return True
