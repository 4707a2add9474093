"""Examines one item after another; its decisions go to the push queue and to the engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias, TypeVar, assert_never

import numpy as np
import structlog

from orchestrator.config import Config
from orchestrator.device.as_sequence_server import Served
from orchestrator.device.channel_table import ChannelTable
from orchestrator.device.commands import (
    ControlText,
    Ping,
    QueueText,
    RunText,
    TrajectoryText,
    parse_command,
)
from orchestrator.device.lane import LaneState
from orchestrator.device.mirrors import Mirrors
from orchestrator.device.news import News
from orchestrator.device.publisher import RunPublisher
from orchestrator.errors import InputError
from orchestrator.language.text.indices import parse_indices
from orchestrator.ports import Offer
from orchestrator.queues import MergeQueue
from orchestrator.types import (
    Accepted,
    Alarm,
    Cause,
    Command,
    Control,
    Controlled,
    EngineItem,
    LinkChange,
    PullItem,
    PushItem,
    QueueLeft,
    QueueRequest,
    Reading,
    Reply,
    RunEnded,
    RunEvent,
    RunRefused,
    RunRequest,
    RunSnapshot,
    RunStarted,
    RunStatus,
    SequencesListed,
    Severity,
    Tick,
    Told,
    Update,
    Verb,
    fields,
    run_of,
)

Decision: TypeAlias = PushItem | EngineItem

T = TypeVar("T")

log = structlog.get_logger(__name__)

_A_TURN = 200
"""Items examined before other tasks have their turn; some 10 µs each. A count and no time: a
recording that is replayed takes the same turns."""

_A_STATISTIC = 2000
"""Elements of a circular buffer whose copy and statistics take about as long as an item."""

_SHOWN_ONLY = (Reading, LinkChange, Command, SequencesListed, QueueLeft)
"""Items of which listeners see only what follows from them; the others are events of runs."""


class Device:
    """The only writer of the view, and the only source of updates.

    `examine` is a plain function of what has been examined before: no await, no I/O, no clock.
    """

    def __init__(self, config: Config, *, logs: bool = True) -> None:
        """Channels and their circular buffers are made from the config.

        With `logs`, what comes and goes and what is refused is logged; a replay is no news.
        """
        self.table = ChannelTable()
        for channel in config.channels.values():
            self.table.add(channel.name, channel.buffer)
        self._mirrors = Mirrors(config, self.table)
        self._publisher = RunPublisher(config)
        self._lane = LaneState()
        self._served = Served(config, lambda: self._lane.why_busy)
        self._asked: dict[int, Verb] = {}
        servers = (ioc.server.name for ioc in config.chain.values() if ioc.server)
        self._walkable = {config.server.name, *servers} - {""}
        """The names in Nested_Indices that a run of ours may use, and our own."""
        self._failures: Counter[tuple[str, str]] = Counter()
        self._news = News(self._mirrors, config.ca.connect_timeout) if logs else None

    @property
    def runs(self) -> Mapping[str, RunSnapshot]:
        """The runs that are remembered, by id, as far as examined."""
        return self._lane.runs

    async def run(
        self,
        pull: MergeQueue[PullItem],
        push: Offer[PushItem],
        engine: Offer[EngineItem],
    ) -> None:
        """Examine whatever is pulled, for ever."""
        while True:
            for item in await pull.batch(_A_TURN):
                if isinstance(item, Tick):
                    await self._pulse(item, push)
                    self._log(item, ())
                    continue
                decisions = self.examine(item)
                if not isinstance(item, _SHOWN_ONLY):
                    push.offer(item)  # what happens to runs is told as it is, too
                for decision in decisions:
                    if isinstance(decision, RunRequest | Control | QueueRequest):
                        engine.offer(decision)
                    else:
                        push.offer(decision)
                if isinstance(item, Reading | LinkChange):
                    self._notify(item)
                elif isinstance(item, Command):
                    self._log(item, decisions)

    async def _pulse(self, tick: Tick, push: Offer[PushItem]) -> None:
        """Examine a pulse, in several turns where it computes the statistics of many buffers."""
        work = 0
        for decision in self._take_tick(tick):
            push.offer(decision)
            work += 1
            if isinstance(decision, Update) and isinstance(decision.value, np.ndarray):
                work += decision.value.size // _A_STATISTIC
            if work >= _A_TURN:
                work = 0
                await asyncio.sleep(0)

    def first_decisions(self) -> Iterable[PushItem]:
        """What is published before anything has arrived."""
        yield from self._mirrors.first_updates()

    def examine(self, item: PullItem) -> Iterable[Decision]:
        """Decide what follows from one item. Bad data is a decision, never an exception."""
        if isinstance(item, Reading) and item.channel != self._served.master:
            try:
                return self._mirrors.take_reading(item)  # most of all items: no generators
            except Exception as error:  # noqa: BLE001 - the top of an item, as in `_guarded`
                self._failed("Reading", error, channel=item.channel)
                return []
        return list(self._guarded(item, self._decided(item)))

    def _decided(self, item: PullItem) -> Iterator[Decision]:
        match item:
            case Reading():  # of the master
                yield from self._mirrors.take_reading(item)
                yield from self._reserving(self._served.take_reading(item))
            case LinkChange():
                yield from self._mirrors.take_link(item)
            case Command():
                yield from self._take_command(item)
            case Tick():
                yield from self._take_tick(item)
            case QueueLeft():
                yield QueueRequest(0, "restore", left=item)
            case SequencesListed():
                yield self._publisher.sequences(item.names)
            case _:
                yield from self._take_event(item)

    def _take_tick(self, tick: Tick) -> Iterator[PushItem]:
        for figures in (
            self._mirrors.take_tick(tick),
            self._publisher.take_tick(self._lane.run),
        ):
            try:
                yield from figures
            except Exception as error:  # noqa: BLE001 - the top of an item, as in `_guarded`
                self._failed("Tick", error)

    def _log(self, item: PullItem, decisions: Iterable[Decision]) -> None:
        if self._news is None:
            return
        try:
            self._news.take(item, decisions)
        except Exception as error:  # noqa: BLE001 - the top of an item, as in `_guarded`
            self._failed("news", error)

    def _notify(self, item: Reading | LinkChange) -> None:
        state = self.table.known(item.channel)
        if state is None:
            return  # it was given up
        for watcher in state.watchers:
            try:
                watcher(state)
            except Exception as error:  # noqa: BLE001 - the top of a callback, logged
                self._failed("watcher", error, channel=item.channel)

    # What can't be taken ----------------------------------------------------------------------

    def _guarded(self, item: PullItem, decisions: Iterable[T]) -> Iterator[T | Decision]:
        """The same; where the item can't be taken, those so far and what is told of that."""
        try:
            yield from decisions
        except Exception as error:  # noqa: BLE001 - the top of an item: the next one is taken
            channel, run = getattr(item, "channel", ""), run_of(item)
            self._failed(type(item).__name__, error, channel=channel, run=run)
            reason = f"internal error: {type(error).__name__}: {error}"
            if isinstance(item, Command):
                yield from self._refuse(item, reason)
            elif not isinstance(item, Reading | LinkChange | Tick | QueueLeft):  # these the log has
                yield from self._publisher.anyhow(item, self._lane.run, reason)

    def _failed(self, kind: str, error: Exception, *, channel: str = "", run: str = "") -> None:
        """Log it: the 1st, 2nd, 4th, 8th … of a kind, as thousands may come."""
        self._failures[kind, channel] += 1
        times = self._failures[kind, channel]
        if times & (times - 1) == 0:
            where = {name: of for name, of in (("channel", channel), ("run", run)) if of}
            log.error("an item could not be taken", kind=kind, times=times, exc_info=error, **where)

    # Commands ---------------------------------------------------------------------------------

    def _take_command(self, command: Command) -> Iterator[Decision]:
        match command.verb:
            case Verb.COMMAND:
                yield Update(fields.ACK, 0)
                if command.refused:
                    yield from self._refuse(command, command.refused)
                else:
                    yield from self._take_text(command)
            case Verb.INDICES:
                yield from self._take_indices(command)
            case Verb.PUT:
                yield from self._accept(command)
            case Verb.SELECT:
                self._served.select(command.text)
            case Verb.START | Verb.RUN:
                run = RunText(command.text, command.document, recovery=command.recovery)
                start = command.verb is Verb.START
                yield from self._ask_for_run(command, run, command.args, start=start)
            case Verb.SUBMIT:
                run = RunText(command.text, command.document)
                yield self._queue_request(command, QueueText("submit", run))
            case _:
                yield from self._take_control(command, ControlText(command.verb, command.text))

    def _take_text(self, command: Command) -> Iterator[Decision]:
        try:
            parsed = parse_command(command.text)
        except InputError as error:
            yield from self._refuse(command, str(error))
            return
        match parsed:
            case RunText():
                yield from self._ask_for_run(command, parsed, parsed.args, start=False)
            case ControlText():
                yield from self._take_control(command, parsed)
            case QueueText():
                yield self._queue_request(command, parsed)
            case TrajectoryText():
                yield from self._reserving(self._served.load(command))
            case Ping():
                yield from self._accept(command)
            case _:
                assert_never(parsed)

    # Sequence servers -------------------------------------------------------------------------

    def _take_indices(self, command: Command) -> Iterator[Decision]:
        """Somebody wrote Nested_Indices: show it to the servers, of which we may be one."""
        reserved = self._lane.reserved
        if not reserved:
            yield Update(fields.ACK, 0)
        try:
            indices = parse_indices(command.text)
            if reserved and self._walkable & indices.servers.keys():
                raise InputError(f"Nested_Indices: {self._lane.busy_with}, and may walk it")
        except InputError as error:
            yield Update(fields.ACK, 0)
            yield from self._refuse(replace(command, verb=Verb.COMMAND), str(error))
            return
        yield Update(fields.NESTED_INDICES, indices.text)
        if command.request:
            yield Reply(command.request)
        if not self._served.master and self._served.is_asked(indices):
            yield from self._reserving(self._served.take(indices.text))
        elif not reserved:  # else ACK is that of the run, if it is one of an index
            yield Update(fields.ACK, 1)

    def _reserving(self, decisions: Iterable[Decision]) -> Iterator[Decision]:
        """The same; where a run is among them, the lane is reserved for it."""
        for decision in decisions:
            if isinstance(decision, RunRequest):
                self._lane.reserve(decision.request)
            yield decision

    def _ask_for_run(
        self, command: Command, run: RunText, args: object, *, start: bool
    ) -> Iterator[Decision]:
        if busy := self._lane.why_busy:
            yield from self._refuse(command, busy, cause=Cause.DURING)
            return
        request = RunRequest(
            request=command.request,
            name=run.name,
            text=run.document,
            origin=command.origin,
            args=args if isinstance(args, dict | str) else {},
            metadata={**run.metadata, **command.metadata},
            owner=command.owner,
            always_a_run=start and run.recovery is None,
            how=command.how or (fields.START if start else fields.CMD).name,
            recovery=run.recovery,
            repeats=command.repeats,
        )
        self._lane.reserve(command.request)
        self._asked[command.request] = command.verb
        yield request

    def _queue_request(self, command: Command, parsed: QueueText) -> QueueRequest:
        self._asked[command.request] = command.verb
        run = RunRequest(
            request=0,
            name=parsed.run.name,
            text=parsed.run.document,
            origin=command.origin,
            args=parsed.run.args or command.args,
            metadata=parsed.run.metadata or command.metadata,
            owner=command.owner,
            how="queue",
        )
        return QueueRequest(command.request, parsed.action, parsed.number, parsed.position, run)

    def _take_control(self, command: Command, control: ControlText) -> Iterator[Decision]:
        if command.run_id not in ("", self._lane.running_id):
            text = f"the run {command.run_id} is not under way"
            yield from self._refuse(command, text, late=True, cause=Cause.DURING)
            return
        if control.verb is Verb.ANSWER:
            try:  # once: the next question may be another's
                yield self._lane.answer(control.reason, command.owner)
            except InputError as error:
                yield from self._refuse(command, str(error), late=True)
                return
        elif self._lane.reserved:
            by, run_id = command.owner, self._lane.running_id
            yield Control(control.verb, control.reason, by, run_id)
        else:
            yield Update(fields.PAUSE, 0)
            if control.verb in (Verb.RESUME, Verb.PAUSE, Verb.SKIP, Verb.STOP):
                yield self._remark(f"nothing is running to {control.verb}")
        yield from self._accept(command)

    def _accept(self, command: Command) -> Iterator[Decision]:
        if command.verb is Verb.COMMAND and not self._served.moving:
            yield Update(fields.ACK, 1)
        if command.request:
            yield Reply(command.request)

    def _remark(self, text: str) -> Update:
        """The message about a control that came too late: why the run has ended stays in it."""
        why, severity, status = self._lane.run.outcome
        return Update(fields.MESSAGE, f"{why}; {text}" if why else text, "", severity, status)

    def _refuse(
        self,
        command: Command,
        reason: str,
        *,
        late: bool = False,
        cause: Cause = Cause.INPUT,
    ) -> Iterator[Decision]:
        yield self._remark(reason) if late else Update(fields.MESSAGE, reason)
        if command.verb is Verb.COMMAND and not self._served.moving:
            yield Update(fields.ACK, 0, severity=Severity.MAJOR, status=Alarm.WRITE)
        if command.request:
            yield Reply(command.request, reason, RunRefused(command.request, reason, cause))

    # Events of the engine ---------------------------------------------------------------------

    def _take_event(self, event: RunEvent) -> Iterator[Decision]:
        # What can't be published must not keep the lane reserved, nor anybody waiting.
        yield from self._guarded(event, self._published(event))
        self._lane.follow(event)
        match event:
            case RunStarted():
                if (verb := self._asked.get(event.request)) in (Verb.COMMAND, Verb.RUN):
                    del self._asked[event.request]
                    if verb is Verb.COMMAND and not self._served.moving:
                        yield Update(fields.ACK, 1)
                    yield Reply(event.request)
            case RunRefused():
                yield from self._take_refusal(event)
            case Accepted():
                verb = self._asked.pop(event.request, Verb.COMMAND)
                yield Update(fields.MESSAGE, event.text)
                yield from self._accept(Command(verb, event.request))
            case RunEnded():
                if self._asked.pop(event.request, None) is not None:
                    well = event.status is RunStatus.SUCCESS
                    error = "" if well else f"{event.status}: {event.message}"
                    yield Reply(event.request, error, event)
                yield from self._reserving(self._served.ended(event))
            case _:
                pass

    def _published(self, event: RunEvent) -> Iterator[PushItem]:
        run = self._lane.take(event)
        if run is self._lane.run or isinstance(event, Told | Controlled):
            yield from self._publisher.take(event, run)

    def _take_refusal(self, event: RunRefused) -> Iterator[Decision]:
        if self._served.has_asked(event.request):
            yield from self._reserving(self._served.ended(event))
            return
        verb = self._asked.pop(event.request, Verb.START)
        yield from self._refuse(Command(verb, event.request), event.reason, cause=event.cause)
