"""Replays a recording: device, engine and sequences again, in the recorded world, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import structlog

from orchestrator.config import key_place, names_of
from orchestrator.device import Device
from orchestrator.engine import Engine
from orchestrator.engine.sequences.registry import Registry, load
from orchestrator.errors import InputError
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.ports import Channels, Offer
from orchestrator.queues import MergeQueue, request_queue
from orchestrator.replay.answers import Answers
from orchestrator.replay.codec import Json, RecordingError, decode, encode
from orchestrator.replay.compare import Comparison, short
from orchestrator.replay.file import RecordingReader
from orchestrator.replay.index import Index, RunRecord, index_of
from orchestrator.replay.port_proxies import ChannelsProxy, StoreProxy
from orchestrator.replay.record import ENDING, UNTOLD, NotedQueue, hash_of
from orchestrator.replay.replay_doubles import NoStore, Nowhere, ReplayLibrary
from orchestrator.replay.turn_loop import ROUNDS
from orchestrator.types import (
    EngineItem,
    PullItem,
    PushItem,
    RunEvent,
    RunStarted,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")

_JUMP = 86_400
"""s between two turns that are a damage: every pulse of the service is one, five a second."""
_RESTLESS = 100_000
"""Rounds after which they are taken to never rest; a recorded turn has 20."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay."""

    same: bool
    """The same outcome, in all that is compared."""
    runs: Sequence[RunRecord]
    """As they went now."""
    recorded: Sequence[RunRecord]
    """As they went then."""
    differences: Sequence[str]
    """The first of each run, and how the run ended, in the order of time."""
    notes: Sequence[str] = ()
    """What should be known of the recording: where it ends, what has changed since."""
    numbers: Sequence[int] = ()
    """Of each difference the run, from 1; 0 = before the first."""

    def only(self, run: str) -> Replay:
        """What came of one run, named by its number or its id.

        Raises:
            InputError: There is no such run.
        """
        for number, record in enumerate(self.runs, 1):
            if run in (str(number), record.run_id):
                break
        else:
            ids = ", ".join(r.run_id for r in self.runs) or "none"
            raise InputError(f"--run {run}: the runs are 1 to {len(self.runs)}, by id {ids}")
        pairs = zip(self.numbers, self.differences, strict=True)
        told = [text for at, text in pairs if at == number]
        recorded = self.recorded[number - 1 : number]
        return Replay(not told, [record], recorded, told, self.notes, [number] * len(told))


