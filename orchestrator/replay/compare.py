"""What went out then and what goes out now, side by side."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from orchestrator.replay.codec import Json
from orchestrator.replay.index import RunRecord, take_outcome
from orchestrator.types import fields

COMPARED = ("put", "call", "row", "event", "pv")
_LATE = 0.3
"""s; more than lies between two pulses, in which a recording's clock goes on."""
_LONG = 200
_ASIDE = (("!RunStarted", "steps"), ("!RunEnded", "data_file"))
"""Of a document that is replaced it is enough to tell where it does something else."""


Out: TypeAlias = Mapping[str, Json]
"""A line of what went out."""


@dataclass(frozen=True, slots=True)
class _Out:
    at: float
    wall: datetime
    line: Out


@dataclass(slots=True)
class _Lane:
    """Lines that come in one order: what the engine does, or what the device shows of it."""

    then: deque[_Out] = field(default_factory=deque)
    now: deque[_Out] = field(default_factory=deque)
    number: int = 0
    """Of the run, from 1; 0 = before the first."""
    began: float = 0.0
    """When it started."""
    lost: bool = False
    """The one is not where the other is, until the next run."""

    @property
    def in_step(self) -> bool:
        """Nothing is awaited on either side."""
        return not (self.lost or self.then or self.now)

    def pair(self) -> tuple[_Out, _Out] | None:
        """The next line of both, if both are there."""
        if self.lost:
            for queue in (self.then, self.now):
                while queue and not _starts(queue[0]):
                    queue.popleft()
        if not (self.then and self.now):
            return None
        then, now = self.then.popleft(), self.now.popleft()
        self.lost = False
        if _starts(then) and _starts(now):
            self.number += 1
            self.began = now.at
        return then, now


class Comparison:
    """Compares line by line; of each run the first difference is told, then how it ended."""

    def __init__(self) -> None:
        self.runs: list[RunRecord] = []
        """As they go now."""
        self.was: list[RunRecord] = []
        """As they went."""
        self.differences: list[tuple[int, str]] = []
        """(number of the run, what differs), in the order of time; 0 = before the first run."""
        self._done, self._shown = _Lane(), _Lane()

    def turn(self, at: float, wall: datetime, then: list[Out], now: list[Out]) -> None:
        """What went out in one turn, recorded and replayed."""
        for lines, runs, is_now in ((then, self.was, False), (now, self.runs, True)):
            for line in lines:
                take_outcome(runs, line)
                kind = next(iter(line))
                if kind in COMPARED:
                    lane = self._shown if kind == "pv" else self._done
                    (lane.now if is_now else lane.then).append(_Out(at, wall, line))
        self._compare(self._done)
        self._compare(self._shown)

    def differ(self, text: str) -> None:
        """Something differs that no line tells."""
        self.differences.append((len(self.runs), text))

    @property
    def in_step(self) -> bool:
        """Whether so far nothing differs, and nothing is awaited on either side."""
        return self._done.in_step and self._shown.in_step and not self.differences

    def end(self) -> None:
        """There is no more of either."""
        for lane in (self._done, self._shown):
            then, now = (queue[0] if queue else None for queue in (lane.then, lane.now))
            if not lane.lost and (then or now):
                self._tell(lane, then, now)
        for number in range(max(len(self.was), len(self.runs))):
            self._end_run(number)

    # ----------------------------------------------------------------------------------------

    def _compare(self, lane: _Lane) -> None:
        while (pair := lane.pair()) is not None:
            then, now = pair
            if _essence(then.line) != _essence(now.line):
                self._tell(lane, then, now)
            elif abs(then.at - now.at) > _LATE:
                self._tell_late(lane, then, now)

    def _tell(self, lane: _Lane, then: _Out | None, now: _Out | None) -> None:
        lane.lost = True
        recorded = "nothing more" if then is None else _told(then.line)
        replayed = "nothing more" if now is None else _told(now.line)
        self._add(lane, now or then, f"recorded {recorded}; now {replayed}")

    def _tell_late(self, lane: _Lane, then: _Out, now: _Out) -> None:
        lane.lost = True
        seconds = now.at - then.at
        how = f"{abs(seconds):.3g} s {'later' if seconds > 0 else 'earlier'} than recorded"
        self._add(lane, now, f"{_told(now.line)} came {how}")

    def _add(self, lane: _Lane, out: _Out | None, text: str) -> None:
        if lane is self._shown and self._done.lost and self._done.number == lane.number:
            return  # what is shown follows from what is done, of which it has been told
        self.differences.append((lane.number, f"{self._where(lane, out)}: {text}"))

    def _where(self, lane: _Lane, out: _Out | None) -> str:
        assert out is not None  # noqa: S101 - one of the two is there
        run = self.runs[lane.number - 1] if 0 < lane.number <= len(self.runs) else None
        place = f"run {lane.number} ({run.name})" if run else "before the first run"
        into = f", {out.at - lane.began:.3f} s after its start" if run else ""
        step = f", {out.line['step']}" if out.line.get("step") else ""
        return f"{place} at {out.wall:%H:%M:%S}{into}{step}"

    def _end_run(self, number: int) -> None:
        then = self.was[number] if number < len(self.was) else None
        now = self.runs[number] if number < len(self.runs) else None
        if then == now:
            return
        name = (now or then or RunRecord("")).name
        told = f"run {number + 1} ({name}): recorded {_ending(then)}; now {_ending(now)}"
        self.differences.append((number + 1, told))


