"""Examines one item after another; its decisions go to the push queue and to the engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, TypeVar

import numpy as np
import structlog

from orchestrator.config import Config
from orchestrator.device.automation_board import AutomationBoard
from orchestrator.device.channel_table import ChannelTable
from orchestrator.device.lane_commands import LaneCommands, Unanswered
from orchestrator.device.lane_list import LaneList
from orchestrator.device.mirrors import Mirrors
from orchestrator.device.news import News
from orchestrator.ports import Offer
from orchestrator.queues import MergeQueue
from orchestrator.types import (
    Automated,
    AutomationRequest,
    Command,
    EngineItem,
    LinkChange,
    PullItem,
    PushItem,
    QueueLeft,
    QueueRequest,
    Reading,
    Reply,
    RunEvent,
    RunSnapshot,
    SequencesListed,
    Tick,
    Update,
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

    def __init__(
        self, config: Config, *, logs: bool = True, keep_all: frozenset[str] = frozenset()
    ) -> None:
        """Channels and their circular buffers are made from the config.

        Of `keep_all` each update is examined in any case. With `logs`, what comes and goes and
        what is refused is logged; a replay is no news.
        """
        self.table = ChannelTable(keep_all)
        for channel in config.channels.values():
            self.table.add(channel.name, channel.buffer)
        self._mirrors = Mirrors(config, self.table)
        self._lanes: dict[str, LaneCommands] = {}
        asked: dict[int, Unanswered] = {}
        for name in ("", *config.lanes):
            lane = LaneCommands(name, config, self._lanes, asked, self._guarded)
            self._lanes[name] = lane
        self._main = self._lanes[""]
        self._listed = LaneList({name: self._lanes[name].state for name in config.lanes})
        self._automation = AutomationBoard(on=config.automation)
        self._failures: Counter[tuple[str, str]] = Counter()
        self._news = News(self._mirrors, config.ca.connect_timeout) if logs else None

    @property
    def runs(self) -> Mapping[str, RunSnapshot]:
        """The runs that are remembered, by id, as far as examined."""
        return {name: run for lane in self._lanes.values() for name, run in lane.state.runs.items()}

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
                    if isinstance(decision, EngineItem):
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
        yield from self._listed.first_updates()
        for lane in self._lanes.values():
            yield from lane.first_updates()
        yield self._automation.switch

    def examine(self, item: PullItem) -> Iterable[Decision]:
        """Decide what follows from one item. Bad data is a decision, never an exception."""
        if isinstance(item, Reading) and item.channel != self._main.served.master:
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
                yield from self._main.reserving(self._main.served.take_reading(item))
            case LinkChange():
                yield from self._mirrors.take_link(item)
            case Command():
                yield from self._take_command(item)
            case Tick():
                yield from self._take_tick(item)
            case QueueLeft():
                yield QueueRequest(0, "restore", left=item, lane=item.lane)
            case SequencesListed():
                for lane in self._lanes.values():
                    yield lane.listed(item)
            case _:
                yield from self._take_event(item)

    def _take_tick(self, tick: Tick) -> Iterator[PushItem]:
        held_back = (lane.take_tick() for lane in self._lanes.values())
        for figures in (self._mirrors.take_tick(tick), *held_back):
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
                yield from self._lanes[item.lane].refuse(item, reason)
            elif not isinstance(item, Reading | LinkChange | Tick | QueueLeft):  # these the log has
                lane = "" if isinstance(item, SequencesListed) else item.lane
                yield from self._lanes[lane].anyhow(item, reason)

    def _failed(self, kind: str, error: Exception, *, channel: str = "", run: str = "") -> None:
        """Log it: the 1st, 2nd, 4th, 8th … of a kind, as thousands may come."""
        self._failures[kind, channel] += 1
        times = self._failures[kind, channel]
        if times & (times - 1) == 0:
            where = {name: of for name, of in (("channel", channel), ("run", run)) if of}
            log.error("an item could not be taken", kind=kind, times=times, exc_info=error, **where)

    # Commands, and events of the engine ---------------------------------------------------------

    def _take_command(self, command: Command) -> Iterator[Decision]:
        lane = self._lanes.get(command.lane)
        if lane is None:
            yield Reply(command.request, f"there is no lane {command.lane}")
        else:
            for decision in lane.take_command(command):
                yield decision
                if isinstance(decision, AutomationRequest):
                    yield from self._automation.asked(decision)

    def _take_event(self, event: RunEvent) -> Iterator[Decision]:
        if isinstance(event, Automated):
            yield from self._guarded(event, self._automation.take(event))
            return
        lane = self._lanes.get(event.lane, self._main)  # of one that is configured no more
        yield from lane.take_event(event)
        yield from self._listed.take(event)
