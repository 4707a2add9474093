"""The composition root: builds everything, owns every task, knows the order of start and stop."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from orchestrator.api import Api, Caller, Filter, Subscription
from orchestrator.cas import ANY, Serving
from orchestrator.client import Client, configure_environment
from orchestrator.config import ChannelConfig, Config, key_place, names_of, prefix_doubts
from orchestrator.data import (
    DataForm,
    DocumentOutputs,
    Interrupted,
    LookBack,
    Retention,
    RunRecords,
    hold_store,
    look_at_store,
)
from orchestrator.device import Device
from orchestrator.engine import DirectPuts, Engine, Library, described, registry_of, unfit
from orchestrator.errors import CheckError, InputError
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.notify import Notifier
from orchestrator.own_pvs import KeptValues, OwnChannels, RoutedChannels, own_file
from orchestrator.ports import View
from orchestrator.present import Announcement, announced
from orchestrator.queues import MergeQueue, QueueFigures, pull_queue, request_queue
from orchestrator.replay import ENDING, encode, outside
from orchestrator.transports.ca import Server
from orchestrator.transports.http import HttpProcess
from orchestrator.types import (
    Automated,
    Command,
    EngineItem,
    Field,
    FileMade,
    PullItem,
    Recovery,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    SequencesListed,
    Severity,
    Tick,
    Told,
    Verb,
    fields,
    run_of,
)
from orchestrator.verbs.own import import_module, look_in

log = structlog.get_logger(__name__)

_TICK = 0.2
"""s between two pulses."""
_LISTING = 2.0
"""s between two looks at the directory of sequences."""
_TENDING = 2.0
"""s between two looks at which channels are needed."""
_DRAIN = 2.0
"""s that clients get at the end to be sent what was published."""


Listener: TypeAlias = Callable[[Any], None]
"""Takes what is published; it must not wait. What it is given is as its `Filter` says."""


class Service:
    """A running service: what the command line and tests do with it in the same process.

    Made by `open_service`.
    """

    def __init__(self, config: Config, record: Path | None, foreground: str | None = None) -> None:
        """With `record`, all that reaches the device and the engine is written to that file.

        `foreground` as in `open_service`.
        """
        self.config = config
        channels = config.channels | _followed(config)
        keep_all = frozenset(c.name for c in channels.values() if c.keep_all)
        self._device = Device(config, keep_all=keep_all)
        self._pull: MergeQueue[PullItem] = pull_queue(self._device.table.kept)
        self._own = OwnChannels(
            config.own,
            self._pull,
            self._device.table,
            KeptValues(own_file(config.store), alone=foreground is None, lost=self._lost),
        )
        self._times = KeptValues(config.store / "schedules.jsonl", alone=True, lost=self._lost)
        self._noted: dict[str, float] = {}
        self._starts_by_itself = foreground is None and bool(config.schedules or config.triggers)
        self.api = Api(self._pull, keep_all, self._own)
        """Where whoever asks and listens comes in."""
        self._listeners: set[asyncio.Task[None]] = set()
        self._requests: MergeQueue[EngineItem] = request_queue()
        remote = config.remote_channels | _followed(config)
        self._client = Client(remote, self._pull)
        self._port = 0
        self.where = Serving(0, (ANY,))
        """Where the PVs are served, once they are."""
        self._ending = ENDING
        self._latest: dict[str, str] = {}
        """The id of the last run in each lane."""
        self._announcement: Announcement | None = None
        self._server = Server(config, self.api)
        self._loop = asyncio.get_running_loop()
        registry = registry_of(config)
        self._left_out = tuple(registry.broken.values())
        store = self._records = RunRecords(
            config.store,
            self._lost,
            DataForm(config.formats, config.file_name),
            self._file_made,
            _documents(config),
            foreground=foreground is not None,
            on_full=config.on_full,
        )
        alone = foreground is None
        self._retention = Retention(
            config.store,
            config.keep if alone else None,
            config.keep_free if alone else None,
            self._lost,
        )
        self._look_back = LookBack(
            self._records,
            self._pull.offer,
            foreground=foreground is not None,
            lanes=config.lanes,
        )
        reached = RoutedChannels(self._own, self._client)
        given = self._outside = outside(record, self._pull, config, registry, reached, store)
        self._engine = Engine(
            config,
            names_of(config),
            self._device.table,
            given.channels,
            self,
            given.store,
            given.wall,
            given.library,
            compile_suspenders(config.suspend, names_of(config), partial(key_place, config)),
            given.rooms,
        )
        if self._starts_by_itself and (wrong := list(unfit(config, given.library))):
            raise CheckError([f"{where}: {text}" for where, text in wrong])
        self._http = self._http_process()
        self._notifier = self._notifying()

    def _http_process(self) -> HttpProcess | None:
        if self.config.http is None:
            return None
        held = self._engine.held
        puts = DirectPuts(self._client, self._device.table, self.config.channels, held)
        behind = _Behind(self._device.table, self.config, self._engine.library, puts)
        facts = partial(encode, replace(self.config, notify=None))  # its passwords are for nobody
        lanes = tuple(self.config.lanes)
        return HttpProcess(self.config.http, facts, self.api, behind, self._tell_trouble, lanes)

    def _notifying(self) -> Notifier | None:
        if self.config.notify is None:
            return None
        return Notifier(self.config.notify, self.config.prefix, self.api, self._tell_trouble)

    @property
    def http_port(self) -> int:
        """The TCP port at which HTTP is served; 0 = it is not."""
        return 0 if self._http is None else self._http.port

    def _tell_trouble(self, text: str) -> None:
        self._tell(Told(text, Severity.MAJOR))

    @property
    def recording(self) -> Path | None:
        """The file that is recorded to, if one is."""
        return self._outside.path

    @property
    def interrupted(self) -> tuple[Interrupted, ...]:
        """The runs of which a foreground run is to tell its user: they were killed before it."""
        return self._look_back.interrupted

    @property
    def port(self) -> int:
        """The TCP and UDP port at which our PVs are served."""
        return self._port

    def _lost(self, why: str) -> None:
        """Something can't be kept; called in the thread of its file."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell but the log
            self._loop.call_soon_threadsafe(self._tell, Told(why, Severity.MAJOR))

    def _file_made(self, run_id: str, file: str) -> None:
        """As above."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell_file, run_id, file)

    def _tell_file(self, run_id: str, file: str) -> None:
        lane = next((lane for lane, latest in self._latest.items() if latest == run_id), "")
        self._tell(FileMade(file, run_id=run_id, lane=lane))

    def _tell(self, told: Told | FileMade) -> None:
        # Not by `offer`: to a recording it comes from outside, as the engine knows nothing of it.
        self._pull.offer(told)

    def offer(self, item: RunEvent) -> None:
        """The engine's events pass here on their way to the pull queue."""
        self._records.heard(item)  # first: what is told stands in the journal
        self._outside.event(item)
        if isinstance(item, RunStarted):
            self._latest[item.lane] = item.run_id
        if isinstance(item, Automated):
            self._loop.call_soon(self._note_time, item)
        if isinstance(item, RunStarted) and self._announcement is not None:
            self._announcement.began(item.name, item.run_id)

    def _note_time(self, item: Automated) -> None:
        """When a schedule was due last is kept."""
        is_new = not math.isnan(item.last) and self._noted.get(item.name) != item.last
        if item.kind == "schedule" and is_new:
            self._noted[item.name] = item.last
            self._times.keep(item.name, item.last, lambda: None)

    async def _begin_automation(self) -> None:
        """Schedules and triggers begin, as far as the service lives on its own."""
        if self._starts_by_itself:
            last = await asyncio.to_thread(self._times.read)
            self._pull.offer(Command(Verb.AUTOMATION, text="begin", args=last))

    async def run(
        self,
        name: str = "",
        *,
        text: str = "",
        origin: str = "",
        args: Mapping[str, object] | None = None,
        metadata: Mapping[str, object] | None = None,
        owner: str = "",
        repeats: str = "",
    ) -> RunEnded | RunRefused:
        """Run a sequence, by name or from its text, and return its last event.

        Arguments are checked as those of START; `origin` is the file's name for messages.
        `metadata` is kept of the run; `repeats` is the id of the run that it is a repetition of.
        """
        command = Command(
            Verb.START,
            text=name,
            args=dict(args or {}),
            metadata=dict(metadata or {}),
            document=text,
            origin=origin,
            how="run",
            repeats=repeats,
        )
        return await self._outcome(command, owner)

    async def recover(self, recovery: Recovery, owner: str = "") -> RunEnded | RunRefused:
        """Go on with a run that has ended, or run its finalisers, and return its last event."""
        how = "finalise" if recovery.finalise else "recover"
        command = Command(Verb.START, text=recovery.run_id, how=how, recovery=recovery)
        return await self._outcome(command, owner)

    async def _outcome(self, command: Command, owner: str) -> RunEnded | RunRefused:
        reply = await self.api.ask(command, Caller(owner))
        assert reply.outcome is not None  # noqa: S101 - a START is answered by an outcome
        return reply.outcome

    def control(self, verb: Verb, reason: str = "", by: str = "") -> None:
        """Pause, resume, stop, abort or skip, as by the PVs; `by`: who asks, user@host."""
        self.api.tell(Command(verb, text=reason), Caller(by))

    def listen(self, take: Listener, wanted: Filter) -> None:
        """Call `take` with everything of these that is published from now on, in order.

        Until the service has ended; in a task of the service. What `take` raises is logged.
        """
        subscription = self.api.subscribe(wanted)
        listening = self._loop.create_task(_hand_over(subscription, take), name="listener")
        self._listeners.add(listening)

    async def _close_listeners(self) -> None:
        """The last of what was published is taken, within `_DRAIN` s."""
        self.api.close()
        if self._listeners:
            _, late = await asyncio.wait(self._listeners, timeout=_DRAIN)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def ends(self, reason: str) -> None:
        """Why the service is about to end, for a run that is aborted by that; a signal's name."""
        self._ending = f"{ENDING} ({reason})"

    # Tasks --------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        began = last = clock()
        pulled = 0
        while True:
            await asyncio.sleep(_TICK)
            now = clock()
            pull, push = self._pull.figures, self._server.published.figures
            rate = (pull.total - pulled) / (now - last)
            pulled = pull.total
            lag = max(now - last - _TICK, 0.0)
            self._pull.offer(Tick(int(now - began), lag, now - last, _figures(pull, push, rate)))
            last = now

    async def _list_sequences(self) -> None:
        told: tuple[str, ...] | None = None
        names: tuple[str, ...]
        trouble = ""
        while True:
            before, trouble = trouble, ""
            try:
                names = await asyncio.to_thread(self._engine.library.names)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the user's directory
                names, trouble = (), str(error)
                if trouble != before:
                    log.warning("the directory of sequences can't be read", error=trouble)
            if names != told:
                told = names
                self._pull.offer(SequencesListed(names))
            await asyncio.sleep(_LISTING)

    async def _tend_channels(self) -> None:
        """Have the client give up what documents have named and nobody needs any more."""
        while True:
            await asyncio.sleep(_TENDING)
            self._client.tend(self._engine.needed)

    async def _drained(self) -> None:
        """Return when what has happened is examined and published, after `_DRAIN` s at most."""
        try:
            async with asyncio.timeout(_DRAIN):
                await self._pull.idle()
                await self._server.published.idle()
        except TimeoutError:
            waiting = self._server.published.figures.waiting
            log.warning("not all was published before the end", waiting=waiting)

    async def _host(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], why: str = ""
    ) -> None:
        """Run a part of the device or the engine; `work` is called where it begins."""
        await self._outside.host(name, work(), why)

    @asynccontextmanager
    async def _running(self, foreground: str | None) -> AsyncIterator[None]:
        try:
            async with (
                self._look_back.running(),
                self._retention.running(),
                self._records.watched(),
                self._server.running() as ioc,
            ):
                self._port, self.where = ioc.port, ioc.where
                async with (
                    self._serving_http(foreground),
                    self._telling_people(foreground),
                    self._working(),
                ):
                    with self._announced(foreground):
                        async with self._after_crash(foreground):
                            yield
        finally:
            await self._close_listeners()

    @asynccontextmanager
    async def _after_crash(self, foreground: str | None) -> AsyncIterator[None]:
        """Have runs finalised that were killed, beside what else is asked, where that is wanted."""
        if foreground is not None or self.config.after_crash != "finalise":
            yield
            return
        async with asyncio.TaskGroup() as tasks:
            finalising = tasks.create_task(self._finalise_killed(), name="finalise killed runs")
            try:
                yield
            finally:
                finalising.cancel()

    async def _finalise_killed(self) -> None:
        for run_id in await asyncio.to_thread(self._records.killed):
            why = "its finalisers run now, as [store] after_crash says"
            self._tell(Told(f"{run_id} was interrupted: {why}", Severity.MINOR))
            end = await self.recover(Recovery(run_id, finalise=True))
            if isinstance(end, RunRefused):
                text = f"the finalisers of {run_id} have not run: {end.reason}"
                self._tell(Told(text, Severity.MAJOR))

    @asynccontextmanager
    async def _serving_http(self, foreground: str | None) -> AsyncIterator[None]:
        """A foreground run serves none: beside the service, which has the port."""
        if self._http is None or foreground is not None:
            yield
            return
        async with self._http.running():
            yield

    @asynccontextmanager
    async def _telling_people(self, foreground: str | None) -> AsyncIterator[None]:
        """Who runs something in the foreground looks at it."""
        if self._notifier is None or foreground is not None:
            yield
            return
        async with self._notifier.running():
            yield

    @contextmanager
    def _announced(self, foreground: str | None) -> Iterator[None]:
        """Commands in other terminals find us by the store."""
        host = self.where.interfaces[0]
        address = f"{'127.0.0.1' if host == ANY else host}:{self._port}"
        store, prefix = self.config.store, self.config.prefix
        if foreground is None:
            lanes = [f"{prefix}{name}:" for name in self.config.lanes]
            with announced(store, "service", prefix, address, lanes=lanes):
                yield
        else:
            with announced(store, "run", prefix, address, foreground) as self._announcement:
                yield

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        """The device examines from before the first monitor until after the last."""
        for item in self._device.first_decisions():
            self.api.offer(item)
        async with asyncio.TaskGroup() as tasks:
            pull, push = self._outside.pull, self._outside.watched(self.api)
            work = partial(self._device.run, pull, push, self._requests)
            working = [
                tasks.create_task(self._host("device", work), name="device"),
                tasks.create_task(self._outside.feed(self._pull), name="feed"),
            ]
            try:
                async with self._client, self._own, self._engaged():
                    yield
            finally:
                await self._drained()
                for task in working:
                    task.cancel()

    @asynccontextmanager
    async def _engaged(self) -> AsyncIterator[None]:
        """The engine takes requests; a run under way is ended in good order."""
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(
                    self._host("engine", partial(self._engine.run, self._requests)), name="engine"
                ),
                tasks.create_task(self._tick(), name="pulse"),
                tasks.create_task(self._list_sequences(), name="list sequences"),
                tasks.create_task(self._tend_channels(), name="tend channels"),
            ]
            await self._begin_automation()
            for text in self._left_out:
                self._tell(Told(text, Severity.MAJOR))
            try:
                yield
            finally:
                why = self._ending
                await self._times.close()
                await self._host("close", partial(self._engine.close, why), why)
                self._outside.rooms.close()
                for task in working:
                    task.cancel()


