"""The bench of the engine's tests, recorded: the same service in memory, in turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.config import names_of
from orchestrator.engine import Engine
from orchestrator.engine.sequences.registry import NOTHING_REGISTERED, Registry
from orchestrator.language.program.nodes import Suspender
from orchestrator.replay import ENDING, Player, Recording, RecordingReader, Replay
from orchestrator.types import Command, RunEnded, RunRefused, Verb
from tests.unit.engine.bench import CHANNELS, Bench, make_config


class RecordedBench(Bench):
    """A bench whose device and engine run in the turns of a recording."""

    def __init__(
        self, file: Path, suspenders: Sequence[Suspender], registry: Registry, **options: Any
    ):
        super().__init__(make_config(**options), suspenders, registry)
        self.recording = Recording(file, self.config, registry, self.sim, self.store)
        self.engine = Engine(
            self.config,
            names_of(self.config),
            self.device.table,
            self.recording.channels,
            self,
            self.recording.store,
            self.recording.wall,
            self.recording.library,
            tuple(suspenders),
        )

    async def run_named(self, name: str) -> RunEnded | RunRefused:
        """Run a sequence of the directory by START."""
        self._ended = asyncio.get_running_loop().create_future()
        self.pull.offer(Command(Verb.START, 1, text=name))
        return await self.ended()

    def offer(self, item: Any) -> None:
        self.events.append(item)
        self.recording.event(item)


@asynccontextmanager
async def recorded_bench(
    file: Path, registry: Registry = NOTHING_REGISTERED, **options: Any
) -> AsyncIterator[RecordedBench]:
    """As `bench`, recorded to a file."""
    it = RecordedBench(file, (), registry, **options)
    recording = it.recording
    push = recording.watched(it.push)
    async with asyncio.TaskGroup() as tasks:
        device = recording.host("device", it.device.run(recording.pull, push, it.requests))
        engine = recording.host("engine", it.engine.run(it.requests))
        working = [
            tasks.create_task(device, name="device"),
            tasks.create_task(engine, name="engine"),
            tasks.create_task(recording.feed(it.pull), name="feed"),
            tasks.create_task(it.drain(), name="drain"),
        ]
        for name in CHANNELS:
            it.sim.add(f"sim.{name}")
        await it.pull.idle()
        yield it
        await recording.host("close", it.engine.close(ENDING))
        await it.sim.close()
        for task in working:
            task.cancel()
    await recording.close()


def replayed(file: Path, registry: Registry = NOTHING_REGISTERED, **options: Any) -> Replay:
    return Player(RecordingReader(file), registry=registry, **options).play()
