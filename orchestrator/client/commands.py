"""What get, put, monitor and info do on a command line: one thing, with a client of their own.

Names are aliases of `channels`, or full PV names. `configure_environment` comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from orchestrator.client.client import Client
from orchestrator.client.link import Report
from orchestrator.client.noise import refusals
from orchestrator.client.parsing import parse_value
from orchestrator.config import ChannelConfig
from orchestrator.errors import OrchestratorError, PutError
from orchestrator.language.compare import check_limits, index_or_label
from orchestrator.queues import MergeQueue
from orchestrator.types import Alarm, LinkChange, Metadata, Reading, Severity, Value

Channels: TypeAlias = Mapping[str, ChannelConfig]

_NONE: Channels = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one channel."""

    name: str
    """As it was asked for."""
    pv: str
    """Full PV name."""
    metadata: Metadata | None = None
    """None where it did not connect."""
    reading: Reading | None = None
    """Its value; after the put, where one was made; None where there is none."""
    error: OrchestratorError | None = None
    """Why it has no value, or why it was not put."""
    warning: str = ""
    """What became of a put otherwise than one may think; empty = nothing."""


async def get_values(
    names: Sequence[str], *, channels: Channels = _NONE, timeout: float = 5.0, text: bool = False
) -> list[Answer]:
    """Read values, all at the same time, each by itself; in the order asked.

    Args:
        names: What to read.
        channels: By alias.
        timeout: s for connecting, and for reading.
        text: Whether CHAR arrays of full PV names are text.
    """
    async with _unmonitored(names, channels, text=text) as client:
        metadata = await client.describe(names, timeout)
        return await _answers(client, metadata, {}, timeout)


async def put_values(
    values: Mapping[str, str],
    *,
    channels: Channels = _NONE,
    completion: bool = False,
    timeout: float = 5.0,
    text: bool = True,
) -> list[Answer]:
    """Write text as each channel understands it (`parse_value`), then read back.

    All are connected and understood before any is written; the first that isn't prevents all.

    Args:
        values: Text by name, written at the same time.
        channels: By alias.
        completion: Wait for the put-callbacks.
        timeout: s for connecting, for the puts, and for reading back.
        text: Whether arrays of CHAR of full PV names are text, also where that is a list.
    """
    async with _unmonitored(values, channels, text=text) as client:
        metadata = await client.describe(list(values), timeout)
        parsed, errors = _parse_all(values, metadata)
        if errors:
            return await _answers(client, metadata, errors, timeout)
        puts = [
            _put(client, name, value, completion=completion, timeout=timeout)
            for name, value in parsed.items()
        ]
        with refusals() as refused:  # told before the answer to a read that comes later
            ended = await asyncio.gather(*puts)
            errors = {name: e for name, e in zip(parsed, ended, strict=True) if e is not None}
            answers = await _answers(client, metadata, errors, timeout)
        explained = [_explained(a, parsed[a.name], refused.get(a.pv, "")) for a in answers]
        return [replace(a, warning=index_or_label(values[a.name], a.metadata)) for a in explained]


async def info(
    names: Sequence[str], *, channels: Channels = _NONE, timeout: float = 5.0
) -> list[Answer]:
    """Ask for type, size, access rights, host, units and limits; without values."""
    async with _unmonitored(names, channels, text=False) as client:
        metadata = await client.describe(names, timeout)
        return [_answer(client, name, known, None, None) for name, known in metadata.items()]


@asynccontextmanager
async def monitor(
    names: Sequence[str], *, channels: Channels = _NONE, timeout: float = 5.0, text: bool = False
) -> AsyncIterator[AsyncIterator[Report]]:
    """Follow channels, while the context lasts; gives what is to be iterated over.

    What comes is what a `Client` offers: for each channel a `LinkChange` with metadata, then
    every `Reading`, none merged, and `LinkChange(connected=False)` when it is lost. One that is
    not connected after `timeout` s gets a `LinkChange(connected=False)` too.

    Args:
        names: What to follow.
        channels: By alias.
        timeout: s until a channel is told to be missing.
        text: Whether CHAR arrays of full PV names are text.
    """
    queue: MergeQueue[Report] = MergeQueue(lambda _report: None)
    chosen = {name: replace(_config(name, channels), monitor=True) for name in names}
    async with Client(chosen, queue, text_arrays=text) as client:
        client.start(_tell_missing(client, names, queue, timeout), "missing")
        yield _each(queue)


