"""The check of a sequence against the live IOCs: connects and reads, writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.client import Client
from orchestrator.config import Config, key_place, names_of, prefix_doubts
from orchestrator.device import Device
from orchestrator.engine.python.python_check import Look, look_at
from orchestrator.engine.readings.environment import in_words
from orchestrator.engine.runs.consistency import inconsistent
from orchestrator.engine.runs.preflight import Preflight
from orchestrator.engine.sequences.library import Library
from orchestrator.errors import NotConnectedError
from orchestrator.language.foresight.checks import check_program, check_suspenders
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.foresight.duration import Estimate, estimate
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.language.program.nodes import Runnable, Suspender
from orchestrator.own_pvs import KeptValues, OwnChannels, RoutedChannels, own_file
from orchestrator.queues import MergeQueue, pull_queue
from orchestrator.types import EngineItem, PullItem, PushItem


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a check has found."""

    findings: Sequence[Finding] = ()
    """Errors and warnings, as they stand in the document."""
    not_connected: str = ""
    """The channels that are not connected; empty if all are."""
    duration: Estimate = field(default_factory=Estimate)
    """How long it would take from where the channels are now."""
    python: Look | None = None
    """What the source of the Python sequences in it has told; None where there are none."""

    @property
    def has_errors(self) -> bool:
        """Whether a run would be refused."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    def writes(self, program: Runnable) -> frozenset[str]:
        """The channels that the program may put to."""
        return program.writes | (self.python.writes if self.python is not None else frozenset())

    def reads(self, program: Runnable) -> frozenset[str]:
        """Those that it reads."""
        return program.reads | (self.python.reads if self.python is not None else frozenset())


def check_facts(sequence: str, program: Runnable, found: DryRun) -> dict[str, object]:
    """What a check has found, for programs: `orchestrator check --json`, and over HTTP."""
    findings = [{"level": f.level.value, "where": f.where, "text": f.text} for f in found.findings]
    facts: dict[str, object] = {
        "sequence": program.name or sequence,
        "ok": not (found.has_errors or found.not_connected),
        "findings": findings,
        "not_connected": found.not_connected,
        "parameters": dict(program.arguments),
        "writes": sorted(found.writes(program)),
        "reads": sorted(found.reads(program)),
    }
    if found.python is not None:
        facts["not_seen"] = list(found.python.unseen)
    if not program.is_known:
        return facts
    return facts | {
        "steps": count_steps(program.all_steps),
        "seconds": round(found.duration.seconds, 3),
        "takes": str(found.duration),
    }


class _NoEvents:
    """Where decisions go of which nobody hears here."""

    def offer(self, item: PushItem | EngineItem) -> None:
        """Forget it."""


async def dry_run(
    config: Config,
    program: Runnable,
    speeds: Mapping[str, float],
    library: Library,
) -> DryRun:
    """Connect every channel of a program, and tell what a run of it would find.

    Args:
        config: Whose channels and suspenders hold.
        program: As compiled. Of a Python sequence that is looked at which stands in its source.
        speeds: Of the channels that move, by canonical name, in their units per s.
        library: The configuration's.
    """
    look = await asyncio.to_thread(look_at, program, names_of(config), library)
    async with _Chain(config).opened() as chain:
        return await chain.look(program, look, speeds)


def offline(
    config: Config,
    program: Runnable,
    speeds: Mapping[str, float],
    library: Library,
) -> DryRun:
    """What can be told of a program without its channels; arguments as of `dry_run`."""
    look = look_at(program, names_of(config), library)
    found = [*look.findings]
    known = {own.name: own.metadata for own in config.own.values()}.get
    for verb in look.verbs:
        found += verb.told(check_program(verb.program, known))
    found = [*check_program(program, known), *found]
    python = look if look.sequences else None
    return DryRun(_once(found), duration=estimate(program, speeds, {}), python=python)


def _once(findings: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


class _Chain:
    """A client and a device without server, engine and store."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._timeout = config.ca.connect_timeout
        self._device = Device(config, logs=False)
        self._pull: MergeQueue[PullItem] = pull_queue()
        # Only what the program uses is connected.
        channels = {n: replace(c, monitor=False) for n, c in config.remote_channels.items()}
        self._client = Client(channels, self._pull)
        kept = KeptValues(own_file(config.store))
        self._own = OwnChannels(config.own, self._pull, self._device.table, kept)
        self._channels = RoutedChannels(self._own, self._client)
        self._preflight = Preflight(
            self._channels, self._device.table, config.channels, names_of(config), self._timeout
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[_Chain]:
        async with asyncio.TaskGroup() as tasks:
            work = self._device.run(self._pull, _NoEvents(), _NoEvents())
            device = tasks.create_task(work, name="device")
            try:
                async with self._client, self._own:
                    yield self
            finally:
                device.cancel()

    async def look(self, program: Runnable, look: Look, speeds: Mapping[str, float]) -> DryRun:
        where = partial(key_place, self._config)
        configured = compile_suspenders(self._config.suspend, names_of(self._config), where)
        suspenders = (*configured, *program.suspend)
        used = program.reads | program.writes | look.channels(conditional=False)
        perhaps = look.channels(conditional=True) - used
        async with asyncio.TaskGroup() as tasks:  # what is not there is waited for once
            guards = tasks.create_task(self._unguarded(suspenders), name="connect suspenders")
            others = tasks.create_task(self._missing(sorted(perhaps)), name="connect the others")
            missing = await self._missing(sorted(used))
        await self._pull.idle()
        findings = await self._findings(program)
        for verb in look.verbs:
            findings += verb.told(await self._findings(verb.program))
        for suspender in suspenders:
            findings += await self._two_servers(suspender)
        findings += [*look.findings, *self._misspelt(configured), *guards.result()]
        findings += self._doubted()
        if lost := others.result():
            text = f"{lost} (used where it may not come to)"
            findings.append(Finding(Level.WARNING, program.name, (), text))
        values = self._values(program)
        duration = estimate(program, speeds, values)
        python = look if look.sequences else None
        return DryRun(_once(findings), missing, duration, python)

    async def _findings(self, program: Runnable) -> list[Finding]:
        return [
            *await self._preflight.findings(program),
            *inconsistent(program, self._device.table),
        ]

    async def _missing(self, names: Sequence[str]) -> str:
        try:
            await self._preflight.connect(names)
        except NotConnectedError as error:
            return str(error)
        return ""

    async def _unguarded(self, suspenders: Sequence[Suspender]) -> list[Finding]:
        """Suspenders that would hold the run up as nobody knows what their channels are."""
        channels = {name for s in suspenders for name in _watched(s)}
        missing = set(await self._channels.connect(sorted(channels), self._timeout))
        return [
            Finding(
                Level.WARNING,
                s.where,
                (),
                f"suspend.{s.name}: {', '.join(sorted(lost))}: not connected; "
                "the run would be suspended until it is",
            )
            for s in suspenders
            if (lost := missing & _watched(s))
        ]

    async def _two_servers(self, suspender: Suspender) -> list[Finding]:
        texts = await self._preflight.doubled(sorted(_watched(suspender)))
        told = [f"suspend.{suspender.name}: {text}" for text in texts.values()]
        return [Finding(Level.ERROR, suspender.where, (), text) for text in told]

    def _doubted(self) -> list[Finding]:
        where = key_place(self._config, ("prefix",))
        doubts = prefix_doubts(self._config)
        return [Finding(Level.WARNING, where, (), f"prefix: {doubt}") for doubt in doubts]

    def _misspelt(self, suspenders: Iterable[Suspender]) -> list[Finding]:
        return check_suspenders(suspenders, lambda name: self._device.table.channel(name).metadata)

    def _values(self, program: Runnable) -> dict[str, object]:
        """What the channels hold now, of those that have told."""
        states = [self._device.table.channel(n) for n in program.reads | program.writes]
        return {
            s.name: in_words(s.reading, s.metadata)
            for s in states
            if s.connected and s.reading is not None
        }


def _watched(suspender: Suspender) -> frozenset[str]:
    resume = suspender.resume.channels if suspender.resume is not None else frozenset()
    return suspender.when.channels | resume
