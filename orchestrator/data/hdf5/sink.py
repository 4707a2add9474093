"""The sink: knows its file by name only until it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from orchestrator.data.sinks import Baseline, Row
from orchestrator.types import Metadata, Reading, RunHeader, RunStatus

if TYPE_CHECKING:
    from orchestrator.data.hdf5.run_file import RunFile

log = structlog.get_logger(__name__)


class Hdf5Sink:
    """Implements `Sink`: a file in the layout of NeXus, which may be read while it grows.

    What stands where is told in docs/reference/data-file.md.
    """

    def __init__(self, path: Path) -> None:
        """It is made when it is opened, under another name if there is one already."""
        self._path = path
        self._open: RunFile | None = None

    @property
    def file(self) -> Path:
        """See `Sink.file`."""
        return self._path if self._open is None else self._open.path

    @property
    def rows(self) -> int:
        """See `Sink.rows`."""
        return 0 if self._open is None else self._open.rows

    def open(self, header: RunHeader) -> None:
        """See `Sink.open`."""
        from orchestrator.data.hdf5.run_file import RunFile  # h5py: in this thread, and only now

        self._open = RunFile.made(self._path, header)

    def go_on(self, header: RunHeader, superseded_from: int) -> int:
        """Open the file that is there, in place of `open`; rows from that one on don't count.

        Returns:
            The rows in it; the next one is behind them. 0 where a kill has left it such that nobody
            can read it: then a further file is made.
        """
        if not self._path.exists():
            self.open(header)
            return 0
        from orchestrator.data.hdf5.run_file import RunFile  # as above

        try:
            self._open = RunFile.again(self._path, header)
        except (OSError, KeyError, RuntimeError, ValueError) as error:  # as h5py has it
            text = "the data file of a killed run can't be read: it stays, and another one is made"
            log.warning(text, file=str(self._path), error=str(error))
            self.open(header)
            return 0
        return self._open.supersede(superseded_from)

    @property
    def _file(self) -> RunFile:
        assert self._open is not None  # noqa: S101 - it is opened first
        return self._open

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `Sink.describe`."""
        self._file.describe(channels)

    def row(self, row: Row) -> None:
        """See `Sink.row`."""
        self._file.row(row)

    def baseline(self, baseline: Baseline) -> None:
        """See `Sink.baseline`."""
        self._file.baseline(baseline)

    def update(self, reading: Reading) -> None:
        """See `Sink.update`."""
        self._file.update(reading)

    def flush(self) -> None:
        """See `Sink.flush`."""
        self._file.flush()

    def end(self, status: RunStatus, message: str) -> None:
        """See `Sink.end`."""
        self._file.end(status, message)

    def give_up(self) -> None:
        """See `Sink.give_up`."""
        if self._open is not None:
            self._open.give_up()