class Player:
    """One replay."""

    def __init__(
        self,
        reader: RecordingReader,
        sequences: Mapping[str, Path] | None = None,
        registry: Registry | None = None,
    ) -> None:
        """`sequences`: documents to be run in place of the recorded ones, by name.

        Raises:
            InputError: A file, or a Python module that the recording needs, can't be read.
        """
        self._reader = reader
        self._index = index_of(reader)
        self._notes = list(_notes(self._index))
        self._comparison = Comparison()
        self._answers = Answers(self._index, self._comparison, _complain)
        self._loop = self._answers.loop
        self._wall = datetime.fromtimestamp(self._index.wall, _zone(self._index.offset))
        self._at: float | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pull: MergeQueue[PullItem] = request_queue()
        self._requests: MergeQueue[EngineItem] = request_queue()
        try:
            self._build(sequences or {}, registry)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, as an error of the file
            self._refuse("its configuration", error)

    def _build(self, sequences: Mapping[str, Path], registry: Registry | None) -> None:
        config = self._index.config
        if registry is None:
            registry = self._registry()
        names = names_of(config)
        self._library = ReplayLibrary(config.sequences, names, registry)
        self._library.interceptor = self._answers
        self._library.replace(sequences, self._index)
        self._device = Device(config, logs=False)
        self._answers.view = self._device.table
        self._engine = Engine(
            config,
            names,
            self._device.table,
            ChannelsProxy(self._answers, cast(Channels, None)),
            self,
            StoreProxy(self._answers, NoStore()),
            lambda: self._wall,
            self._library,
            compile_suspenders(config.suspend, names, partial(key_place, config)),
        )

    def _registry(self) -> Registry:
        modules = self._index.config.python
        registry = load(modules, self._beside(modules))
        for module, why in registry.broken.items():
            if self._index.modules.get(module):  # it was there when it was recorded
                text = f"{why}; the recording ran Python sequences or functions of it"
                raise RecordingError(f"{self._reader.path}: {text}")
        for module, recorded in self._index.modules.items():
            if hash_of(module) != recorded:
                self._notes.append(f"the Python module {module} has changed since it was recorded")
        return registry

    def _beside(self, modules: Sequence[str]) -> Path | None:
        """Where the modules are: where they were, beside the recording, or right here."""
        file = self._index.config.file
        places = [file.parent] if file is not None else []
        for place in (*places, self._reader.path.parent, Path()):
            for module in modules:
                stem = place / module.partition(".")[0]
                if stem.is_dir() or stem.with_suffix(".py").is_file():
                    return place.resolve()
        return None

    def play(self) -> Replay:
        """Go through the recording, from its first turn to its last.

        Raises:
            RecordingError: A line says what this version can't read.
        """
        try:
            for number, line in enumerate(self._reader, 1):
                if "gap" in line:
                    self._comparison.differ(_gap(line))
                    break
                try:
                    self._take(line)
                except Exception as error:  # noqa: BLE001 - as above
                    self._refuse(f"line {number}", error)
        finally:
            self._dismiss()
        try:
            self._comparison.end()
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse("what went out in it", error)
        return self._outcome()

    def _refuse(self, what: str, error: Exception) -> NoReturn:
        """Tell where a recording is damaged, or not of this version; `-v` shows what raised."""
        reason = str(error) if isinstance(error, RecordingError) else repr(error)
        text = f"{self._reader.path}: {what} can't be replayed: {reason}"
        raise RecordingError(text) from error

    def _take(self, line: Mapping[str, Json]) -> None:
        if "source" in line:
            self._library.take_source(line["source"])
        elif "listed" in line:
            self._library.listed = set(line["listed"])
        elif "t" in line:
            self._look_at_time(line["t"])
            self._catch_up(line["t"])
            self._turn(line)

    def _look_at_time(self, at: float) -> None:
        before = at if self._at is None else self._at
        if not (isinstance(at, int | float) and -_JUMP < at - before < _JUMP):
            raise RecordingError(f"its time goes from {before!r} to {at!r} s")
        self._at = at

    def _outcome(self) -> Replay:
        told = [text for _, text in self._comparison.differences]
        return Replay(
            same=not told,
            runs=self._comparison.runs,
            recorded=self._comparison.was,
            differences=told,
            notes=self._notes,
            numbers=[number for number, _ in self._comparison.differences],
        )

    # Turns --------------------------------------------------------------------------------------

    def _catch_up(self, until: float) -> None:
        """Where it is not as it was then, no recorded turn comes at the time of its timers."""
        while not self._comparison.in_step:
            due = self._loop.deadline
            if due is None or due >= until:
                return
            self._wall += timedelta(seconds=max(due - self._loop.time(), 0.0))
            self._answers.out = []
            self._loop.turn(max(due, self._loop.time()), _RESTLESS)
            self._comparison.turn(self._loop.time(), self._wall, [], self._answers.out)

    def _turn(self, line: Mapping[str, Json]) -> None:
        self._wall = datetime.fromtimestamp(
            line["w"], _zone(line.get("offset", self._index.offset))
        )
        self._answers.out = []
        for crossed in line.get("in", ()):
            self._enter(crossed)
        self._loop.turn(line["t"], ROUNDS)
        if self._loop.is_ready and not line.get("more"):
            self._rest(line["t"])
        out = line.get("out", [])
        self._answers.give_up(out)
        self._comparison.turn(line["t"], self._wall, out, self._answers.out)

    def _rest(self, now: float) -> None:
        """It does more than it did then: nothing came from outside before it rested."""
        if self._loop.turn(now, _RESTLESS) == _RESTLESS:
            raise RecordingError("the sequence does not come to rest, as it did when recorded")

    def _enter(self, crossed: Mapping[str, Json]) -> None:
        """Something comes in, as it did then."""
        if "items" in crossed:
            for data in crossed["items"]:
                item = decode(data)
                if not isinstance(item, PullItem):
                    raise RecordingError(f"{short(data)} is nothing that comes in")
                self._pull.offer(item)
        elif "answer" in crossed:
            self._answers.arrived(crossed)
        elif "begin" in crossed:
            name = crossed["begin"]
            begun = self._guests(str(crossed.get("why", ENDING)))[name]
            self._tasks[name] = self._loop.create_task(begun(), name=name)
        elif "cancel" in crossed and crossed["cancel"] in self._tasks:
            self._tasks[crossed["cancel"]].cancel()

    def _guests(self, why: str) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        push: Offer[PushItem] = NotedQueue(Nowhere(), self._answers.note)
        return {
            "device": lambda: self._device.run(self._pull, push, self._requests),
            "engine": lambda: self._engine.run(self._requests),
            "close": lambda: self._engine.close(why),
        }

    def offer(self, item: RunEvent) -> None:
        """The engine tells something: the device is to examine it."""
        if isinstance(item, RunStarted):
            self._answers.run += 1
        if not isinstance(item, UNTOLD):
            self._answers.out.append({"event": encode(item)})
        self._pull.offer(item)

    def _dismiss(self) -> None:
        """End what still runs."""
        for _ in range(10):
            left = asyncio.all_tasks(self._loop)
            if not left:
                return
            for task in left:
                task.cancel()
            self._loop.turn(self._loop.time(), _RESTLESS)


def _complain(context: dict[str, Any]) -> None:
    log.error(context.get("message"), exc_info=context.get("exception"))


def _zone(offset: float) -> timezone:
    return timezone(timedelta(seconds=offset))


def _notes(index: Index) -> list[str]:
    notes = []
    if index.torn:
        notes.append("the last line is torn: the service was killed while it was written")
    elif not index.ended and not index.gaps:
        notes.append(
            "the recording has no end: the service still records, was killed, or its disk was full"
        )
    return notes


def _gap(line: Mapping[str, Json]) -> str:
    why = line.get("why") or "the disk was too slow"
    return f"the recording is not complete: {line['gap']} lines are missing here ({why})"
