"""The sink that makes documents of a run, and hands them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TextIO

import structlog

from orchestrator.data.documents.making import Document, DocumentMaker
from orchestrator.data.documents.outputs import DocumentOutputs, Take, line_of
from orchestrator.data.sinks import Baseline, Row, new_file
from orchestrator.types import Metadata, Reading, RunHeader, RunStatus

log = structlog.get_logger(__name__)


class DocumentsSink:
    """Implements `Sink`. A function that raises is told, and given no more of this run."""

    def __init__(
        self, path: Path, header: RunHeader, outputs: DocumentOutputs, tell: Callable[[str], None]
    ) -> None:
        """`path`: the file of lines, where there is to be one."""
        self._path = path if outputs.jsonl else Path()
        self._maker = DocumentMaker(header)
        self._outputs = outputs
        self._takes: list[Take] = list(outputs.takes)
        self._tell = tell
        self._lines: TextIO | None = None
        self._taken = 0
        self.rows = 0

    @property
    def file(self) -> Path:
        """See `Sink.file`; one without a name where there is none."""
        return self._path

    def open(self, header: RunHeader) -> None:
        """See `Sink.open`."""
        del header
        if self._outputs.jsonl:
            self._path = new_file(self._path)
            self._lines = self._path.open("w", encoding="utf-8")
        self._hand_on([self._maker.start()])

    def go_on(self, header: RunHeader, superseded_from: int) -> int:
        """See `Sink.go_on`. An attempt is a run of bluesky's with all the rows that still count."""
        del superseded_from
        self.open(header)
        return 0

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `Sink.describe`."""
        self._maker.describe(channels)

    def row(self, row: Row) -> None:
        """See `Sink.row`."""
        if not row.superseded:
            self._hand_on(self._maker.row(row))
        self._taken += 1

    def baseline(self, baseline: Baseline) -> None:
        """See `Sink.baseline`."""
        self._hand_on(self._maker.baseline(baseline))

    def update(self, reading: Reading) -> None:
        """See `Sink.update`."""
        self._hand_on(self._maker.update(reading))

    def flush(self) -> None:
        """See `Sink.flush`."""
        if self._lines is not None:
            self._lines.flush()
        self.rows = self._taken

    def end(self, status: RunStatus, message: str) -> None:
        """See `Sink.end`."""
        self._hand_on([self._maker.stop(status, message)])
        self._close()

    def give_up(self) -> None:
        """See `Sink.give_up`; the last line may be a part of one."""
        self._close()

    def _close(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    def _hand_on(self, documents: Iterable[Document]) -> None:
        for name, document in documents:
            if self._lines is not None:
                self._lines.write(line_of(name, document))
            for take in tuple(self._takes):
                self._give(take, name, document)

    def _give(self, take: Take, name: str, document: Mapping[str, object]) -> None:
        try:
            take(name, document)
        except Exception as error:  # the top of a callback: the rows are kept all the same
            self._takes.remove(take)
            log.exception("a document could not be handed on", document=name)
            who = getattr(take, "__qualname__", repr(take))
            self._tell(f"no more documents of this run for {who}: {type(error).__name__}: {error}")
