"""What is published of the run: its events, turned into updates in the promised order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import assert_never

import numpy as np

from orchestrator.config import Config
from orchestrator.types import (
    STATUS_SEVERITY,
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
    RunStarted,
    RunState,
    RunStatus,
    SequencesListed,
    Severity,
    StateChanged,
    StepStarted,
    Told,
    Update,
    path_text,
)

_EVERY_POINT = 1000
"""Up to here DATA:* is posted at every point; beyond, at the pulse: a column costs its length."""

_MOST_LOOPS = 64
"""Indices that LOOP_INDEX holds; of deeper nesting it shows the outermost."""

_MOST_TEXT = 65535
"""Bytes that QUEUE and SEQUENCES hold."""


class RunPublisher:
    """Turns the engine's events into updates; the order within each is part of the contract."""

    def __init__(self, config: Config) -> None:
        """DATA:* is served for channels of the config."""
        self._known = config.channels.keys()
        self._row: RowTaken | None = None
        self._served: tuple[str, ...] = ()
        self._name = ""
        self._paused = False

    @property
    def busy_with(self) -> str:
        """What to tell somebody who asks for a second run."""
        return f"{self._name} is running" if self._name else "a run is being prepared"

    def sequences(self, names: Iterable[str]) -> Update:
        """The names that can be run."""
        return Update("sequences", _fitting(names, lambda count: f"… and {count} more"))

    def take(self, event: RunEvent) -> Iterator[PushItem]:
        """The updates of one event, in order."""
        match event:
            case RunStarted():
                yield from self._started(event)
            case RunEnded():
                yield from self._ended(event)
            case RowTaken():
                yield from self._took_row(event)
            case StateChanged(state):
                yield Update("state", state.value)
                yield from self._pause(paused=state in (RunState.PAUSING, RunState.PAUSED))
            case StepStarted():
                yield from _entered(event)
            case Told(text, severity):
                status = Alarm.STATE if severity else Alarm.NO_ALARM
                yield Update("message", text, severity=severity, status=status)
            case Progressed():
                yield from _progressed(event)
            case QueueChanged():
                yield from _queued(event)
            case IndicesSet(text):
                yield Update("nested_indices", text)
            case Controlled():
                yield Update("message", event.text)
            case RunRefused() | Accepted() | RunLoading():
                pass
            case _:
                assert_never(event)

    def anyhow(self, event: RunEvent | SequencesListed, reason: str) -> Iterator[PushItem]:
        """What is published of an event that can't be published as it is: the edges, and why."""
        alarm = Severity.MAJOR, Alarm.STATE
        match event:
            case RunStarted():
                self._name = self._name or "a sequence"
                yield Update("status", RunStatus.UNDEFINED.value)
                yield Update("start", 1)
                yield Update("busy", 1)
            case RunEnded():
                self._name, self._row = "", None
                yield from self._pause(paused=False)
                yield Update("state", RunState.IDLE.value)
                yield Update("status", RunStatus.FAILED.value, "", *alarm)
                yield Update("start", 0)
                yield Update("busy", 0)
            case _:
                pass
        yield Update("message", reason, "", *alarm)

    def take_tick(self) -> Iterator[PushItem]:
        """The columns that were held back since the last pulse."""
        if self._row is not None:
            yield from self._data(self._row)

    def _started(self, event: RunStarted) -> Iterator[PushItem]:
        self._name = event.name or "a sequence"
        self._row = None
        yield Update("run_name", event.name)
        yield Update("owner", event.owner)
        yield Update("message", "")
        yield Update("nsteps", event.steps)
        yield from _progressed(Progressed(0, 0.0, 0.0, float("nan"), 0.0))
        yield Update("step_name", "")
        yield Update("loop_index", np.zeros(0, dtype=np.int64))
        for name in self._served:
            yield Update("data", np.zeros(0), name)
        self._served = ()
        yield Update("data_npts", 0)
        yield Update("status", RunStatus.UNDEFINED.value)
        yield Update("run_id", event.run_id)
        yield Update("start", 1)
        yield Update("busy", 1)

    def _ended(self, event: RunEnded) -> Iterator[PushItem]:
        self._name = ""
        if self._row is not None:
            yield from self._data(self._row)
        severity = STATUS_SEVERITY[event.status]
        alarm = event.cause.alarm if severity else Alarm.NO_ALARM
        if event.message or severity:  # else what was told last stays
            yield Update("message", event.message, severity=severity, status=alarm)
        yield from self._pause(paused=False)
        yield Update("state", RunState.IDLE.value)
        yield Update("status", event.status.value, severity=severity, status=alarm)
        yield Update("start", 0)
        yield Update("busy", 0)

    def _pause(self, *, paused: bool) -> Iterator[PushItem]:
        if paused != self._paused:
            self._paused = paused
            yield Update("pause", int(paused))

    def _took_row(self, event: RowTaken) -> Iterator[PushItem]:
        yield Update("values", np.array(event.row))
        self._row = event
        if event.points <= _EVERY_POINT:
            yield from self._data(event)

    def _data(self, event: RowTaken) -> Iterator[PushItem]:
        self._row = None
        self._served = tuple(name for name in event.columns if name in self._known)
        for name in self._served:
            yield Update("data", event.columns[name], name)
        yield Update("data_npts", event.points)


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


def _entered(event: StepStarted) -> Iterator[PushItem]:
    yield Update("step", event.done)
    yield Update("step_name", f"{path_text(event.path)} {event.name}")
    loops = np.array(event.loops[:_MOST_LOOPS], dtype=np.int64)
    yield Update("loop_index", loops)


def _progressed(event: Progressed) -> Iterator[PushItem]:
    yield Update("step", event.done)
    yield Update("progress", event.percent)
    yield Update("elapsed", event.elapsed)
    yield Update("remaining", event.remaining)
    yield Update("hung_sec", event.hung)
