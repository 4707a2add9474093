"""A whole service in memory, on virtual time: device, engine and simulated channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.config import ChainConfig, ChannelConfig, Config, StopChannel, names_of
from orchestrator.data import RunRecords
from orchestrator.device import Device
from orchestrator.engine import Engine, Library
from orchestrator.engine.sequences.registry import NOTHING_REGISTERED, Registry
from orchestrator.engine.user_code.rooms import SHARED, Rooms
from orchestrator.errors import InputError
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.nodes import Suspender
from orchestrator.language.text.indices import parse_indices
from orchestrator.language.text.trajectory import Trajectory, parse_trajectory
from orchestrator.ports import Channels, NoJournal, NothingKept
from orchestrator.queues import MergeQueue, pull_queue, push_queue, request_queue
from orchestrator.types import (
    Command,
    EngineItem,
    IndicesSet,
    Metadata,
    Place,
    PullItem,
    PushItem,
    Reading,
    Recovery,
    Reply,
    RunEnded,
    RunHeader,
    RunRefused,
    RunState,
    RunStatus,
    Severity,
    StateChanged,
    StepStarted,
    Update,
    Verb,
    path_text,
)
from tests.doubles import SimChannels, VirtualTimeLoop

SERVERS = ("stage", "laser")
SERVER_VALUES: Mapping[str, Any] = {
    "CMD": "",
    "ACK": 0,
    "message": "",
    "values": np.array([np.nan, np.nan]),
    "INDEX": np.array([-1, -1]),
}
SERVER_PVS = tuple(SERVER_VALUES)
CHANNELS = ("x", "x_rbv", "y", "stop", "shutter", "det", "counts", "fin", "gate", "text", "turns")

_TOLD_BY = 0.3
"""s by which a step is told, if it still runs then: see `engine.control.report`."""


def make_config(
    directory: Path | None = None, rules: Mapping[str, Mapping[str, Any]] = {}, **options: Any
) -> Config:
    """`rules`: more fields of channels, by name."""
    channels = {
        f"sim.{name}": ChannelConfig(f"sim.{name}", f"SIM:{name}", **rules.get(name, {}))
        for name in CHANNELS
    }
    channels["sim.y"] = ChannelConfig("sim.y", "SIM:y", stop=StopChannel("SIM:stop"))
    channels["sim.shutter"] = ChannelConfig("sim.shutter", "SIM:shutter", stops=False)
    channels["sim.gate"] = ChannelConfig("sim.gate", "SIM:gate", write=False)
    chain = {"sim": ChainConfig("sim", "SIM:", channels=channels)}
    for name in SERVERS:
        server = ServerChannels(name, *(f"{name}.{pv}" for pv in SERVER_PVS))
        own = {
            alias: ChannelConfig(alias, f"{name}:{alias}", keep_all=True) for alias in server.all
        }
        chain[name] = ChainConfig(name, f"{name}:", channels=own, server=server)
    return Config(chain=chain, sequences=directory, **options)


@dataclass
class MemoryRecorder:
    """Keeps rows in memory."""

    rows: list[tuple[tuple[int, ...], dict[str, Reading | None]]] = field(default_factory=list)
    tries: list[tuple[int, ...]] = field(default_factory=list)
    closed: list[RunStatus] = field(default_factory=list)
    file: str = ""
    journal: NoJournal = field(default_factory=NoJournal)
    described: list[dict[str, Metadata]] = field(default_factory=list)
    baselines: list[tuple[str, dict[str, Reading | None]]] = field(default_factory=list)
    updates: list[tuple[str, object]] = field(default_factory=list)
    has_room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.has_room.set()

    @property
    def full(self) -> bool:
        return not self.has_room.is_set()

    lack: str = ""
    refusal: Exception | None = None
    """What `room` raises."""

    async def room(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        await self.has_room.wait()

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        self.described.append(dict(channels))

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        self.baselines.append((when, dict(readings)))

    def update(self, reading: Reading) -> None:
        self.updates.append((reading.channel, reading.value))

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        self.rows.append((at.loops, dict(readings)))
        self.tries.append(at.tries)

    fails: Exception | None = None
    """What `close` raises."""
    fault: str = ""
    """What `close` tells of rows that are lost."""

    async def close(self, status: RunStatus, message: str = "") -> str:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.closed.append(status)
        return self.fault


class MemoryStore(NothingKept):
    """Makes recorders and keeps them."""

    def __init__(self) -> None:
        self.headers: list[RunHeader] = []
        self.recorders: list[MemoryRecorder] = []
        self.fails: dict[str, Exception] = {}
        """What `open` and `close` raise, and `begin`: the journal, when the run is put together."""
        self.fault = ""
        """What `close` tells."""

    def open(self, header: RunHeader) -> MemoryRecorder:
        self.headers.append(header)
        if "open" in self.fails:
            raise self.fails["open"]
        self.recorders.append(MemoryRecorder(fails=self.fails.get("close"), fault=self.fault))
        if "begin" in self.fails:
            self.recorders[-1].journal = BrokenJournal(self.fails["begin"])
        return self.recorders[-1]


class BrokenJournal(NoJournal):
    """Can't be put between a run and its channels."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def channels(self, outside: Channels) -> Channels:
        raise self._error


