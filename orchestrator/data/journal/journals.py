"""The journals of one store: those that are written, and what is left of those before."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from orchestrator.data.journal.buffer import (
    LineBuffer,
    give_up_abandoned,
    left_over,
    new_buffer,
)
from orchestrator.data.journal.file import JournalFile
from orchestrator.data.journal.index import RunIndex
from orchestrator.data.journal.run_journal import RunJournal
from orchestrator.types import RunHeader

log = structlog.get_logger(__name__)

_BUFFER = 1 << 22
"""Bytes of lines that may wait for the disk in shared memory: some 10,000 steps."""
_LAST = 5.0
"""s that the journals of ended runs may take at the end of the service."""


class Journals:
    """Begins the journal of each run, and keeps the index."""

    def __init__(self, directory: Path, lost: Callable[[str], None]) -> None:
        """Nothing is made before the first run.

        Args:
            directory: The store's.
            lost: Called in a thread, once a run, with why its journal can't be kept.
        """
        self._directory = directory
        self._runs = directory / "runs"
        self._lost = lost
        self._index = RunIndex(directory / "index.db", self._runs)
        self._free: list[LineBuffer] = []
        self._files: list[JournalFile] = []

    def begin(self, header: RunHeader) -> RunJournal:
        """The journal of a run that begins; at once, whatever the disk does."""
        buffer = self._free.pop() if self._free else new_buffer(_BUFFER, self._directory)
        folder, kept = self._runs / header.run_id, self._index.keep
        file = JournalFile(folder, buffer, self._lost, kept, self._free.append)
        self._files = [other for other in self._files if other.thread.is_alive()]
        self._files.append(file)
        return RunJournal(header, file)

    def look_back(self) -> list[Path]:
        """Keep what processes have left that were killed. Reads and writes: not for the loop.

        Gives the folders of the runs that are Interrupted since the last time.
        """
        for file in left_over(self._directory):
            log.info("what a killed process has left is in the journal now", file=str(file))
        for file in give_up_abandoned():
            log.warning("the last lines of a killed run are given up: no store", file=str(file))
        interrupted = self._index.look_over()
        if interrupted:
            text = "runs were under way when their process was killed: Interrupted"
            log.warning(text, runs=len(interrupted), last=interrupted[-1])
        return [self._runs / name for name in interrupted]

    def close(self) -> None:
        """Wait for the disk. Blocks: not for the loop."""
        ends = time.monotonic() + _LAST
        for file in self._files:
            file.thread.join(max(ends - time.monotonic(), 0.0))
        for buffer in self._free:
            buffer.close()
        self._free.clear()
