"""The journals of one store: those that are written, and what is left of those before."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import structlog

from orchestrator.data.journal import entries
from orchestrator.data.journal.abandoned import AbandonedRun, VisitedSteps
from orchestrator.data.journal.buffer import (
    LineBuffer,
    give_up_abandoned,
    left_over,
    new_buffer,
)
from orchestrator.data.journal.file import Former, JournalFile, file_name, locked
from orchestrator.data.journal.index import INTERRUPTED, RunIndex
from orchestrator.data.journal.interrupted import Interrupted, interrupted_run
from orchestrator.data.journal.middle import shorten
from orchestrator.data.journal.reader import (
    Entry,
    Summary,
    attempts_of,
    is_whole,
    last_file,
    numbered,
    row_of,
    summary_of,
)
from orchestrator.data.journal.run_journal import RunJournal
from orchestrator.data.sinks import Row
from orchestrator.data.store_room import StoreRoom
from orchestrator.errors import InputError
from orchestrator.ports import PointOf
from orchestrator.types import Abandoned, FormerRun, Metadata, RunHeader, SourceText, Visited

log = structlog.get_logger(__name__)

_BUFFER = 1 << 22
"""Bytes of lines that may wait for the disk in shared memory: some 10,000 steps."""
_LAST = 5.0
"""s that the journals of ended runs may take at the end of the service."""


_ID = re.compile(r"[\w-][\w.-]*")
"""What names a run: nothing that leads out of the folder of runs."""
_SETTLES = 2.0
"""s that a run may take to let go of its journal once it has ended."""


class Journals:
    """Begins the journal of each run, and keeps the index."""

    def __init__(
        self, directory: Path, lost: Callable[[str], None], room: StoreRoom | None = None
    ) -> None:
        """Nothing is made before the first run.

        Args:
            directory: The store's.
            lost: Called in a thread, once a run, with why its journal can't be kept.
            room: For which runs wait; None where there are none.
        """
        self._room = room or StoreRoom(directory, lost)
        self._directory = directory
        self._runs = directory / "runs"
        self._lost = lost
        self._index = RunIndex(directory / "index.db", self._runs)
        self._free: list[LineBuffer] = []
        self._files: list[JournalFile] = []
        self._looking_back = threading.Lock()

    def make_folder(self, folder: Path) -> None:
        """Make that of a run. Not for the event loop.

        Raises:
            OSError: It can't be made.
        """
        self._room.check_there()
        self._index.make_folder(folder)

    def begin(self, header: RunHeader) -> RunJournal:
        """The journal of a run that begins; at once, whatever the disk does."""
        file = self._file(self._runs / header.run_id)
        return RunJournal(file, entries.run_begun(header, _process()), self._room)

    def _file(self, folder: Path, former: Former | None = None) -> JournalFile:
        buffer = self._free.pop() if self._free else new_buffer(_BUFFER, self._directory)
        kept, free = self._index.keep, self._free.append
        look, make = self._room.look, self.make_folder
        file = JournalFile(
            folder, buffer, self._lost, kept, free, former, look=look, make=make, shorten=shorten
        )
        self._files = [other for other in self._files if other.thread.is_alive()]
        self._files.append(file)
        return file

    # Runs that have ended. All of it reads and writes files: not for the loop --------------------

    def folder(self, run_id: str) -> Path:
        """Where the journal of a run is.

        Raises:
            InputError: There is no such run.
        """
        folder = self._runs / run_id
        if not _ID.fullmatch(run_id) or not folder.is_dir():
            raise InputError(f"there is no run {run_id!r} in {self._runs}")
        return folder

    def former(self, run_id: str) -> FormerRun:
        """See `ports.Store.former`."""
        self.keep_left_over()  # it may have been killed a moment ago
        folder = self.folder(run_id)
        run = _settled(folder)
        end = run.end or {}
        return FormerRun(header_of(run.header), end.get("status", INTERRUPTED), attempts_of(folder))

    def abandoned(self, run_id: str, point_of: PointOf | None, *, by_marks: bool) -> Abandoned:
        """See `ports.Store.abandoned`."""
        folder = self.folder(run_id)
        if not is_whole(folder):
            text = "the journal is not whole: of so long a run the middle is not kept"
            raise InputError(f"{folder}: {text}, and what names were bound to is not known")
        return AbandonedRun(point_of, by_marks=by_marks).follow(numbered(folder)).ended()

    def visited(self, run_id: str) -> list[Visited]:
        """Where a run was.

        Raises:
            InputError: There is no such run.
        """
        visited = VisitedSteps()
        for _, entry in numbered(self.folder(run_id)):
            visited.take(entry)
        return visited.steps

    def rows(self, run_id: str, first: int) -> Iterator[Row]:
        """The rows of a run from that number on, as far as its journal has them.

        Of a longer array it has not all: there the channel has no reading.

        Raises:
            InputError: There is no such run, or its journal has not all of them.
        """
        folder, following = self.folder(run_id), first
        for _, entry in numbered(folder):
            if entry["event"] == "row" and entry["point"] >= following:
                if entry["point"] > following:
                    lacking = f"rows {following} to {entry['point'] - 1}"
                    raise InputError(f"{lacking} are not in the journal {folder}")
                following += 1
                yield row_of(entry)

    def go_on(self, header: RunHeader, before: FormerRun, abandoned: Abandoned) -> RunJournal:
        """See `ports.Store.go_on`."""
        folder = self.folder(before.header.run_id)
        try:
            lock = locked(folder / file_name(1))
        except OSError as error:
            raise InputError(f"{header.run_id} is under way: {error.strerror}") from error
        file = self._file(folder, Former(last_file(folder), lock))
        number = before.attempts + 1
        first = entries.attempt_begun(header, _process(), number, abandoned)
        return RunJournal(file, first, self._room, abandoned.points)

    def look_back(self) -> list[Path]:
        """Keep what processes have left that were killed. Reads and writes: not for the loop.

        Gives the folders of the runs that are Interrupted since the last time.
        """
        self.keep_left_over()
        for file in give_up_abandoned():
            log.warning("the last lines of a killed run are given up: no store", file=str(file))
        interrupted = self._index.look_over()
        if interrupted:
            log.debug("interrupted", runs=len(interrupted), last=interrupted[-1])
        return [self._runs / name for name in interrupted]

    def keep_left_over(self) -> None:
        """Keep what processes have left that were killed. Reads and writes: not for the loop."""
        with self._looking_back:  # who comes second finds all of it in the files
            for file in left_over(self._directory):
                log.info("what a killed process has left is in the journal now", file=str(file))

    def interrupted(self, *, foreground: bool) -> list[Interrupted]:
        """The runs that nobody runs any more, of which is to be told, the oldest first.

        Args:
            foreground: To a run in the foreground, else to a service: each is told of those that
                were interrupted since the last one of its kind.
        """
        found: list[Interrupted] = []
        for name in self._index.interrupted(foreground=foreground):
            try:
                found.append(interrupted_run(self._runs / name))
            except (InputError, OSError, KeyError) as error:
                log.warning("an interrupted run can't be read", folder=name, error=str(error))
        return found

    def untold(self) -> list[Interrupted]:
        """Those of each kind since the last one of that kind; for who asks how things are."""
        return [
            run
            for foreground in (False, True)
            for run in self.interrupted(foreground=foreground)
            if run.foreground == foreground
        ]

    def close(self) -> None:
        """Wait for the disk. Blocks: not for the loop."""
        ends = time.monotonic() + _LAST
        for file in self._files:
            file.thread.join(max(ends - time.monotonic(), 0.0))
        for buffer in self._free:
            buffer.close()
        self._free.clear()


def _process() -> Mapping[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _settled(folder: Path) -> Summary:
    """A run in short, once it has let go of its journal.

    Raises:
        InputError: It has not.
    """
    ends = time.monotonic() + _SETTLES
    while (run := summary_of(folder)).under_way:
        if run.end is None or time.monotonic() > ends:
            raise InputError(f"{folder.name} is under way, in another process or in this one")
        time.sleep(0.02)
    return run


def header_of(of: Entry, channels: Mapping[str, Metadata | None] | None = None) -> RunHeader:
    """The header of a run, as the first line of its journal has it; `channels` as they are."""
    texts = ("run_id", "name", "owner", "how", "lane")
    return RunHeader(
        **{name: of[name] for name in texts},
        started=datetime.fromisoformat(of["started"]) if of["started"] else None,
        sources=tuple(SourceText(**source) for source in of["sources"]),
        arguments=of["arguments"],
        versions=of["versions"],
        metadata=of.get("metadata", {}),
        channels=channels or {},
    )
