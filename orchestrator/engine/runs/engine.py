"""Takes requests and hands them to the lane that is to carry them out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from orchestrator.config import Config, LaneConfig
from orchestrator.engine.runs.automation import Automation, Listened, compile_triggers
from orchestrator.engine.runs.claims import Claims
from orchestrator.engine.runs.lane import Lane
from orchestrator.engine.runs.runner import RunContext, watched_by
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.steps.server_master import Memory
from orchestrator.engine.user_code.rooms import SHARED, Rooms
from orchestrator.language.names import Names
from orchestrator.language.program.nodes import Suspender
from orchestrator.ports import Channels, RunEvents, Store, View
from orchestrator.queues import MergeQueue
from orchestrator.types import (
    AutomationRequest,
    Control,
    EngineItem,
    QueueRequest,
    RunRequest,
)

_GRACE = 10.0
"""s that finalisers get when the service ends, before completions are given up."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Engine:
    """The only module that decides what happens next."""

    def __init__(
        self,
        config: Config,
        names: Names,
        view: View,
        channels: Channels,
        events: RunEvents,
        store: Store,
        wall: Callable[[], datetime],
        library: Library,
        suspenders: tuple[Suspender, ...] = (),
        rooms: Rooms = SHARED,
    ) -> None:
        """`wall` gives the local time; `suspenders` are watched during every run.

        User code runs in `rooms`.
        """
        self.library = library
        listened = Listened(events)
        memory = Memory.starting(wall().timestamp())
        every = {"": LaneConfig(), **config.lanes}
        needed = len(every) > 1 or config.http is not None
        claims = Claims(config.channels, names, channels, needed)
        self._context = RunContext(
            config,
            names,
            view,
            channels,
            listened,
            self.library,
            suspenders,
            wall,
            memory,
            rooms,
            claims,
        )
        new_id = RunIds(wall).next
        self._lanes = {n: Lane(self._context, store, new_id, lane) for n, lane in every.items()}

        triggers = compile_triggers(config, names)
        self._automation = Automation(config, triggers, view, channels, events, wall, self._submit)
        listened.heard = self._automation.heard

        self.held = claims.held

    async def _submit(self, request: RunRequest) -> None:
        await self._lanes[request.lane].submit(request)

    @property
    def needed(self) -> frozenset[str]:
        """The channels that runs under way, or suspenders and triggers, need."""
        needed = (lane.needed for lane in self._lanes.values())
        always = watched_by(self._context.suspenders) | self._automation.needed
        return always.union(*needed)

    async def run(self, requests: MergeQueue[EngineItem]) -> None:
        """Serve requests until cancelled; a run under way is then cancelled too."""
        async with asyncio.TaskGroup() as tasks:
            for name, lane in self._lanes.items():
                tasks.create_task(lane.advance(tasks), name=f"queue of runs {name}".strip())
            while True:
                for item in await requests.batch():
                    lane = self._lanes[item.lane]
                    match item:
                        case RunRequest():
                            lane.begin(tasks, item)
                        case Control():
                            lane.obey(item)
                        case AutomationRequest():
                            self._automation.take(tasks, item)
                        case QueueRequest():
                            tasks.create_task(lane.arrange(item), name="arrange the queue")

    async def close(self, reason: str, grace: float = _GRACE) -> None:
        """End all runs under way: their finalisers get `grace` s, then completions are given up."""
        async with asyncio.TaskGroup() as tasks:
            for name, lane in self._lanes.items():
                tasks.create_task(lane.close(reason, grace), name=f"close {name}".strip())


class RunIds:
    """Names runs."""

    def __init__(self, wall: Callable[[], datetime]) -> None:
        self._wall = wall
        self._letters = _letters(wall())
        self._last_stamp: datetime | None = None

    def next(self) -> str:
        """Sorts by the order of runs wherever they are run: `20260131T142501.037Z-k3`.

        UTC; two within a millisecond, and those behind a clock that was set back, follow the last
        one. The letters tell apart what two services begin at the same time.
        """
        now = self._wall().astimezone(UTC)
        stamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
        if self._last_stamp is not None and stamp <= self._last_stamp:
            stamp = self._last_stamp + timedelta(milliseconds=1)
        self._last_stamp = stamp
        return f"{stamp:%Y%m%dT%H%M%S}.{stamp.microsecond // 1000:03}Z-{self._letters}"


def _letters(began: datetime) -> str:
    """Two letters or digits that hardly any two services have, by the µs of their beginning."""
    high, low = divmod(round(began.timestamp() * 1e6) % len(_DIGITS) ** 2, len(_DIGITS))
    return _DIGITS[high] + _DIGITS[low]
