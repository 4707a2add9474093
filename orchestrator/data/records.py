"""All that is kept of runs: a journal and data files for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.data.journal import Journals, RunJournal
from orchestrator.data.writer import RunStore, RunWriter
from orchestrator.types import Metadata, Place, Reading, RunEnded, RunEvent, RunHeader, RunStatus


class RunRecords:
    """Implements `ports.Store`: what a service keeps of its runs."""

    def __init__(self, directory: Path, lost: Callable[[str], None]) -> None:
        """Nothing is made before the first run.

        Args:
            directory: Where all is kept.
            lost: Called in a thread with what can't be kept, once a file.
        """
        self._data = RunStore(directory, lost)
        self._journals = Journals(directory, lost)
        self._open: dict[str, RunJournal] = {}

    def open(self, header: RunHeader) -> RunRecord:
        """See `ports.Store.open`."""
        journal = self._open[header.run_id] = self._journals.begin(header)
        return RunRecord(self._data.open(header), journal)

    def heard(self, event: RunEvent) -> None:
        """The engine tells something; called before anybody else hears of it."""
        journal = self._open.get(getattr(event, "run_id", ""))
        if journal is None:
            return
        journal.heard(event)
        if isinstance(event, RunEnded):
            del self._open[event.run_id]
            journal.close()

    def look_back(self) -> None:
        """Keep what was left by processes that were killed. Not for the event loop."""
        self._journals.look_back()

    async def close(self) -> None:
        """Return when the disk has all, or is too slow."""
        await asyncio.to_thread(self._journals.close)


class RunRecord:
    """Implements `ports.Recorder`."""

    def __init__(self, data: RunWriter, journal: RunJournal) -> None:
        """Made by `RunRecords.open`."""
        self._data = data
        self._points = 0
        self.journal = journal

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        return self._data.file

    @property
    def full(self) -> bool:
        """See `ports.Recorder.full`."""
        return self._data.full

    async def room(self) -> None:
        """See `ports.Recorder.room`."""
        await self._data.room()

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `ports.Recorder.describe`."""
        self.journal.known(channels)

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""
        self.journal.row(self._points, at, readings)
        self._points += 1
        self._data.row(at, readings)

    async def close(self, status: RunStatus) -> str:
        """See `ports.Recorder.close`."""
        faults = (await self._data.close(status), self.journal.fault)
        return "; ".join(fault for fault in faults if fault)