class SimServer:
    """A sequence server in memory: what the one of the IOC kit does, on virtual time.

    One that lacks `INDEX` is of the older kind: it knows of no seq, and does all that it hears.
    """

    def __init__(self, sim: SimChannels, name: str, lacks: Collection[str] = ()) -> None:
        self.sim = sim
        self.name = name
        self.lacks = lacks
        """Of its PVs."""
        self.deaf = False
        """It hears nothing of its master."""
        self.takes = 0.0
        """s for each move."""
        self.moves: list[tuple[int, Any]] = []
        """What it was moved by and to: seq, item."""
        self.fails = False
        self.text = ""
        self._indices = ""
        self._taken: tuple[int, int] | None = None
        self._trajectory: Trajectory | None = None
        for pv, value in SERVER_VALUES.items():
            sim.add(f"{name}.{pv}", value, connected=pv not in lacks)
        sim.channels[f"{name}.CMD"].on_put = self._put

    def restart(self, down: float = 1.0) -> None:
        """Lose everything; be back after a time."""
        self._trajectory = self._taken = None
        for pv in SERVER_PVS:
            self.sim.disconnect(f"{self.name}.{pv}")
        asyncio.get_running_loop().call_later(down, self._back)

    def _back(self) -> None:
        for pv, value in SERVER_VALUES.items():
            if pv not in self.lacks:
                self.sim.reconnect(f"{self.name}.{pv}", value)
        self.asked(self._indices)

    def _post(self, pv: str, value: Any, severity: Severity = Severity.NO_ALARM) -> None:
        self.sim.post(f"{self.name}.{pv}", value, severity)

    def say(self, text: str, severity: Severity) -> None:
        """Show a message, whatever it does otherwise."""
        self._post("message", text, severity)

    def _put(self, channel: object, text: Any) -> None:
        self._post("ACK", 0)
        try:
            self._trajectory = parse_trajectory(text)
        except InputError as error:
            self._refuse(str(error))
            return
        self.text, self._taken = text, None
        self._post("INDEX", np.array([-1, -1]))
        self._post("values", np.array(self._trajectory.numbers))
        self._post("ACK", 1)

    def _refuse(self, reason: str) -> None:
        self._taken = None
        self._post("message", reason, Severity.MAJOR)
        self._post("ACK", 0, Severity.MAJOR)

    def asked(self, text: str) -> None:
        """The master shows an index object."""
        self._indices = text
        if self.deaf or not text or not self.sim.channels[f"{self.name}.ACK"].connected:
            return
        indices = parse_indices(text)
        index = indices.servers.get(self.name)
        at = (indices.seq or 0, -1 if index is None else index)
        if index is None or (at == self._taken and "INDEX" not in self.lacks):
            return
        self._taken = at
        self._post("ACK", 0)
        if self._trajectory is None:
            self._refuse("no trajectory is loaded")
        elif self.fails or index >= len(self._trajectory):
            self._refuse(f"index {index} (seq {at[0]}): no way there")
        else:
            self.moves.append((at[0], self._trajectory[index]))
            loop = asyncio.get_running_loop()
            loop.call_later(self.takes, self._arrive, at)

    def _arrive(self, at: tuple[int, int]) -> None:
        if at == self._taken and self.sim.channels[f"{self.name}.ACK"].connected:
            self._post("INDEX", np.array(at))
            self._post("ACK", 1)


