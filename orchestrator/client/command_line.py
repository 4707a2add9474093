"""What get, put, monitor and info do on a command line: one thing, with a client of their own.

Names are aliases of `channels`, or full PV names. `configure_environment` comes first.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from orchestrator.client.channels.link import Report
from orchestrator.client.channels.put_lane import brief
from orchestrator.client.client import Client
from orchestrator.client.libca.libca_log import refusals
from orchestrator.client.parsing import parse_value
from orchestrator.config import ChannelConfig
from orchestrator.errors import InputError, OrchestratorError, PutError, StepTimeoutError
from orchestrator.language.names import record_of
from orchestrator.language.values.conditions import Relation, meets
from orchestrator.language.values.conversion import index_or_label
from orchestrator.language.values.limits import check_limits
from orchestrator.queues import MergeQueue
from orchestrator.types import (
    Access,
    Alarm,
    LinkChange,
    Metadata,
    NativeType,
    Reading,
    Severity,
    Value,
    alarm_name,
    fields,
)

Channels: TypeAlias = Mapping[str, ChannelConfig]

_NONE: Channels = MappingProxyType({})

_BESIDE = 0.3
"""s in which a PV answers that is served where another one has just done so."""
_REFUSES = 0.5
"""s in which a service refuses a start."""


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
    What becomes of it is told as far as Channel Access lets a client know: a command of a service
    (CMD, START …) is waited for until it is accepted, and its `message` says why it was not; a
    value that the IOC has clipped to its limits is an error, one that it holds otherwise a note.

    Args:
        values: Text by name, written at the same time.
        channels: By alias.
        completion: Wait for the put-callbacks.
        timeout: s for connecting, for the puts, and for reading back.
        text: Whether arrays of CHAR of full PV names are text, also where that is a list.
    """
    messages = _messages(values, channels)
    known = {**channels, **{pv: ChannelConfig(pv, pv, text=True) for pv in messages.values()}}
    async with _unmonitored([*values, *messages.values()], known, text=text) as client:
        metadata = await client.describe(list(values), timeout)
        parsed, errors = _parse_all(values, metadata)
        if errors:
            return await _answers(client, metadata, errors, timeout)
        messages = await _there(client, messages)
        puts = [
            _put(client, name, value, completion=completion, timeout=timeout)
            if name not in messages
            else _command(client, name, value, messages[name], wait=completion, timeout=timeout)
            for name, value in parsed.items()
        ]
        with refusals() as refused:  # told before the answer to a read that comes later
            ended = await asyncio.gather(*puts)
            errors = {name: e for name, e in zip(parsed, ended, strict=True) if e is not None}
            answers = await _answers(client, metadata, errors, timeout)
        return [
            _told(
                answer
                if answer.name in messages
                else _explained(answer, parsed[answer.name], refused.get(answer.pv, ""), config),
                values[answer.name],
                config,
            )
            for answer in answers
            for config in (_config_of_pv(answer, channels),)
        ]


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
    return channels.get(name) or ChannelConfig(name, name.removeprefix("ca://"), mirror=False)


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


# Commands of a service ---------------------------------------------------------------------


def _messages(names: Iterable[str], channels: Channels) -> dict[str, str]:
    """The `message` that a service has beside each of these, if they are commands of one."""
    found = {name: _service_of(_config(name, channels).pv) for name in names}
    return {
        name: f"{prefix}{fields.MESSAGE.name}"
        for name, prefix in found.items()
        if prefix is not None
    }


def _service_of(pv: str) -> str | None:
    """The prefix of the service, or sequence server, of which a PV may be a command.

    Their put-callback completes once they are accepted. Where a dot stands before one of the others
    it is a field of a record.
    """
    for field in fields.ALL:
        if field.access is Access.ASK and pv.endswith(field.name):
            prefix = pv.removesuffix(field.name)
            return prefix if field.metadata.text or not prefix.endswith(".") else None
    return None


