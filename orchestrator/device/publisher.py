"""What is published of the run: its events, turned into updates in the promised order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import TypeAlias, assert_never

import numpy as np

from orchestrator.config import Config, HungLimits
from orchestrator.types import (
    Accepted,
    Alarm,
    Answered,
    Asked,
    Automated,
    Controlled,
    Field,
    FileMade,
    IndicesSet,
    Progressed,
    PushItem,
    QueueChanged,
    RowTaken,
    RunEnded,
    RunEvent,
    RunInterrupted,
    RunLoading,
    RunRefused,
    RunRestarting,
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
    fields,
)

_EVERY_POINT = 1000
"""Up to here DATA:* is posted at every point; beyond, at the pulse: a column costs its length."""


Shown: TypeAlias = Callable[[RunSnapshot], Value]

SHOWN: Mapping[Field, Shown] = {
    fields.RUN_ID: lambda run: run.run_id,
    fields.RUN_NAME: lambda run: run.name,
    fields.OWNER: lambda run: run.owner,
    fields.START: lambda run: int(run.is_running),
    fields.BUSY: lambda run: int(run.is_running),
    fields.STATE: lambda run: run.state.value,
    fields.PAUSE: lambda run: int(run.is_paused),
    fields.STATUS: lambda run: run.status.value,
    fields.MESSAGE: lambda run: run.message.text,
    fields.NSTEPS: lambda run: run.steps,
    fields.STEP: lambda run: run.done,
    fields.STEP_NAME: lambda run: run.step_text,
    fields.LOOP_INDEX: lambda run: np.array(run.loops[: fields.LOOP_INDEX.most], dtype=np.int64),
    fields.PROGRESS: lambda run: run.figures.percent,
    fields.ELAPSED: lambda run: run.figures.elapsed,
    fields.REMAINING: lambda run: run.figures.remaining,
    fields.HUNG_SEC: lambda run: run.figures.hung,
    fields.VALUES: lambda run: np.array(() if run.row is None else run.row.row),
    fields.DATA_FILE: lambda run: run.file,
    fields.DATA_NPTS: lambda run: run.points,
    fields.NESTED_INDICES: lambda run: run.indices,
    fields.QUESTION: lambda run: "" if run.question is None else _question(run.question),
    fields.ANSWER: lambda run: "" if run.answered is None else run.answered.text,
}
"""What each PV of a lane shows of its run."""

_FIGURES = (fields.STEP, fields.PROGRESS, fields.ELAPSED, fields.REMAINING)
_AT_FIRST = (
    *(fields.RUN_NAME, fields.OWNER, fields.MESSAGE, fields.NSTEPS, *_FIGURES, fields.HUNG_SEC),
    *(fields.STEP_NAME, fields.LOOP_INDEX, fields.QUESTION, fields.ANSWER),
    fields.DATA_FILE,
)
"""Posted first when a run starts; between these and those after them, columns are cleared."""
_STARTED = (fields.DATA_NPTS, fields.STATUS, fields.RUN_ID, fields.START, fields.BUSY)
_ENDED = (fields.DATA_FILE, fields.STATE, fields.STATUS, fields.START, fields.BUSY)
"""Posted last when it ends; the order is part of the contract."""
_INTERRUPTED = (fields.RUN_NAME, fields.OWNER, fields.MESSAGE, fields.RUN_ID, fields.STATUS)
_ENTERED = (fields.STEP, fields.STEP_NAME, fields.LOOP_INDEX)


def _question(asked: Asked) -> str:
    """A question as QUESTION shows it."""
    facts = {
        "text": asked.text,
        "type": asked.kind or "go on",
        "choices": list(asked.choices) or None,
        "min": asked.least,
        "max": asked.most,
        "default": asked.default,
        "timeout": asked.timeout,
        "since": asked.since,
    }
    return json.dumps({name: fact for name, fact in facts.items() if fact is not None})


def shown(field: Field, run: RunSnapshot) -> Update:
    """What a PV shows of a run."""
    value = SHOWN[field](run)
    match field:
        case fields.MESSAGE:
            return Update(field, value, "", run.message.severity, run.message.status)
        case fields.STATUS:
            return Update(field, value, "", run.severity, run.alarm)
    return Update(field, value)


class RunPublisher:
    """Posts what changes of the runs of one lane; the order within each is part of the contract."""

    def __init__(self, config: Config, lane: str = "") -> None:
        """DATA:* is served for channels of the config; `lane`: empty = the main one."""
        self._lane = lane
        self._known = config.channels.keys()
        self._late = False
        """Rows are held back until the next pulse."""
        self._columns: tuple[str, ...] = ()
        """Of which DATA:* something is shown."""
        self._paused = False
        self._hung = config.hung
        self._is_hung = False

    def sequences(self, names: Iterable[str]) -> Update:
        """The names that can be run."""
        text = _fitting(fields.SEQUENCES, names, lambda count: f"… and {count} more")
        return Update(fields.SEQUENCES, text, lane=self._lane)

    def take(self, event: RunEvent, run: RunSnapshot) -> Iterator[PushItem]:
        """The updates of one event, in order; `run` is the lane's, after it."""
        return self._of_lane(self._taken(event, run))

    def _of_lane(self, items: Iterator[PushItem]) -> Iterator[PushItem]:
        """The same, of the lane."""
        return map(self._of_this_lane, items) if self._lane else items

    def _of_this_lane(self, item: PushItem) -> PushItem:
        if isinstance(item, Update) and item.field.of_lane:
            return replace(item, lane=self._lane)
        return item

    def _taken(self, event: RunEvent, run: RunSnapshot) -> Iterator[PushItem]:
        match event:
            case RunStarted():
                yield from self._started(run)
            case RunEnded():
                yield from self._ended(run)
            case RowTaken():
                yield from self._took_row(run)
            case StateChanged():
                yield shown(fields.STATE, run)
                yield from self._pause(run)
            case StepStarted():
                yield from _of(run, _ENTERED)
            case Asked():
                yield from _of(run, (fields.ANSWER, fields.QUESTION, fields.MESSAGE))
            case Answered():
                yield from _of(run, (fields.ANSWER, fields.QUESTION))
            case FileMade():
                yield shown(fields.DATA_FILE, run)
            case Told() | Controlled():
                yield shown(fields.MESSAGE, run)
            case Progressed():
                yield from self._figures(run)
            case IndicesSet():
                yield shown(fields.NESTED_INDICES, run)
            case QueueChanged():
                yield from _queued(event)
            case RunInterrupted():
                yield from _of(run, _INTERRUPTED)
            case RunRestarting(count):
                yield Update(fields.RESTARTS, count)
            case RunRefused() | Accepted() | RunLoading() | Automated():
                pass
            case _:
                assert_never(event)

    def anyhow(
        self, event: RunEvent | SequencesListed, run: RunSnapshot, reason: str
    ) -> Iterator[PushItem]:
        """What is published of an event that can't be published as it is: the edges, and why."""
        return self._of_lane(self._anyhow(event, run, reason))

    def _anyhow(
        self, event: RunEvent | SequencesListed, run: RunSnapshot, reason: str
    ) -> Iterator[PushItem]:
        alarm = Severity.MAJOR, Alarm.STATE
        match event:
            case RunStarted():
                yield Update(fields.STATUS, RunStatus.UNDEFINED.value)
                yield Update(fields.START, 1)
                yield Update(fields.BUSY, 1)
            case RunEnded():
                self._late = False
                yield from self._pause(run)
                yield Update(fields.STATE, RunState.IDLE.value)
                yield Update(fields.STATUS, RunStatus.FAILED.value, "", *alarm)
                yield Update(fields.START, 0)
                yield Update(fields.BUSY, 0)
            case _:
                pass
        yield Update(fields.MESSAGE, reason, "", *alarm)

    def take_tick(self, run: RunSnapshot) -> Iterator[PushItem]:
        """The columns that were held back since the last pulse."""
        return self._of_lane(self._data(run)) if self._late else iter(())

    def _started(self, run: RunSnapshot) -> Iterator[PushItem]:
        self._late = False
        yield from _of(run, _AT_FIRST)
        for name in self._columns:
            yield Update(fields.DATA, np.zeros(0), name)
        self._columns = ()
        yield from _of(run, _STARTED)

    def _ended(self, run: RunSnapshot) -> Iterator[PushItem]:
        if self._late:
            yield from self._data(run)
        if run.told is run.ended:  # else what was told last stays
            yield shown(fields.MESSAGE, run)
        yield from self._pause(run)
        if run.answered is None:  # a question may have stood there to the end
            yield shown(fields.QUESTION, run)
        if self._is_hung:  # nothing is awaited any more
            self._is_hung = False
            yield shown(fields.HUNG_SEC, run)
        yield from _of(run, _ENDED)

    def _figures(self, run: RunSnapshot) -> Iterator[Update]:
        yield from _of(run, _FIGURES)
        hung = shown(fields.HUNG_SEC, run)
        severity, status = _hung_alarm(run.figures.hung, self._hung)
        self._is_hung = severity is not Severity.NO_ALARM
        yield replace(hung, severity=severity, status=status)

    def _pause(self, run: RunSnapshot) -> Iterator[PushItem]:
        if run.is_paused != self._paused:
            self._paused = run.is_paused
            yield shown(fields.PAUSE, run)

    def _took_row(self, run: RunSnapshot) -> Iterator[PushItem]:
        yield shown(fields.VALUES, run)
        self._late = True
        if run.points <= _EVERY_POINT:
            yield from self._data(run)

    def _data(self, run: RunSnapshot) -> Iterator[PushItem]:
        self._late = False
        self._columns = tuple(name for name in run.columns if name in self._known)
        for name in self._columns:
            yield Update(fields.DATA, run.columns[name], name)
        yield shown(fields.DATA_NPTS, run)