class Bench:
    """What tests act on and look at."""

    def __init__(
        self,
        config: Config,
        suspenders: Sequence[Suspender] = (),
        registry: Registry = NOTHING_REGISTERED,
        library: Library | None = None,
        rooms: Rooms = SHARED,
        wall: Callable[[], datetime] | None = None,
        records: RunRecords | None = None,
    ) -> None:
        """`records`: keeps the runs on disk, in place of memory."""
        self.config = config
        keep_all = frozenset(c.name for c in config.channels.values() if c.keep_all)
        self.device = Device(config, keep_all=keep_all)
        self.pull: MergeQueue[PullItem] = pull_queue(self.device.table.kept)
        self.push: MergeQueue[PushItem] = push_queue()
        self.requests: MergeQueue[EngineItem] = request_queue()
        self.sim = SimChannels(self.pull)
        self.servers: dict[str, SimServer] = {}
        self.store = MemoryStore()
        self.records = records
        self.published: list[PushItem] = []
        self.events: list[object] = []
        self.puts_at_abort: dict[str, int] = {}
        """How many puts to each channel had left when the first abort was accepted."""
        self.late_steps: list[str] = []
        """Steps of the body that began after a STOP or ABORT was accepted."""
        self.steps_in_pauses = 0
        """How often something began to move while the state was Paused."""
        self._ending_since: float | None = None
        self._paused_since: float | None = None
        self._ended: asyncio.Future[RunEnded | RunRefused] | None = None
        wall = wall or (lambda: datetime(2026, 1, 31, 14, 25, 1, tzinfo=UTC))
        names = names_of(config)
        self.engine = Engine(
            config,
            names,
            self.device.table,
            self.sim,
            self,
            records or self.store,
            wall,
            library or Library(config.sequences, names, registry),
            tuple(suspenders),
            rooms,
        )

    def offer(self, item: Any) -> None:
        if self.records is not None:
            self.records.heard(item)
        self.events.append(item)
        self.pull.offer(item)
        aborting = isinstance(item, StateChanged) and item.state is RunState.ABORTING
        if aborting and not self.puts_at_abort:
            self.puts_at_abort = {n: len(c.puts) for n, c in self.sim.channels.items()}
        if isinstance(item, StateChanged):
            self._note_state(item.state)
        if isinstance(item, StepStarted) and self._is_late(item):
            self.late_steps.append(f"{path_text(item.path)} {item.name}")
        if isinstance(item, IndicesSet):
            for server in self.servers.values():
                server.asked(item.text)

    def _note_state(self, state: RunState) -> None:
        now = asyncio.get_running_loop().time()
        if self._paused_since is not None and state is RunState.PAUSING:
            # A step may go on to its put where the read before it has ended: at that very time.
            self.steps_in_pauses += now > self._paused_since
        self._paused_since = now if state is RunState.PAUSED else None
        if state in (RunState.STOPPING, RunState.ABORTING) and self._ending_since is None:
            self._ending_since = now

    def _is_late(self, step: StepStarted) -> bool:
        """Whether a step of the body began when it should not; finalisers put to `text`."""
        if self._ending_since is None or step.path[0] != "steps" or "finally" in step.path:
            return False
        late = asyncio.get_running_loop().time() - self._ending_since
        return late > _TOLD_BY and not step.name.endswith("sim.text")

    async def drain(self) -> None:
        while True:
            for item in await self.push.batch():
                self.published.append(item)
                if isinstance(item, Reply) and item.request == 1 and self._ended is not None:
                    self._ended.set_result(self.ending)

    @property
    def ending(self) -> RunEnded | RunRefused:
        return next(e for e in self.events if isinstance(e, RunEnded | RunRefused))

    async def run(
        self, text: str, metadata: Mapping[str, object] = {}, **args: object
    ) -> RunEnded | RunRefused:
        """Run a document by START and return its last event, once its reply has come."""
        self.start(text, metadata, **args)
        return await self.ended()

    def start(self, text: str, metadata: Mapping[str, object] = {}, **args: object) -> None:
        self._ended = asyncio.get_running_loop().create_future()
        command = Command(
            Verb.START, 1, args=args, metadata=metadata, document=text, origin="test.yaml"
        )
        self.pull.offer(command)

    async def recover(self, run_id: str, start: str = "", *loops: int, **how: bool) -> Any:
        """Go on with a run, and return its last event."""
        self._ended = asyncio.get_running_loop().create_future()
        recovery = Recovery(run_id, start, loops, **how)
        self.pull.offer(Command(Verb.START, 1, text=run_id, recovery=recovery))
        return await self.ended()

    async def ended(self) -> RunEnded | RunRefused:
        assert self._ended is not None
        async with asyncio.timeout(100_000):
            return await self._ended

    def ask(self, verb: Verb, text: str = "", by: str = "") -> None:
        self.pull.offer(Command(verb, text=text, owner=by))

    def values(self, field_name: str, key: str = "", lane: str = "") -> list[Any]:
        """What was published of a field, in order."""
        return [
            item.value
            for item in self.published
            if isinstance(item, Update)
            and (item.field, item.key, item.lane) == (field_name, key, lane)
        ]

    def late_puts(self) -> dict[str, list[Any]]:
        """What left after the first abort was accepted, but for the stop channel and finalisers.

        Those of the tests write `fin`, and `text` where they are a sub-sequence's.
        """
        return {
            name: [value for _, value, _ in channel.puts[self.puts_at_abort[name] :]]
            for name, channel in self.sim.channels.items()
            if self.puts_at_abort
            and name not in ("sim.stop", "sim.fin", "sim.text")
            and len(channel.puts) > self.puts_at_abort[name]
        }

    def puts(self, name: str) -> list[Any]:
        return [value for _, value, _ in self.sim.channels[f"sim.{name}"].puts]