def _starts(out: _Out) -> bool:
    event = out.line.get("event") or {}
    return "!RunStarted" in event or out.line.get("pv") == [fields.START, 1]


def _essence(line: Mapping[str, Json]) -> str:
    """What has to be the same."""
    kind = next(iter(line))
    about = line[kind]
    if kind in ("put", "call"):
        about = {name: v for name, v in about.items() if name not in ("id", "timeout")}
    elif kind == "event":
        tag = next(iter(about))
        about = [tag, {name: v for name, v in about[tag].items() if _counts(tag, name)}]
    return json.dumps([kind, about], sort_keys=True)


def _counts(tag: str, name: str) -> bool:
    # A run is known by its place: older recordings name it in other ways.
    return (tag, name) not in _ASIDE and name != "run_id"


def _told(line: Mapping[str, Json]) -> str:
    kind = next(iter(line))
    about = line[kind]
    match kind:
        case "put":
            how = "" if about["completion"] else " without completion"
            text = f"a put of {short(about['value'])} to {about['pv']}{how}"
        case "call":
            text = f"a call of {about['function']} with {short(about['args'])}"
        case "row":
            text = f"a row {short(about['values'])}"
        case "pv":
            text = f"{about[0].upper()} = {about[1]}"
        case _:
            text = _event(about)
    return text


def _event(event: Json) -> str:
    tag = next(iter(event))
    about = event[tag]
    match tag:
        case "!RunStarted":
            return f"the start of {about['name']}"
        case "!RunEnded":
            status = about["status"]["!RunStatus"]
            return f"the end as {status}" + (f" ({about['message']})" if about["message"] else "")
        case "!Told":
            return f"the message {about['text']!r}"
        case "!StateChanged":
            return f"the state {about['state']['!RunState']}"
        case "!RunRefused":
            return f"a refusal ({about['reason']})"
    return f"{tag[1:]} {short(about)}"


def short(data: Json) -> str:
    """A recorded value as people read it."""
    text = json.dumps(data, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _ending(run: RunRecord | None) -> str:
    if run is None:
        return "no such run"
    rows = f" with {run.rows} rows" if run.rows else ""
    message = f" ({run.message})" if run.message else ""
    return f"{run.status or 'no end'}{rows}{message}"
