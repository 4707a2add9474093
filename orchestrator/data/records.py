"""All that is kept of runs: a journal and data files for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path

import structlog

from orchestrator.data.documents import DocumentOutputs
from orchestrator.data.journal import (
    Interrupted,
    Journals,
    QueueJournal,
    RunJournal,
    lanes_with_queues,
)
from orchestrator.data.journal.index import INTERRUPTED
from orchestrator.data.mending import mend_data
from orchestrator.data.past import PastRuns
from orchestrator.data.past.finder import UNDER_WAY
from orchestrator.data.store_room import StoreRoom
from orchestrator.data.writer import AS_EVER, DataForm, FormerRows, RunStore, RunWriter
from orchestrator.errors import InputError
from orchestrator.ports import PointOf
from orchestrator.types import (
    Abandoned,
    FormerRun,
    Metadata,
    Place,
    QueueChanged,
    QueueLeft,
    Reading,
    RunEnded,
    RunEvent,
    RunHeader,
    RunStatus,
    Visited,
)

log = structlog.get_logger(__name__)

_LAST = 2.0
"""s that the queue may take to reach the disk at the end."""


class RunRecords:
    """Implements `ports.Store`: what a service keeps of its runs."""

    def __init__(
        self,
        directory: Path,
        lost: Callable[[str], None],
        form: DataForm = AS_EVER,
        made: Callable[[str, str], None] = lambda _run_id, _file: None,
        documents: DocumentOutputs | None = None,
        *,
        foreground: bool = False,
        on_full: str = "pause",
    ) -> None:
        """Nothing is made before the first run.

        Args:
            directory: Where all is kept.
            lost: Called in a thread with what can't be kept, once a file.
            form: Of the data.
            made: As in `RunStore`.
            documents: As in `RunStore`; closed with this.
            foreground: For one run, beside others that use the directory, or for who only looks:
                it has no queue.
            on_full: What a run does while nothing can be kept: `pause` or `fail`.
        """
        self._directory = directory
        self._documents = documents
        self._foreground = foreground
        self._lost = lost
        self._queues: dict[str, QueueJournal] = {}
        """Of each lane that has one."""
        self._room = StoreRoom(directory, lost, fails=on_full == "fail")
        self._journals = Journals(directory, lost, self._room)
        make = self._journals.make_folder
        self._data = RunStore(directory, lost, form, made, documents, make)
        self._open: dict[str, RunJournal] = {}
        self.watched = self._room.watched
        """While a service serves: it is told when the store is gone, also where nothing runs."""

    def open(self, header: RunHeader) -> RunRecord:
        """See `ports.Store.open`."""
        self._before()
        journal = self._open[header.run_id] = self._journals.begin(header)
        return RunRecord(self._data.open(header), journal, self._room)

    def former(self, run_id: str) -> FormerRun:
        """See `ports.Store.former`."""
        return self._journals.former(run_id)

    def abandoned(self, run_id: str, point_of: PointOf | None, *, by_marks: bool) -> Abandoned:
        """See `ports.Store.abandoned`."""
        return self._journals.abandoned(run_id, point_of, by_marks=by_marks)

    def go_on(self, header: RunHeader, before: FormerRun, abandoned: Abandoned) -> RunRecord:
        """See `ports.Store.go_on`."""
        self._before()
        journal = self._journals.go_on(header, before, abandoned)
        self._open[header.run_id] = journal
        rows = partial(self._journals.rows, header.run_id)
        former = FormerRows(before.header, abandoned.points, abandoned.superseded, rows)
        data = self._data.go_on(header, former)
        return RunRecord(data, journal, self._room, abandoned.points)

    def _before(self) -> None:
        if not self._open:
            self._room.forget()

    def visited(self, run_id: str) -> list[Visited]:
        """Where a run was, for people. Reads files."""
        return self._journals.visited(run_id)

    def killed(self) -> list[str]:
        """The runs that were killed and not gone on with, and behind which none has ended.

        The oldest first. Reads files: not for the event loop.
        """
        runs = PastRuns(self._directory).newest()
        latest = takewhile(lambda run: run.outcome in (INTERRUPTED, UNDER_WAY), runs)
        killed = [run.folder.name for run in latest if run.outcome == INTERRUPTED]
        return [run_id for run_id in reversed(killed) if not self._is_finalised(run_id)]

    def _is_finalised(self, run_id: str) -> bool:
        try:
            return self.abandoned(run_id, None, by_marks=False).finalised
        except InputError:
            return False  # who is to finalise it will tell

    def heard(self, event: RunEvent) -> None:
        """The engine tells something; called before anybody else hears of it."""
        if isinstance(event, QueueChanged) and not self._foreground:
            self._queue(event.lane).keep(event)
        journal = self._open.get(getattr(event, "run_id", ""))
        if journal is None:
            return
        journal.heard(event)
        if isinstance(event, RunEnded):
            del self._open[event.run_id]
            journal.close()

    def _queue(self, lane: str) -> QueueJournal:
        if lane not in self._queues:
            check = self._room.check_there
            self._queues[lane] = QueueJournal(self._directory, self._lost, lane, check)
        return self._queues[lane]

    def left_queues(self) -> Iterator[QueueLeft | InputError]:
        """What waited in each lane when the last service ended; before anything is changed.

        In place of a queue that can't be read, why. What killed processes have left is kept first.
        Reads and writes: not for the event loop.
        """
        self._journals.keep_left_over()
        if self._foreground:
            return
        for lane in lanes_with_queues(self._directory):
            try:
                left = self._queue(lane).left()
            except InputError as error:
                yield error
            else:
                if left is not None:
                    yield left

    def interrupted(self) -> list[Interrupted]:
        """The runs that nobody runs any more, of which is to be told, the oldest first.

        To a service those since the last run of a service, to a foreground run those since the
        last of its kind. Behind `left_queues`; reads and writes: not for the event loop.
        """
        self.look_back()
        return self._journals.interrupted(foreground=self._foreground)

    def untold(self) -> list[Interrupted]:
        """As `interrupted`, of both kinds; for who asks how things are."""
        self.look_back()
        return self._journals.untold()

    def look_back(self) -> None:
        """Keep what was left by processes that were killed. Not for the event loop."""
        for folder in self._journals.look_back():
            mend_data(folder, self._lost)

    async def close(self) -> None:
        """Return when the disk has all, or is too slow."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for queue in self._queues.values():
            queue.close()
        for queue in self._queues.values():
            queue.join(_LAST)
        self._journals.close()
        if self._documents is not None:
            self._documents.close()


