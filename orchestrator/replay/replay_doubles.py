"""The outside of a replay: documents as they were read then, and nothing to write to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.ports import NoJournal, NothingKept
from orchestrator.replay.index import Index
from orchestrator.replay.port_proxies import LibraryProxy
from orchestrator.types import (
    Metadata,
    Place,
    PushItem,
    Reading,
    RunHeader,
    RunStatus,
)


class ReplayLibrary(LibraryProxy):
    """The documents as they were read then, but for those that are replaced."""

    listed: set[str]

    def replace(self, sequences: Mapping[str, Path], index: Index) -> None:
        """Take these files in place of the recorded documents.

        Raises:
            InputError: There is no such document, or its file can't be read.
        """
        self.listed = set()
        self._read: dict[str, Mapping[str, str]] = {}
        self._replaced: dict[str, tuple[str, str]] = {}
        for name, file in sequences.items():
            if name not in index.names:
                known = ", ".join(sorted(index.names)) or "none"
                raise InputError(f"--sequence {name}: not in the recording; it has {known}")
            try:
                self._replaced[name] = file.read_text(encoding="utf-8"), file.name
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"--sequence {name}: can't read {file}: {error}") from error

    def take_source(self, read: Mapping[str, str]) -> None:
        """A document was read: its text is new, or it could not be."""
        self._read[read["name"]] = read

    def source(self, name: str) -> tuple[str, str]:
        """See `Library.source`."""
        if name in self._replaced:
            return self._replaced[name]
        read = self._read.get(name)
        if read is None:
            raise InputError(f"there is no sequence {name!r} in the recording")
        if "error" in read:
            raise InputError(read["error"])
        return read["text"], read["file"]

    def files(self) -> set[str]:
        """See `Library.files`."""
        return self.listed


class NoStore(NothingKept):
    """Implements `ports.Store`; what is kept of a row passes through the interceptor."""

    def open(self, header: RunHeader) -> NoRecorder:
        """See `ports.Store.open`."""
        del header
        return NoRecorder()


class NoRecorder:
    """Implements `ports.Recorder`."""

    file = ""
    full = False
    lack = ""

    def __init__(self) -> None:
        self.journal = NoJournal()

    async def room(self) -> None:
        """See `ports.Recorder.room`; never called, as `close`."""

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `ports.Recorder.describe`."""

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.baseline`."""

    def update(self, reading: Reading) -> None:
        """See `ports.Recorder.update`."""

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""

    async def close(self, status: RunStatus, message: str = "") -> str:
        """See `ports.Recorder.close`; never called: the recording answers."""
        del status, message
        return ""


class Nowhere:
    """Where what the device publishes goes."""

    def offer(self, item: PushItem) -> None:
        """As a queue does."""