def _hung_alarm(seconds: float, limits: HungLimits) -> tuple[Severity, int]:
    if limits.hihi is not None and seconds >= limits.hihi:
        return Severity.MAJOR, Alarm.HIHI
    if limits.high is not None and seconds >= limits.high:
        return Severity.MINOR, Alarm.HIGH
    return Severity.NO_ALARM, Alarm.NO_ALARM


def _of(run: RunSnapshot, posted: Iterable[Field]) -> Iterator[Update]:
    return (shown(field, run) for field in posted)


def _queued(event: QueueChanged) -> Iterator[PushItem]:
    waits = event.held or not event.autostart
    severity = Severity.MINOR if waits else Severity.NO_ALARM
    alarm = Alarm.STATE if waits else Alarm.NO_ALARM
    runs = [
        {"number": r.number, "name": r.name, "args": dict(r.args), "owner": r.owner}
        | ({"ended": r.ended} if r.ended else {})
        for r in event.waiting
    ]
    text = _fitting(fields.QUEUE, runs, lambda count: {"left_out": count})
    yield Update(fields.QUEUE, text, severity=severity, status=alarm)
    yield Update(fields.QUEUE_LEN, len(runs), severity=severity, status=alarm)


def _fitting(field: Field, items: Iterable[object], rest: Callable[[int], object]) -> str:
    """A JSON list that a field holds: of the items, or of the first ones and `rest` of a number."""
    texts = [json.dumps(item) for item in items]  # ASCII: as many bytes
    if sum(map(len, texts)) + 2 * len(texts) > field.most:
        room = field.most - len(json.dumps([rest(len(texts))]))
        fits = sum(size <= room for size in accumulate(len(text) + 2 for text in texts))
        texts[fits:] = [json.dumps(rest(len(texts) - fits))]
    return f"[{', '.join(texts)}]"
