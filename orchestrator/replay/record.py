"""Records a service: device and engine run in turns, and all that reaches them is written down."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import structlog

from orchestrator.config import Config, names_of
from orchestrator.engine import Rooms
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import InputError
from orchestrator.ports import Channels, Offer, Store
from orchestrator.queues import MergeQueue, request_queue
from orchestrator.replay.codec import Encoded, UnrecordableError, encode
from orchestrator.replay.file import FORMAT, RecordingWriter
from orchestrator.replay.port_proxies import ChannelsProxy, LibraryProxy, StoreProxy
from orchestrator.replay.turn_loop import Job, make_turn_loop
from orchestrator.task_context import run_here, step_here
from orchestrator.types import (
    Controlled,
    Progressed,
    PullItem,
    PushItem,
    RowTaken,
    RunEvent,
    RunLoading,
    StepStarted,
    Tick,
    Told,
    Update,
    fields,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")
Line = dict[str, Any]

ENDING = "the service ends"
"""Why a run under way is aborted at the end."""
EDGES = frozenset({fields.START, fields.BUSY, fields.STATE, fields.STATUS, fields.ACK})
"""Fields whose every value is written down, to be compared."""
UNTOLD = (Controlled, Progressed, RowTaken, RunLoading, StepStarted)
"""Events that follow from the clock and from what else is written down."""

_in_function: ContextVar[bool] = ContextVar("in_function", default=False)
"""Whether a function of the user's is carried out."""