async def _there(client: Client, messages: Mapping[str, str]) -> dict[str, str]:
    """Those that are there; the commands beside them are connected already."""
    known = await client.describe(list(dict.fromkeys(messages.values())), _BESIDE)
    texts = {
        pv
        for pv, metadata in known.items()
        if isinstance(metadata, Metadata) and metadata.native is NativeType.CHAR
    }
    return {name: pv for name, pv in messages.items() if pv in texts}


async def _command(
    client: Client, name: str, value: Value, message: str, *, wait: bool, timeout: float
) -> OrchestratorError | None:
    """Put to a command of a service, and say what its message says where that fails.

    A put without callback is told nothing. With one, what is refused fails at once; START
    completes only at the end of the run, which nobody has asked to wait for.
    """
    starts = client.pv(name).endswith(fields.START.name) and not wait
    limit = min(timeout, _REFUSES) if starts else timeout
    error = await _put(client, name, value, completion=True, timeout=limit)
    if starts and isinstance(error, StepTimeoutError):
        return None
    if not isinstance(error, PutError):
        return error
    reading = (await client.get([message], timeout)).get(message)
    text = str(reading.value) if isinstance(reading, Reading) else ""
    return PutError(f"{name}: {text}") if text else error


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


def _explained(answer: Answer, value: Value, refused: str, config: ChannelConfig) -> Answer:
    """With the error that a put without callback does not raise, and the reason that is known."""
    error = answer.error
    if error is None and (refused or _shows_refusal(answer.reading)):
        reason = f": {refused}" if refused else ""
        error = PutError(f"{answer.name}: refused by the IOC{reason}")
    beyond = _beyond_limits(answer, value, config)
    if beyond is not None and isinstance(error, PutError):
        return replace(answer, error=PutError(f"{beyond}; refused by the IOC"))
    if error is not None or not _holds_another(answer, value):
        return replace(answer, error=error)
    if beyond is not None:
        return replace(answer, error=PutError(f"{beyond}; the IOC has changed it"))
    return replace(answer, warning=f"{brief(value)} was put; it holds another value")


def _beyond_limits(answer: Answer, value: Value, config: ChannelConfig) -> PutError | None:
    if answer.metadata is None:
        return None
    try:
        check_limits(value, config.of_puts(answer.metadata), answer.name)
    except PutError as beyond:
        return beyond
    return None


def _holds_another(answer: Answer, value: Value) -> bool:
    """Whether what was read back is not what was put, as a sequence compares them."""
    if answer.metadata is None or answer.reading is None:
        return False
    held = answer.reading.value
    if _is_nan(value) and _is_nan(held):
        return False
    if answer.metadata.native is NativeType.ENUM and isinstance(value, int):
        return held != value  # an index, which in a sequence could be a label
    try:
        return not meets(Relation.EQUALS, held, value, answer.metadata, None)
    except InputError:  # they can't be compared
        return False


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _told(answer: Answer, given: str, config: ChannelConfig) -> Answer:
    """With what became of a put that the IOC took otherwise than one may think."""
    warnings = [answer.warning, index_or_label(given, answer.metadata)]
    reading, accept = answer.reading, config.accept_invalid
    if answer.error is None and reading is not None and reading.severity is Severity.INVALID:
        alarm = f"its record is in INVALID alarm ({alarm_name(reading.status)})"
        if accept is False:
            return replace(answer, error=PutError(f"{answer.name}: written, but {alarm}"))
        warnings += [alarm] if accept is None else []
    return replace(answer, warning="; ".join(text for text in warnings if text))


def _config_of_pv(answer: Answer, channels: Channels) -> ChannelConfig:
    """The configuration of what was put, by whatever name it was."""
    known = channels.get(answer.name)
    if known is None:
        record = record_of(answer.pv)
        known = next((c for c in channels.values() if record_of(c.pv) == record), None)
    return known or ChannelConfig(answer.name, answer.pv)


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
