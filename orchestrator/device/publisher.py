"""What is published of the run: its events, turned into updates in the promised order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeAlias, assert_never

import numpy as np

from orchestrator.config import Config
from orchestrator.types import (
    Accepted,
    Alarm,
    Controlled,
    IndicesSet,
    Progressed,
    PushItem,
    QueueChanged,
    RowTaken,
    RunEnded,
    RunEvent,
    RunLoading,
    RunRefused,
    RunSnapshot,
    RunStarted,
    RunState,
    RunStatus,
    SequencesListed,
    Severity,
    StateChanged,
    StepStarted,
    Told,
    Update,
    Value,
)

_EVERY_POINT = 1000
"""Up to here DATA:* is posted at every point; beyond, at the pulse: a column costs its length."""

_MOST_LOOPS = 64
"""Indices that LOOP_INDEX holds; of deeper nesting it shows the outermost."""

_MOST_TEXT = 65535
"""Bytes that QUEUE and SEQUENCES hold."""


Shown: TypeAlias = Callable[[RunSnapshot], Value]

SHOWN: Mapping[str, Shown] = {
    "run_id": lambda run: run.run_id,
    "run_name": lambda run: run.name,
    "owner": lambda run: run.owner,
    "start": lambda run: int(run.is_running),
    "busy": lambda run: int(run.is_running),
    "state": lambda run: run.state.value,
    "pause": lambda run: int(run.is_paused),
    "status": lambda run: run.status.value,
    "message": lambda run: run.message.text,
    "nsteps": lambda run: run.steps,
    "step": lambda run: run.done,
    "step_name": lambda run: run.step_text,
    "loop_index": lambda run: np.array(run.loops[:_MOST_LOOPS], dtype=np.int64),
    "progress": lambda run: run.figures.percent,
    "elapsed": lambda run: run.figures.elapsed,
    "remaining": lambda run: run.figures.remaining,
    "hung_sec": lambda run: run.figures.hung,
    "values": lambda run: np.array(() if run.row is None else run.row.row),
    "data_npts": lambda run: run.points,
    "nested_indices": lambda run: run.indices,
}
"""What each PV of a lane shows of its run."""

_FIGURES = ("step", "progress", "elapsed", "remaining", "hung_sec")
_AT_FIRST = (
    "run_name", "owner", "message", "nsteps", *_FIGURES, "step_name", "loop_index",
)  # fmt: skip
"""Posted first when a run starts; between these and those after them, columns are cleared."""
_STARTED = ("data_npts", "status", "run_id", "start", "busy")
_ENDED = ("state", "status", "start", "busy")
"""Posted last when it ends; the order is part of the contract."""
_ENTERED = ("step", "step_name", "loop_index")


def shown(field: str, run: RunSnapshot) -> Update:
    """What a PV shows of a run."""
    value = SHOWN[field](run)
    match field:
        case "message":
            return Update(field, value, "", run.message.severity, run.message.status)
        case "status":
            return Update(field, value, "", run.severity, run.alarm)
    return Update(field, value)


class RunPublisher:
    """Posts what changes of the runs of one lane; the order within each is part of the contract."""

    def __init__(self, config: Config) -> None:
        """DATA:* is served for channels of the config."""
        self._known = config.channels.keys()
        self._late = False
        """Rows are held back until the next pulse."""
        self._columns: tuple[str, ...] = ()
        """Of which DATA:* something is shown."""
        self._paused = False

    def sequences(self, names: Iterable[str]) -> Update:
        """The names that can be run."""
        return Update("sequences", _fitting(names, lambda count: f"… and {count} more"))

    def take(self, event: RunEvent, run: RunSnapshot) -> Iterator[PushItem]:
        """The updates of one event, in order; `run` is the lane's, after it."""
        match event:
            case RunStarted():
                yield from self._started(run)
            case RunEnded():
                yield from self._ended(run)
            case RowTaken():
                yield from self._took_row(run)
            case StateChanged():
                yield shown("state", run)
                yield from self._pause(run)
            case StepStarted():
                yield from _of(run, _ENTERED)
            case Told() | Controlled():
                yield shown("message", run)
            case Progressed():
                yield from _of(run, _FIGURES)
            case IndicesSet():
                yield shown("nested_indices", run)
            case QueueChanged():
                yield from _queued(event)
            case RunRefused() | Accepted() | RunLoading():
                pass
            case _:
                assert_never(event)

    def anyhow(
        self, event: RunEvent | SequencesListed, run: RunSnapshot, reason: str
    ) -> Iterator[PushItem]:
        """What is published of an event that can't be published as it is: the edges, and why."""
        alarm = Severity.MAJOR, Alarm.STATE
        match event:
            case RunStarted():
                yield Update("status", RunStatus.UNDEFINED.value)
                yield Update("start", 1)
                yield Update("busy", 1)
            case RunEnded():
                self._late = False
                yield from self._pause(run)
                yield Update("state", RunState.IDLE.value)
                yield Update("status", RunStatus.FAILED.value, "", *alarm)
                yield Update("start", 0)
                yield Update("busy", 0)
            case _:
                pass
        yield Update("message", reason, "", *alarm)

    def take_tick(self, run: RunSnapshot) -> Iterator[PushItem]:
        """The columns that were held back since the last pulse."""
        if self._late:
            yield from self._data(run)

    def _started(self, run: RunSnapshot) -> Iterator[PushItem]:
        self._late = False
        yield from _of(run, _AT_FIRST)
        for name in self._columns:
            yield Update("data", np.zeros(0), name)
        self._columns = ()
        yield from _of(run, _STARTED)

    def _ended(self, run: RunSnapshot) -> Iterator[PushItem]:
        if self._late:
            yield from self._data(run)
        if run.told is run.ended:  # else what was told last stays
            yield shown("message", run)
        yield from self._pause(run)
        yield from _of(run, _ENDED)

    def _pause(self, run: RunSnapshot) -> Iterator[PushItem]:
        if run.is_paused != self._paused:
            self._paused = run.is_paused
            yield shown("pause", run)

    def _took_row(self, run: RunSnapshot) -> Iterator[PushItem]:
        yield shown("values", run)
        self._late = True
        if run.points <= _EVERY_POINT:
            yield from self._data(run)

    def _data(self, run: RunSnapshot) -> Iterator[PushItem]:
        self._late = False
        self._columns = tuple(name for name in run.columns if name in self._known)
        for name in self._columns:
            yield Update("data", run.columns[name], name)
        yield shown("data_npts", run)