class RunRecord:
    """Implements `ports.Recorder`."""

    def __init__(
        self, data: RunWriter, journal: RunJournal, room: StoreRoom, points: int = 0
    ) -> None:
        """Made by `RunRecords`; `points`: rows that attempts before have taken."""
        self._data = data
        self._room = room
        self._points = points
        self.journal = journal

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        return self._data.file

    @property
    def full(self) -> bool:
        """See `ports.Recorder.full`."""
        return self._data.full

    @property
    def lack(self) -> str:
        """See `ports.Recorder.lack`."""
        return self._room.lack

    async def room(self) -> None:
        """See `ports.Recorder.room`."""
        await self._data.room()
        await self._room.wait()

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `ports.Recorder.describe`."""
        self.journal.known(channels)
        self._data.describe(channels)

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.baseline`."""
        self.journal.baseline(when, readings)
        self._data.baseline(when, readings)

    def update(self, reading: Reading) -> None:
        """See `ports.Recorder.update`."""
        self._data.update(reading)

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""
        self.journal.row(self._points, at, readings)
        self._points += 1
        self._data.row(at, readings)

    async def close(self, status: RunStatus, message: str = "") -> str:
        """See `ports.Recorder.close`."""
        faults = (await self._data.close(status, message), self.journal.fault)
        return "; ".join(fault for fault in faults if fault)
