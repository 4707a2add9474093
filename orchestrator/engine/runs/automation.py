"""Runs that start by themselves: at their times, and when a condition becomes true."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

import structlog

from orchestrator.config import Config, ScheduleConfig, TriggerConfig, key_place
from orchestrator.engine.control.suspenders import channels_of
from orchestrator.engine.readings.environment import RunEnvironment
from orchestrator.engine.readings.history import History
from orchestrator.engine.readings.trust import Trust
from orchestrator.engine.readings.watching import until
from orchestrator.engine.sequences.library import Library
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.language.program.nodes import Suspender
from orchestrator.ports import Channels, RunEvents, View
from orchestrator.types import (
    Automated,
    AutomationRequest,
    QueueChanged,
    RunEnded,
    RunEvent,
    RunRequest,
    RunStarted,
    Severity,
    Told,
)
from orchestrator.verbs.awaited import accepted

log = structlog.get_logger(__name__)

_LOOK = 30.0
"""s between two looks at the wall clock, which may be set."""
_LATE = 60.0
"""s after which a time is missed: nothing that works is later."""

Submit = Callable[[RunRequest], Awaitable[None]]
"""Puts a run into the queue; raises InputError where it can't be run."""


class SystemZone(tzinfo):
    """Local time as the system has it, with its changes to summer time and back."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        """See `tzinfo`."""
        return None if when is None else when.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, when: datetime | None) -> None:
        """See `tzinfo`: not known by itself."""
        del when

    def tzname(self, when: datetime | None) -> str:
        """See `tzinfo`."""
        del when
        return "local"

    def fromutc(self, when: datetime) -> datetime:
        """See `tzinfo`."""
        local = when.replace(tzinfo=UTC).astimezone()
        naive = local.replace(tzinfo=None)
        again = naive.astimezone().utcoffset() != local.utcoffset()  # the hour that comes twice
        return naive.replace(tzinfo=self, fold=int(again))


def next_time(schedule: ScheduleConfig, after: float, zone: tzinfo) -> float:
    """When a schedule is due next, Unix s, later than `after`.

    As Debian's cron: a time that is skipped as summer time begins comes right after the skipped
    hour, one that comes twice as it ends is taken once; with `*` or `*/n` as hour or minute what
    counts are the hours and minutes that there are. Periods in s know no summer time.
    """
    if schedule.at is None:
        return after + (schedule.every or math.inf)
    from cronsim import CronSim

    due: datetime = next(CronSim(schedule.at, datetime.fromtimestamp(after, zone)))
    return due.timestamp()


def _last_before(schedule: ScheduleConfig, due: float, now: float) -> float:
    """From when on to look for the next time, where some have been missed."""
    if schedule.every is None:
        return now
    return due + max((now - due) // schedule.every, 1) * schedule.every


def compile_triggers(config: Config, names: Names) -> tuple[Suspender, ...]:
    """The conditions of a configuration's triggers, in their order.

    Raises:
        CheckError: Everything that is wrong: `orchestrator.toml:7: trigger.refill.when: …`.
    """
    given = {name: trigger.condition for name, trigger in config.triggers.items()}
    return compile_suspenders(given, names, partial(key_place, config), "trigger")


def unfit(config: Config, library: Library) -> Iterator[tuple[str, str]]:
    """Where schedules and triggers can't run what they name, and why. Reads files."""
    every: list[ScheduleConfig | TriggerConfig] = [
        *config.schedules.values(),
        *config.triggers.values(),
    ]
    for one in every:
        kind = "schedule" if isinstance(one, ScheduleConfig) else "trigger"
        try:
            library.load(RunRequest(0, one.sequence, args=dict(one.args)))
        except InputError as error:
            where = key_place(config, (kind, one.name, "sequence"))
            yield where, f"{kind}.{one.name}: {error}"


@dataclass(slots=True)
class _Standing:
    """How one of them stands."""

    kind: str
    name: str
    sequence: str
    args: Mapping[str, object]
    lane: str = ""
    next: float = math.nan
    last: float = math.nan
    outcome: str = ""

    @property
    def owner(self) -> str:
        """Who its runs belong to; no client claims that, without an @."""
        return f"{self.kind} {self.name}"