async def _tell_missing(
    client: Client, names: Sequence[str], queue: MergeQueue[Report], timeout: float
) -> None:
    for name in await client.connect(names, timeout):
        if client.metadata(name) is None:  # otherwise its loss has been told
            queue.offer(LinkChange(name, connected=False))


async def _each(queue: MergeQueue[Report]) -> AsyncIterator[Report]:
    while True:
        for report in await queue.batch():
            yield report


def _config(name: str, channels: Channels) -> ChannelConfig:
    return channels.get(name) or ChannelConfig(name, name.removeprefix("ca://"))


def _unmonitored(names: Iterable[str], channels: Channels, *, text: bool) -> Client:
    chosen = {name: replace(_config(name, channels), monitor=False) for name in names}
    return Client(chosen, MergeQueue(lambda _report: None), text_arrays=text)


def _parse_all(
    values: Mapping[str, str], metadata: Mapping[str, Metadata | OrchestratorError]
) -> tuple[dict[str, Value], dict[str, OrchestratorError]]:
    parsed: dict[str, Value] = {}
    errors: dict[str, OrchestratorError] = {}
    for name, text in values.items():
        known = metadata[name]
        try:
            if isinstance(known, Metadata):
                parsed[name] = parse_value(name, text, known)
            else:
                errors[name] = known
        except PutError as error:
            errors[name] = error
    if errors:
        held = f"not written, as {', '.join(errors)} can't be"
        errors |= {name: PutError(f"{name}: {held}") for name in parsed}
    return parsed, errors


async def _put(
    client: Client, name: str, value: Value, *, completion: bool, timeout: float
) -> OrchestratorError | None:
    try:
        await client.put(name, value, completion=completion, timeout=timeout)
    except OrchestratorError as error:
        return error
    return None


async def _answers(
    client: Client,
    metadata: Mapping[str, Metadata | OrchestratorError],
    errors: Mapping[str, OrchestratorError],
    timeout: float,
) -> list[Answer]:
    here = [name for name, known in metadata.items() if isinstance(known, Metadata)]
    readings = await client.get(here, timeout)
    return [
        _answer(client, name, known, readings.get(name), errors.get(name))
        for name, known in metadata.items()
    ]


def _explained(answer: Answer, value: Value, refused: str) -> Answer:
    """With the error that a put without callback does not raise, and the reason that is known."""
    error = answer.error
    if error is None and (refused or _shows_refusal(answer.reading)):
        reason = f": {refused}" if refused else ""
        error = PutError(f"{answer.name}: refused by the IOC{reason}")
    if isinstance(error, PutError) and answer.metadata is not None:
        try:
            check_limits(value, answer.metadata, answer.name)
        except PutError as beyond:
            error = PutError(f"{beyond}; refused by the IOC")
    return replace(answer, error=error)


def _shows_refusal(reading: Reading | None) -> bool:
    """Whether a PV's alarm tells that its last put was refused, as caproto's does."""
    if reading is None or reading.status != Alarm.WRITE:
        return False
    return reading.severity >= Severity.MAJOR


def _answer(
    client: Client,
    name: str,
    known: Metadata | OrchestratorError,
    got: Reading | Exception | None,
    error: OrchestratorError | None,
) -> Answer:
    faults = [fault for fault in (error, known, got) if isinstance(fault, OrchestratorError)]
    return Answer(
        name,
        client.pv(name),
        client.worded(name, known) if isinstance(known, Metadata) else None,
        got if isinstance(got, Reading) else None,
        faults[0] if faults else None,
    )
