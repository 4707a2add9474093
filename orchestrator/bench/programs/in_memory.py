"""The device and the engine on channels in memory: what a step costs without Channel Access.

Settings: none.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator import loops
from orchestrator.bench.programs.answering import answer_all, settings
from orchestrator.config import ChainConfig, ChannelConfig, Config, names_of
from orchestrator.data import RunRecords
from orchestrator.device import Device
from orchestrator.engine import Engine, Library, Rooms
from orchestrator.engine.python.decorators import sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.ports import NoJournal, NothingKept, always
from orchestrator.queues import MergeQueue, pull_queue, push_queue, request_queue
from orchestrator.types import (
    Command,
    EngineItem,
    LinkChange,
    Metadata,
    NativeType,
    Place,
    PullItem,
    PushItem,
    Reading,
    RunEnded,
    RunEvent,
    RunHeader,
    RunStatus,
    Severity,
    Value,
    Verb,
)

_CHANNEL = "memory.x"

_taken = 0.0
"""s that the last Python sequence took."""


@sequence
async def puts(run: Run, count: int) -> None:
    """Put again and again."""
    global _taken
    for number in range(50):
        await run.set(_CHANNEL, number)
    began = time.perf_counter()
    for number in range(count):
        await run.set(_CHANNEL, number)
    _taken = time.perf_counter() - began


class _Channels:
    """Implements `ports.Channels`: one channel that takes whatever is put, and posts it."""

    def __init__(self, pull: MergeQueue[PullItem]) -> None:
        self._pull = pull

    def begin(self) -> None:
        self._pull.offer(LinkChange(_CHANNEL, True, Metadata(NativeType.DOUBLE)))
        self._post(0.0)

    def _post(self, value: Value) -> Reading:
        loop = asyncio.get_running_loop()
        reading = Reading(_CHANNEL, value, time.time(), Severity.NO_ALARM, 0, False, loop.time())
        self._pull.offer(reading)
        return reading

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        del timeout
        return [name for name in names if name != _CHANNEL]

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        del name, completion, timeout
        permit()
        self._post(value)
        await asyncio.sleep(0)

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        del timeout, beside
        return {name: self._post(0.0) for name in names}

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        del names
        return {}

    def outstanding(self, name: str) -> float | None:
        del name
        return None


class _Nowhere(NothingKept):
    """Implements `ports.Store` and `ports.Recorder`."""

    file = ""
    full = False
    lack = ""
    journal = NoJournal()

    def open(self, header: RunHeader) -> _Nowhere:
        del header
        return self

    async def room(self) -> None:
        pass

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        pass

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        pass

    def update(self, reading: Reading) -> None:
        pass

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        pass

    async def close(self, status: RunStatus, message: str = "") -> str:
        del status, message
        return ""


class InMemory:
    """What the benchmark asks of them."""

    def __init__(self, store: str) -> None:
        """On the running loop; with a `store` runs leave there what those of a service leave."""
        own = ChannelConfig(_CHANNEL, "MEMORY:x")
        config = Config(
            chain={"memory": ChainConfig("memory", "MEMORY:", channels={_CHANNEL: own})}
        )
        names = names_of(config)
        self._pull: MergeQueue[PullItem] = pull_queue(frozenset())
        self._push: MergeQueue[PushItem] = push_queue()
        self._requests: MergeQueue[EngineItem] = request_queue()
        self._device = Device(config, logs=False)
        self._channels = _Channels(self._pull)
        self._numbers = itertools.count(-1, -1)
        self._ended: asyncio.Future[RunEnded] | None = None
        self._records = RunRecords(Path(store), print) if store else None
        library = Library(None, names, Registry({"puts": puts}))
        self._engine = Engine(
            config,
            names,
            self._device.table,
            self._channels,
            self,
            self._records or _Nowhere(),
            lambda: datetime.now().astimezone(),
            library,
            rooms=Rooms(threads=True),
        )

    def offer(self, event: RunEvent) -> None:
        """The engine's events."""
        if self._records is not None:
            self._records.heard(event)
        self._pull.offer(event)
        if isinstance(event, RunEnded) and self._ended is not None:
            self._ended.set_result(event)

    async def document(self, text: str) -> dict[str, Any]:
        """Run a document to its end."""
        began = time.perf_counter()
        await self._run(document=text)
        return {"seconds": time.perf_counter() - began}

    async def python(self, count: int) -> dict[str, Any]:
        """Run the Python sequence; the time of its puts alone."""
        await self._run(text="puts", args={"count": count})
        return {"seconds": _taken}

    async def _run(self, **what: Any) -> None:
        self._ended = asyncio.get_running_loop().create_future()
        self._pull.offer(Command(Verb.START, next(self._numbers), **what))
        end = await self._ended
        if end.status is not RunStatus.SUCCESS:
            raise RuntimeError(f"the run did not succeed: {end}")

    async def close(self) -> None:
        """Return when all is on the disk."""
        if self._records is not None:
            await self._records.close()

    async def work(self) -> None:
        """Run device and engine; what is published goes nowhere."""
        async with asyncio.TaskGroup() as tasks:
            work = self._device.run(self._pull, self._push, self._requests)
            tasks.create_task(work, name="device")
            tasks.create_task(self._engine.run(self._requests), name="engine")
            self._channels.begin()
            while True:
                await self._push.batch()


async def main() -> None:
    """Work until the benchmark has no more questions."""
    memory = InMemory(settings().get("store", ""))
    working = asyncio.create_task(memory.work(), name="device and engine")
    try:
        await answer_all({"document": memory.document, "python": memory.python})
    finally:
        working.cancel()
        await memory.close()


if __name__ == "__main__":
    settings()
    loops.run(main())