class Automation:
    """All schedules and triggers of a service.

    Each has at most one run that waits or is under way: where it is due again meanwhile, that is
    told and nothing is queued.
    """

    def __init__(
        self,
        config: Config,
        triggers: tuple[Suspender, ...],
        view: View,
        channels: Channels,
        events: RunEvents,
        wall: Callable[[], datetime],
        submit: Submit,
        zone: tzinfo | None = None,
    ) -> None:
        """Nothing happens before it is asked to begin.

        Args:
            config: Which there are.
            triggers: The conditions of its triggers, in their order.
            view: The world.
            channels: To connect what triggers look at.
            events: Where to tell how they stand.
            wall: The local time.
            submit: Where runs go.
            zone: What local time is; the system's unless given.
        """
        self._config = config
        self._triggers = dict(zip(config.triggers, triggers, strict=True))
        self._view = view
        self._channels = channels
        self._events = events
        self._wall = wall
        self._submit = submit
        self._zone = zone or SystemZone()
        self._on = asyncio.Event()
        if config.automation:
            self._on.set()
        self._begun = False
        self._all = [
            *(_Standing("schedule", *_what(one)) for one in config.schedules.values()),
            *(_Standing("trigger", *_what(one)) for one in config.triggers.values()),
        ]
        self._owners = {one.owner: one for one in self._all}
        self._waiting: dict[str, frozenset[str]] = {}
        self._running: dict[str, str] = {}

    @property
    def needed(self) -> frozenset[str]:
        """The channels that triggers look at."""
        return frozenset().union(*map(channels_of, self._triggers.values()))

    def take(self, tasks: asyncio.TaskGroup, request: AutomationRequest) -> None:
        """Do what is asked."""
        match request.action:
            case "on":
                self._on.set()
            case "off":
                self._on.clear()
            case "begin" if not self._begun:
                self._begun = True
                self._begin(tasks, request.last)

    def _begin(self, tasks: asyncio.TaskGroup, last: Mapping[str, float]) -> None:
        for one in self._all:
            if one.kind == "schedule":
                one.last = last.get(one.name, math.nan)
                work = self._keep_to(one, self._config.schedules[one.name])
            else:
                work = self._watch(one, self._config.triggers[one.name], self._triggers[one.name])
            tasks.create_task(self._guarded(one, work), name=one.owner)

    async def _guarded(self, one: _Standing, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # the top of a task: the others, and all runs, go on
            log.exception("it starts nothing any more", what=one.owner)
            self._tell(one, f"internal error: {type(error).__name__}: {error}")

    # Schedules ----------------------------------------------------------------------------------

    async def _keep_to(self, one: _Standing, schedule: ScheduleConfig) -> None:
        now = self._now()
        since = now if math.isnan(one.last) else min(one.last, now)  # the clock was set back
        while True:
            due = one.next = next_time(schedule, since, self._zone)
            self._publish(one)
            if not await self._until(due):
                since = self._now()
                continue
            await self._on.wait()
            now = self._now()
            since = due if now - due < _LATE else _last_before(schedule, due, now)
            if since == due:
                await self._start(one, due)
            elif schedule.run_missed:
                await self._start(one, now)
            else:
                self._tell(one, f"missed at {self._clock(due)}: nothing was run")

    async def _until(self, due: float) -> bool:
        """Return when it is due; False: the clock has been set back meanwhile."""
        now = self._now()
        while now < due:
            await asyncio.sleep(min(due - now, _LOOK))
            now, before = self._now(), now
            if now < before - _LATE:
                return False
        return True

    # Triggers -----------------------------------------------------------------------------------

    async def _watch(self, one: _Standing, trigger: TriggerConfig, when: Suspender) -> None:
        self._publish(one)
        await self._channels.connect(sorted(channels_of(when)), 0.0)
        history = History(self._view, asyncio.get_running_loop().time, self._wall)
        environment = _Condition(self._view, history)
        await self._become(when, lambda: environment.truth(when.when) is not None)
        armed = trigger.at_start or environment.truth(when.when) is False
        while True:
            if not armed:
                await self._become(when, lambda: environment.is_clear(when))
            armed = True
            await self._become(when, lambda: environment.truth(when.when) is True)
            if not await self._held(when, environment):
                continue
            armed = False
            if self._on.is_set():
                await self._start(one, self._now())

    async def _become(self, when: Suspender, holds: Callable[[], bool]) -> None:
        operands = [o for o in (when.when, when.resume) if o is not None]
        timed = any(operand.timed for operand in operands)
        await until(self._view, channels_of(when), holds, timed=timed)

    async def _held(self, when: Suspender, environment: _Condition) -> bool:
        """Whether it stays true for as long as it has to."""
        seconds = environment.seconds(when.settle)
        if not seconds:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._become(when, lambda: environment.truth(when.when) is not True)
        except TimeoutError:
            return True
        return False

    # Runs ---------------------------------------------------------------------------------------

    async def _start(self, one: _Standing, at: float) -> None:
        one.last = at
        waiting = self._waiting.get(one.lane, ())
        if one.owner in waiting or one.owner in self._running.values():
            self._tell(one, "not run: its run before still waits or is under way")
            return
        args = dict(one.args)
        request = RunRequest(
            0, one.sequence, args=args, owner=one.owner, how=one.kind, lane=one.lane
        )
        one.outcome = "waits"
        try:
            await self._submit(request)
        except InputError as error:
            self._tell(one, f"refused: {error}")
        else:
            self._publish(one)

    def heard(self, event: RunEvent) -> None:
        """Note what becomes of the runs; called with every event."""
        match event:
            case QueueChanged(waiting=waiting):
                self._waiting[event.lane] = frozenset(run.owner for run in waiting)
            case RunStarted(run_id=run_id, owner=owner) if owner in self._owners:
                self._running[run_id] = owner
                self._become_of(owner, "runs")
            case RunEnded(run_id=run_id) if run_id in self._running:
                text = f"{event.status}: {event.message}" if event.message else f"{event.status}"
                self._become_of(self._running.pop(run_id), text)
            case _:
                pass

    def _become_of(self, owner: str, outcome: str) -> None:
        one = self._owners[owner]
        one.outcome = outcome
        self._publish(one)

    def _tell(self, one: _Standing, outcome: str) -> None:
        one.outcome = outcome
        log.warning(outcome, what=one.owner)
        self._events.offer(Told(f"{one.owner}: {outcome}", Severity.MINOR))
        self._publish(one)

    def _publish(self, one: _Standing) -> None:
        self._events.offer(
            Automated(one.kind, one.name, one.sequence, one.next, one.last, one.outcome)
        )

    def _now(self) -> float:
        return self._wall().timestamp()

    def _clock(self, seconds: float) -> str:
        return datetime.fromtimestamp(seconds, self._zone).strftime("%Y-%m-%d %H:%M:%S")


def _what(one: ScheduleConfig | TriggerConfig) -> tuple[str, str, Mapping[str, object], str]:
    return one.name, one.sequence, one.args, one.lane


class _Condition:
    """What a condition is now."""

    def __init__(self, view: View, history: History) -> None:
        accept = accepted(restart=False, invalid=False)
        self._environment = RunEnvironment(view, {}, {}, {}, Trust(), accept, history=history)

    def truth(self, operand: Operand) -> bool | None:
        """Its value, None where it can't be known."""
        try:
            value = operand.evaluate(self._environment)
        except OrchestratorError:
            return None
        return value if isinstance(value, bool) else None

    def is_clear(self, when: Suspender) -> bool:
        """Whether it may trigger again once it becomes true."""
        cleared = when.resume is None or self.truth(when.resume) is True
        return cleared and self.truth(when.when) is False

    def seconds(self, operand: Operand) -> float:
        """A constant."""
        value = operand.evaluate(self._environment)
        return float(value) if isinstance(value, int | float) else 0.0


class Listened:
    """Implements `ports.RunEvents`: the same, and what follows runs hears of them."""

    def __init__(self, events: RunEvents) -> None:
        self._events = events
        self.heard: Callable[[RunEvent], None] = lambda _event: None

    def offer(self, item: RunEvent) -> None:
        """See `ports.RunEvents`."""
        self._events.offer(item)
        self.heard(item)