def _of(run: RunSnapshot, fields: Iterable[str]) -> Iterator[Update]:
    return (shown(field, run) for field in fields)


def _queued(event: QueueChanged) -> Iterator[PushItem]:
    waits = event.held or not event.autostart
    severity = Severity.MINOR if waits else Severity.NO_ALARM
    alarm = Alarm.STATE if waits else Alarm.NO_ALARM
    runs = [
        {"number": r.number, "name": r.name, "args": dict(r.args), "owner": r.owner}
        | ({"ended": r.ended} if r.ended else {})
        for r in event.waiting
    ]
    text = _fitting(runs, lambda count: {"left_out": count})
    yield Update("queue", text, severity=severity, status=alarm)
    yield Update("queue_len", len(runs), severity=severity, status=alarm)


def _fitting(items: Iterable[object], rest: Callable[[int], object]) -> str:
    """A JSON list that a PV holds: of the items, or of the first ones and `rest` of a number."""
    texts = [json.dumps(item) for item in items]  # ASCII: as many bytes
    if sum(map(len, texts)) + 2 * len(texts) > _MOST_TEXT:
        room = _MOST_TEXT - len(json.dumps([rest(len(texts))]))
        fits = sum(size <= room for size in accumulate(len(text) + 2 for text in texts))
        texts[fits:] = [json.dumps(rest(len(texts) - fits))]
    return f"[{', '.join(texts)}]"