class _Behind:
    """Implements `transports.http.Behind`."""

    def __init__(self, view: View, config: Config, library: Library, puts: DirectPuts) -> None:
        self.view = view
        self.put = puts.put
        self.channels = config.channels
        self._library = library

    async def sequences(self) -> Iterable[str]:
        return await asyncio.to_thread(self._library.names)

    async def sequence(self, name: str) -> Mapping[str, Any]:
        return await asyncio.to_thread(described, self._library, name)


def spare_the_collector() -> None:
    """Tell the garbage collector of a process that serves what it need not look through.

    What is there already (modules, classes, the configuration) lives as long as the process; what a
    channel takes mostly too. With Python's own settings (700 new objects) the collector took a
    third of the start with 10,000 channels. But the loop stands still while it works: with 50,000
    and 20 it looked at a million objects at once where a long document was read, for 0.4 s.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 2, 200)


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    record: Path | None = None,
    foreground: str | None = None,
) -> AsyncIterator[Service]:
    """Start a service on the running loop; when the block is left, end it in good order.

    >>> import asyncio
    >>> from dataclasses import replace
    >>> from orchestrator import ServerConfig, load_config, open_service
    >>> async def main() -> None:
    ...     loopback = ServerConfig(port=0, interfaces=("127.0.0.1",))
    ...     async with open_service(replace(load_config(None), server=loopback)) as service:
    ...         outcome = await service.run(text="steps: [log: Hello]")
    ...         print(outcome.status)
    >>> asyncio.run(main())
    Success

    libca reads its environment once a process: one service a process, or several with the same
    `[ca]` and addresses.

    The order of the end: a run under way is aborted and its finalisers run; monitors and libca's
    channels; what was published reaches the clients; the server.

    With `record`, all that comes from outside is written to that file, for `orchestrator replay`.
    `foreground` names the sequence that the service lives for: other such runs may use the store
    as well.

    Raises:
        OrchestratorError: The configured port can't be had, another service uses the store, or
            the recording can't be made.
    """
    configure_environment(config)
    if foreground is not None:
        config = replace(config, lanes={})  # these are a service's, which lives on
    for doubt in prefix_doubts(config):
        log.warning(doubt, at=key_place(config, ("prefix",)))
    with _store_of(config, foreground):
        service = Service(config, record, foreground)
        try:
            async with service._running(foreground):  # noqa: SLF001 - the other half of the class
                yield service
        finally:
            await service._outside.close()  # noqa: SLF001 - as above
            await service._records.close()  # noqa: SLF001 - as above


def _store_of(config: Config, foreground: str | None) -> AbstractContextManager[None]:
    if foreground is None:
        return hold_store(config.store, config.prefix)
    look_at_store(config.store)
    return nullcontext()


def _documents(config: Config) -> DocumentOutputs:
    """Who wants documents of bluesky.

    Raises:
        InputError: The function can't be found, or pyzmq is not there.
    """
    wanted, call = config.documents, None
    if wanted.call:
        look_in(config.folder)
        module, _, name = wanted.call.partition(":")
        call = getattr(import_module(module), name, None)
        if not callable(call):
            where = key_place(config, ("documents", "call"))
            raise InputError(f"{where}: documents.call: {module} has no function {name!r}")
    return DocumentOutputs(jsonl=wanted.jsonl, zmq=wanted.zmq, call=call)


async def _hand_over(subscription: Subscription, take: Listener) -> None:
    async for item in subscription:
        try:
            take(item)
        except Exception:  # the top of a callback: no run ends because nobody could be told
            kind, run = type(item).__name__, run_of(item)
            log.exception("an event could not be told", kind=kind, run=run)


def _followed(config: Config) -> dict[str, ChannelConfig]:
    """The master's Nested_Indices, where the service is a sequence server of one."""
    pv = config.server.master
    return {pv: ChannelConfig(pv, pv, keep_all=True, text=True, write=False)} if pv else {}


def _figures(pull: QueueFigures, push: QueueFigures, rate: float) -> dict[Field, float]:
    return {
        fields.PULL_LEN: pull.waiting,
        fields.PULL_MAX: pull.most,
        fields.PULL_MERGED: pull.merged,
        fields.PULL_RATE: rate,
        fields.PUSH_LEN: push.waiting,
        fields.PUSH_MAX: push.most,
        fields.PUSH_MERGED: push.merged,
        fields.PUSH_MERGED_MON: push.merged_mirrors,
    }
