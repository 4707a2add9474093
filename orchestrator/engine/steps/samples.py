"""The verb `sample`: one row at a time, whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from orchestrator.buffers import Column, Floats
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.slow_disk import has_room
from orchestrator.engine.control.step_scope import End
from orchestrator.errors import NotConnectedError, OrchestratorError, ReadError, StepTimeoutError
from orchestrator.ports import Channels, Recorder, View
from orchestrator.timers import spelt
from orchestrator.types import Metadata, Place, Reading, RowTaken, Severity


class Samples(Mapping[str, Floats]):
    """This run's samples by channel, each of shape (n_points,)."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self.points = 0

    def __getitem__(self, name: str) -> Floats:
        return self._columns[name].values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row; a channel that it does not have keeps its length."""
        for name, value in row.items():
            self._columns.setdefault(name, Column()).append(value)
        self.points += 1


class Sampler:
    """Carries out `sample` for one run."""

    def __init__(
        self,
        channels: Channels,
        view: View,
        control: RunControl,
        recorder: Recorder,
        took: Callable[[RowTaken], None],
        tell: Callable[[str, Severity], None],
    ) -> None:
        """`took` is told of each row; `tell` tells the operator."""
        self._channels = channels
        self._view = view
        self._control = control
        self._recorder = recorder
        self._took = took
        self._tell = tell
        self._described: dict[str, Metadata] = {}
        self.samples = Samples()

    async def sample(
        self,
        names: Sequence[str],
        *,
        fresh: bool,
        timeout: float,
        missing_nan: bool,
        at: Place,
    ) -> None:
        """Take one row of these channels; first it waits, for ever, while the disk is far behind.

        Raises:
            ReadError: Not all answered, and `missing_nan` is not set; names each that did not.
            StepTimeoutError: The same, where all that failed only came too late.
        """
        if self._recorder.full and not await self._has_room():
            return  # skipped: no row
        if fresh:
            replies = await self._read(names, timeout)
            if replies is None:
                return  # skipped: no row
        else:
            replies = {name: self._last(name) for name in names}
        failed = {n: r for n, r in replies.items() if isinstance(r, Exception)}
        if failed and not missing_nan:
            raise _no_row(failed)
        readings = {n: r if isinstance(r, Reading) else None for n, r in replies.items()}
        self._keep(readings, at)

    async def _has_room(self) -> bool:
        waits = "the disk is too slow for the rows: sample waits, and nothing is lost"
        goes_on = "the disk takes rows again"
        return await has_room(self._recorder, self._control, self._tell, waits, goes_on)

    async def _read(
        self, names: Sequence[str], timeout: float
    ) -> Mapping[str, Reading | Exception] | None:
        replies: Mapping[str, Reading | Exception] = {}
        with self._control.step_scope(moving=True, seconds=timeout + 5.0) as scope:
            replies = await self._channels.get(names, timeout)
        if scope.ended is End.TIMEOUT:
            return {n: StepTimeoutError(f"{n}: no reply within {spelt(timeout)} s") for n in names}
        return None if scope.ended is not None else replies

    def _last(self, name: str) -> Reading | Exception:
        channel = self._view.channel(name)
        if not channel.connected or channel.reading is None:
            return NotConnectedError(f"{name} is disconnected")
        return channel.reading

    def _keep(self, readings: Mapping[str, Reading | None], at: Place) -> None:
        row = {name: _number(reading) for name, reading in readings.items()}
        self.samples.append(row)
        self._describe(readings)
        self._recorder.row(at, readings)
        columns, points = dict(self.samples), self.samples.points
        self._took(RowTaken(columns, tuple(row.values()), points, run_id=self._control.run_id))

    def _describe(self, names: Iterable[str]) -> None:
        """Say what these channels are, where nothing has been said of it or it has changed."""
        new: dict[str, Metadata] = {}
        for name in names:
            metadata = self._view.channel(name).metadata
            if metadata is not None and metadata is not self._described.get(name):
                self._described[name] = new[name] = metadata
        if new:
            self._recorder.describe(new)


def _number(reading: Reading | None) -> float:
    value = None if reading is None else reading.value
    return float(value) if isinstance(value, int | float) else math.nan


def _no_row(failed: Mapping[str, Exception]) -> OrchestratorError:
    late = all(isinstance(error, StepTimeoutError) for error in failed.values())
    kind = StepTimeoutError if late else ReadError
    error = kind("no row was taken: " + "; ".join(str(error) for error in failed.values()))
    error.pv = next(iter(failed))
    if all(isinstance(lost, NotConnectedError) for lost in failed.values()):
        error.kind = NotConnectedError.kind
    return error