@asynccontextmanager
async def bench(
    suspenders: Sequence[Suspender] = (),
    registry: Registry = NOTHING_REGISTERED,
    library: Library | None = None,
    rooms: Rooms = SHARED,
    absent: Collection[str] = (),
    wall: Callable[[], datetime] | None = None,
    records: RunRecords | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    """A working bench; its channels exist, connected, at 0.0, but for the absent ones."""
    it = Bench(make_config(**options), suspenders, registry, library, rooms, wall, records)
    async with asyncio.TaskGroup() as tasks:
        working = [
            tasks.create_task(it.device.run(it.pull, it.push, it.requests), name="device"),
            tasks.create_task(it.engine.run(it.requests), name="engine"),
            tasks.create_task(it.drain(), name="drain"),
        ]
        for name in CHANNELS:
            it.sim.add(f"sim.{name}")
        for name in SERVERS:
            lacks = {pv for pv in SERVER_PVS if f"{name}.{pv}" in absent}
            it.servers[name] = SimServer(it.sim, name, lacks)
        await it.pull.idle()
        yield it
        await it.engine.close("the test ends")
        assert not left_behind(it)
        rooms.close()
        await it.sim.close()
        for task in working:
            task.cancel()


def left_behind(it: Bench) -> list[str]:
    """What runs that have ended have left: timers of ours, watchers of channels.

    Timers are looked at on virtual time. Tasks are where the loop ends.
    """
    loop = asyncio.get_running_loop()
    timers = [
        f"a timer for {name}"
        for name in (loop.timers if isinstance(loop, VirtualTimeLoop) else ())
        if name.startswith(("orchestrator.", "asyncio.timeouts"))
        and not name.startswith("tests.doubles.")
    ]
    states = (it.device.table.channel(name) for name in it.sim.channels)
    return timers + [f"a watcher of {state.name}" for state in states if state.watchers]


def at_iteration(number: int, action: Callable[[], None]) -> None:
    """Call `action` at the n-th iteration of the running loop from now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.at_iteration(loop.iterations + number, action)
