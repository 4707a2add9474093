"""The verb `sample`: one row at a time, whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from orchestrator.buffers import Column, Floats
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.slow_disk import has_room
from orchestrator.engine.control.step_scope import End
from orchestrator.errors import (
    ExpressionError,
    NotConnectedError,
    OrchestratorError,
    ReadError,
    StepTimeoutError,
)
from orchestrator.ports import Channels, ChannelView, Recorder, View
from orchestrator.timers import spelt
from orchestrator.types import Metadata, Place, Reading, RowTaken, Severity, Value
from orchestrator.verbs.doing import Derive

_BASELINE = 5.0
"""s that channels have to answer for the baseline."""


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

    def take_over(self, data: Mapping[str, Floats], points: int) -> None:
        """Begin with rows that were taken before the run went on."""
        for name, values in data.items():
            column = self._columns[name] = Column()
            for value in values:
                column.append(value)
        self.points = points


class Recording:
    """Implements `verbs.doing.Recording`: each update of some channels goes to the recorder."""

    def __init__(self, view: View, recorder: Recorder, names: Sequence[str]) -> None:
        """From now on."""
        self._recorder = recorder
        self._last: dict[str, Reading] = {}
        self._lost = 0
        for name in names:
            self._changed(view.channel(name))
        self.close = view.watch(names, self._changed, every=True)

    def _changed(self, channel: ChannelView) -> None:
        name, reading = channel.name, channel.reading
        if not channel.connected or reading is None or reading is self._last.get(name):
            return
        self._last[name] = reading
        if self._recorder.full:
            self._lost += 1
        else:
            self._recorder.update(reading)

    def check(self) -> None:
        """See that none was lost.

        Raises:
            ReadError: The disk was too slow for some of them.
        """
        if self._lost:
            raise ReadError(f"{self._lost} updates were not kept: the disk is too slow for them")


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
        derive: Derive | None = None,
    ) -> None:
        """Take one row of these channels; first it waits, for ever, while the disk is far behind.

        Raises:
            ExpressionError: A column that `derive` computes has no value.
            ReadError: Not all answered, and `missing_nan` is not set; names each that did not.
            StepTimeoutError: The same, where all that failed only came too late.
        """
        if (self._recorder.full or self._recorder.lack) and not await self._has_room():
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
        if derive is not None:
            readings |= _derived(derive, readings, missing_nan=missing_nan)
        self._keep(readings, at)

    async def baseline(self, names: Sequence[str], when: str) -> None:
        """Read these channels for the beginning or the end of the run, and keep what answers."""
        replies = await self._channels.get(names, _BASELINE)
        readings = {n: r if isinstance(r, Reading) else None for n, r in replies.items()}
        self._describe(names)
        self._recorder.baseline(when, readings)
        if lost := [name for name, reading in readings.items() if reading is None]:
            self._tell(f"baseline at the {when}: {', '.join(lost)} did not answer", Severity.MINOR)

    def recording(self, names: Sequence[str]) -> Recording:
        """Keep each update of these channels from now on, and first what they hold."""
        self._describe(names)
        return Recording(self._view, self._recorder, names)

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


def _derived(
    derive: Derive, readings: Mapping[str, Reading | None], *, missing_nan: bool
) -> dict[str, Reading | None]:
    """Columns that are computed, with the latest time of the row and its worst severity."""
    there = {name: reading for name, reading in readings.items() if reading is not None}
    try:
        values = derive(there)
    except OrchestratorError:
        if missing_nan and len(there) < len(readings):
            return {}
        raise
    latest = max(there.values(), key=lambda reading: reading.timestamp)
    worst = max(reading.severity for reading in there.values())
    return {
        name: replace(latest, channel=name, value=_plain(name, value), severity=worst, status=0)
        for name, value in values.items()
    }


def _plain(name: str, value: object) -> Value:
    """What a row can hold."""
    match value:
        case bool():
            return int(value)
        case int() | float() | str() | np.ndarray():
            return value
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return tuple(value)
        case list() | tuple():
            return np.array(value, float)
    raise ExpressionError(f"{name} is {value!r}, which is nothing that a row can hold")


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