class Recording:
    """One recording, and the loop in which what is recorded runs.

    Implements `Outside`: `channels`, `store`, `library`, `wall` and `pull` are what the engine and
    the device are to be given in place of the real ones. Whatever crosses one of them inward takes
    effect between two turns of the turn loop, and is a part of the next turn's line.
    """

    def __init__(
        self, file: Path, config: Config, registry: Registry, channels: Channels, store: Store
    ) -> None:
        """Made on the running loop.

        Raises:
            RecordingError: The file can't be made.
        """
        self._host = asyncio.get_running_loop()
        self._loop = make_turn_loop(self._job, self._host.call_exception_handler)
        self._writer = RecordingWriter(file)
        self._now = self._host.time()
        self._wall = datetime.now().astimezone()
        self._offset = self._wall.utcoffset()
        self._numbers = itertools.count(1)
        self._crossed: list[tuple[Line, Callable[[], object]]] = []
        self._out: list[Line] = []
        self._next: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.pull: MergeQueue[PullItem] = request_queue()
        self.channels = ChannelsProxy(self, channels)
        self.store = StoreProxy(self, store)
        # It stands between the engine and all else: user code is a part of that.
        self.rooms = Rooms(threads=False)
        self.library = _RecordedLibrary(config, registry, self._writer)
        self.library.interceptor = self
        self._writer.write({"recording": _header(config, self._wall)})

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._writer.path

    @property
    def left_out(self) -> int:
        """Lines that the disk was too slow for."""
        return self._writer.left_out

    def wall(self) -> datetime:
        """The local time of this turn."""
        return self._wall

    # What runs in turns -------------------------------------------------------------------------

    async def host(self, name: str, work: Coroutine[Any, Any, T], why: str = "") -> T:
        """Run something in the turn loop to its end; a cancellation is passed on and awaited.

        `why` is written down for the replay, which begins the same.
        """
        done: asyncio.Future[T] = self._host.create_future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(work, name=name)
            task.add_done_callback(partial(_hand_over, done))
            tasks.append(task)

        self._cross({"begin": name} | ({"why": why} if why else {}), begin)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            self._cross({"cancel": name}, lambda: tasks[0].cancel())
            await asyncio.wait({done})
            if not done.cancelled():
                done.exception()
            raise

    async def feed(self, pull: MergeQueue[PullItem]) -> None:
        """Hand over what the service pulls, batch by batch, for ever."""
        while True:
            batch = await pull.batch()
            lines = [_lean(item) for item in batch]
            self._cross({"items": lines}, partial(self._offer_all, batch))

    def _offer_all(self, batch: list[PullItem]) -> None:
        for item in batch:
            self.pull.offer(item)

    def event(self, item: RunEvent) -> None:
        """The engine tells something: the device is to examine it.

        What a function has told comes from outside: where its call is answered by the recording,
        there is nobody to tell it.
        """
        if isinstance(item, Told) and _in_function.get():
            self._cross({"items": [item]}, partial(self.pull.offer, item))
            return
        if not isinstance(item, UNTOLD):
            self._out.append({"event": item})
        self.pull.offer(item)

    def watched(self, push: Offer[PushItem]) -> Offer[PushItem]:
        """The push queue, with its edges written down."""
        return NotedQueue(push, self.note)

    async def close(self) -> None:
        """End what is outstanding outside, and write the end of the recording."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for timer in (self._next, self._timer):
            if timer is not None:
                timer.cancel()
        await asyncio.to_thread(self._writer.close)
        if self.left_out:
            log.warning(
                "the recording is not complete", file=str(self.path), left_out=self.left_out
            )

    # The interceptor ----------------------------------------------------------------------------

    async def ask(
        self, kind: str, about: Mapping[str, object], work: Callable[[], Awaitable[T]]
    ) -> T:
        """See `Interceptor.ask`."""
        number, answer, task = self._begin(kind, about, work)
        try:
            return await answer
        except asyncio.CancelledError:
            self._out.append({"given_up": number})
            task.cancel()
            raise

    def look(self, kind: str, about: Mapping[str, object], see: Callable[[], T]) -> T:
        """See `Interceptor.look`."""
        seen = see()
        if isinstance(seen, float):
            # An age, counted by the host's clock; the turn loop's stands a little earlier.
            seen = max(seen - (self._host.time() - self._now), 0.0)  # type: ignore[assignment]
        self._out.append({kind: {**about, "answer": seen}})
        return seen

    def note(self, line: Mapping[str, object]) -> None:
        """See `Interceptor.note`."""
        self._out.append({**line, **_here()})

    def _job(self, job: Job) -> asyncio.Future[Any]:
        return self._begin("job", {}, lambda: self._host.run_in_executor(None, job))[1]

    def _begin(
        self, kind: str, about: Mapping[str, object], work: Callable[[], Awaitable[T]]
    ) -> tuple[int, asyncio.Future[T], asyncio.Task[None]]:
        number = next(self._numbers)
        answer: asyncio.Future[T] = self._loop.create_future()
        self._out.append({kind: {"id": number, **about}, **_here()})
        work_outside = self._work(kind, number, answer, work)
        task = self._host.create_task(work_outside, name=kind)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return number, answer, task

    async def _work(
        self,
        kind: str,
        number: int,
        answer: asyncio.Future[T],
        work: Callable[[], Awaitable[T]],
    ) -> None:
        _in_function.set(kind == "call")
        try:
            result = await work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            self._cross(_failure(number, error), partial(_fail, answer, error))
        else:
            self._cross(_answer(kind, number, result), partial(_settle, answer, result))

    # Turns --------------------------------------------------------------------------------------

    def _cross(self, line: Line, act: Callable[[], object]) -> None:
        """Something comes in, at the next turn."""
        self._crossed.append((line, act))
        self._soon()

    def _soon(self) -> None:
        if self._next is None:
            self._next = self._host.call_soon(self._turn)

    def _turn(self) -> None:
        self._next = None
        self._now = max(self._host.time(), self._now)
        self._wall = datetime.now().astimezone()
        crossed, self._crossed = self._crossed, []
        for _, act in crossed:
            act()
        rounds = self._loop.turn(self._now)
        self._write([line for line, _ in crossed], rounds)
        self._wake()

    def _write(self, crossed: list[Line], rounds: int) -> None:
        if not (crossed or rounds):
            return
        line: Line = {"t": self._now, "w": self._wall.timestamp()}
        if self._wall.utcoffset() != self._offset:
            line["offset"] = _offset(self._wall)
        if crossed:
            line["in"] = crossed
        if self._out:
            line["out"], self._out = self._out, []
        if self._loop.is_ready:
            line["more"] = True
        self._writer.write(line)

    def _wake(self) -> None:
        """See to the next turn."""
        if self._loop.is_ready or self._crossed:
            self._soon()
            return
        due = self._loop.deadline
        if self._timer is not None:
            if self._timer.when() == due and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = None if due is None else self._host.call_at(due, self._due, due)

    def _due(self, due: float) -> None:
        # A host's timer may come its clock's resolution too early.
        self._timer = None
        self._now = max(self._now, due)
        self._soon()


class NotedQueue:
    """A push queue of which the edges are told."""

    def __init__(self, push: Offer[PushItem], note: Callable[[Line], None]) -> None:
        self._push = push
        self._note = note

    def offer(self, item: PushItem) -> None:
        """As a queue does."""
        if isinstance(item, Update) and item.field in EDGES:
            self._note({"pv": [str(item.field), item.value]})
        self._push.offer(item)


class _RecordedLibrary(LibraryProxy):
    """Writes down what it reads."""

    def __init__(self, config: Config, registry: Registry, writer: RecordingWriter) -> None:
        super().__init__(config.sequences, names_of(config), registry)
        self._writer = writer
        self._known: dict[str, Line] = {}
        self._listed: set[str] = set()

    def source(self, name: str) -> tuple[str, str]:
        """See `Library.source`."""
        try:
            text, file = super().source(name)
        except InputError as error:
            self._tell(name, {"name": name, "error": str(error)})
            raise
        self._tell(name, {"name": name, "text": text, "file": file})
        return text, file

    def _tell(self, name: str, read: Line) -> None:
        if self._known.get(name) != read:
            self._known[name] = read
            self._writer.write({"source": read})

    def files(self) -> set[str]:
        """See `Library.files`."""
        found = super().files()
        if found != self._listed:
            self._listed = found
            self._writer.write({"listed": sorted(found)})
        return found


def _here() -> Line:
    """The run and the step that ask."""
    run, step = run_here(), step_here()
    return ({"run": run} if run else {}) | ({"step": step} if step else {})


def _header(config: Config, wall: datetime) -> Line:
    return {
        "format": FORMAT,
        "version": version("ioc-orchestrator"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "began": wall.isoformat(timespec="seconds"),
        "w": wall.timestamp(),
        "offset": _offset(wall),
        "modules": {module: hash_of(module) for module in config.python},
        "config": replace(config, notify=None),  # which has passwords, and tells nobody in a replay
    }


def _offset(wall: datetime) -> float:
    """Seconds by which local time is ahead of UTC."""
    offset = wall.utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def hash_of(module: str) -> str:
    """The SHA-256 of an imported module's file; empty where it has none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _lean(item: PullItem) -> PullItem:
    """Without the figures of the queues, which tell nothing of the outside."""
    return replace(item, figures={}) if isinstance(item, Tick) else item


def _answer(kind: str, number: int, result: object) -> Line:
    if kind == "job":
        return {"answer": number}  # a replay does the job itself
    if kind == "call":  # it may return anything
        try:
            result = encode(result)
        except UnrecordableError as error:
            return {"answer": number, "unknown": str(error)}
        return {"answer": number, "value": Encoded(result)}
    return {"answer": number, "value": result}


def _failure(number: int, error: Exception) -> Line:
    try:
        encode(error)
    except UnrecordableError:
        return {"answer": number, "raised": [type(error).__name__, str(error)]}
    return {"answer": number, "error": error}


def _settle(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _hand_over(done: asyncio.Future[T], task: asyncio.Task[T]) -> None:
    if done.done():
        return
    if task.cancelled():
        done.cancel()
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())
