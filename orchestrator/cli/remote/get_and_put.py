"""`get`, `put`, `monitor` and `info`: caget, caput, camonitor and cainfo, by alias or PV name."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import typer

from orchestrator import client
from orchestrator.cli.remote.service_client import with_own_address
from orchestrator.cli.remote.which import which
from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.interrupts import interrupts
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.client import Answer
from orchestrator.config import ChainConfig, Config, names_of
from orchestrator.display.channels import (
    answer_facts,
    info_lines,
    update_facts,
    update_line,
    value_line,
)
from orchestrator.display.value_text import format_value
from orchestrator.errors import InputError, NotConnectedError, PutError
from orchestrator.language.names import SCHEME, nearest
from orchestrator.types import LinkChange, Metadata, Reading

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)


def get(
    pvs: Sequence[str],
    timeout: float | None,
    file: Path | None,
    verbose: int,
    *,
    numbers: bool,
    as_json: bool,
) -> int:
    """Print values; the exit code tells whether all came.

    Raises:
        InputError: There is no such alias.
    """
    config = _ready(pvs, file, verbose)
    answers = asyncio.run(
        client.get_values(
            pvs, channels=config.channels, timeout=_timeout(timeout, config), text=not numbers
        )
    )
    return _print([_hinted(answer, config) for answer in answers], as_json=as_json)


def put(
    pairs: Sequence[str],
    timeout: float | None,
    file: Path | None,
    verbose: int,
    *,
    wait: bool,
    numbers: bool,
    as_json: bool,
) -> int:
    """Write values, and print what was read back; the exit code tells whether all were written.

    Raises:
        InputError: The arguments are no pairs of PV and value, or there is no such alias.
    """
    values = _pairs(pairs)
    config = _ready(values, file, verbose)
    answers = asyncio.run(
        client.put_values(
            values,
            channels=config.channels,
            completion=wait,
            timeout=_timeout(timeout, config),
            text=not numbers,
        )
    )
    return _print([_hinted(_with_value(answer), config) for answer in answers], as_json=as_json)


def _with_value(answer: Answer) -> Answer:
    """Beside why it was not written, what the PV holds."""
    if not isinstance(answer.error, PutError) or answer.reading is None:
        return answer
    holds = format_value(answer.reading.value, answer.metadata)
    return replace(answer, error=PutError(f"{answer.error}; it holds {holds}"))


def info(
    pvs: Sequence[str], timeout: float | None, file: Path | None, verbose: int, *, as_json: bool
) -> int:
    """Print what the servers say of PVs; the exit code tells whether all are there.

    Raises:
        InputError: There is no such alias.
    """
    config = _ready(pvs, file, verbose)
    answers = asyncio.run(
        client.info(pvs, channels=config.channels, timeout=_timeout(timeout, config))
    )
    answers = [_hinted(answer, config) for answer in answers]
    if as_json:
        return _print(answers, as_json=True)
    for answer in answers:
        if answer.error is None:
            typer.echo("\n".join(info_lines(answer.name, answer.pv, answer.metadata)))
    return _complain(answers)


def monitor(
    pvs: Sequence[str],
    count: int | None,
    file: Path | None,
    verbose: int,
    *,
    numbers: bool,
    as_json: bool,
) -> int:
    """Print updates until there were `count` of them, or a signal comes.

    Raises:
        InputError: There is no such alias.
    """
    config = _ready(pvs, file, verbose)
    show = _show_json if as_json else _show_line
    return asyncio.run(_follow(pvs, count, config, show, text=not numbers))


_Show: TypeAlias = Callable[[Reading | LinkChange, Metadata | None], None]


def _show_json(update: Reading | LinkChange, metadata: Metadata | None) -> None:
    typer.echo(json.dumps(update_facts(update, metadata)))


def _show_line(update: Reading | LinkChange, metadata: Metadata | None) -> None:
    typer.echo(update_line(update, metadata))


async def _follow(
    pvs: Sequence[str], count: int | None, config: Config, show: _Show, *, text: bool
) -> int:
    printing = asyncio.ensure_future(_print_updates(pvs, count, config, show, text=text))

    def end(_count: int, _signal: str) -> None:
        printing.cancel()

    with interrupts(end):
        try:
            await printing
        except asyncio.CancelledError:
            return Code.ENDED
    return Code.SUCCESS


async def _print_updates(
    pvs: Sequence[str], count: int | None, config: Config, show: _Show, *, text: bool
) -> None:
    metadata: dict[str, Metadata | None] = {}
    timeout = config.ca.connect_timeout
    left = math.inf if count is None else count
    opened = client.monitor(pvs, channels=config.channels, timeout=timeout, text=text)
    async with opened as updates:
        async for update in updates:
            match update:
                case LinkChange(connected=True):
                    metadata[update.channel] = update.metadata
                case LinkChange():
                    show(update, None)
                case Reading():
                    show(update, metadata.get(update.channel))
                    left -= 1
            if left <= 0:
                return


def _ready(pvs: Collection[str], file: Path | None, verbose: int) -> Config:
    """The configuration that holds, with every name looked at before anything is waited for."""
    set_up_logs(level_of(verbose))
    config = settings(file)
    names = names_of(config)
    for pv in pvs:
        # Other than in a sequence, a PV without a colon needs no scheme.
        is_alias = pv.partition(".")[0] in names.iocs
        names.resolve(pv if is_alias else SCHEME + pv.removeprefix(SCHEME))
    client.configure_environment(_with_service(config, pvs))
    return config


def _with_service(config: Config, pvs: Collection[str]) -> Config:
    """The same; what has our own prefix is looked for where `status` looks for it."""
    try:
        target = which(config, "")
    except InputError:  # several: which one has a PV is for Channel Access to say
        return config
    if not any(pv.removeprefix(SCHEME).startswith(target.prefix) for pv in pvs):
        return config
    if not target.address:
        return with_own_address(config)
    return replace(
        config, chain={**config.chain, "": ChainConfig("", target.prefix, target.address)}
    )


def _timeout(given: float | None, config: Config) -> float:
    return config.ca.connect_timeout if given is None else given


def _pairs(words: Sequence[str]) -> Mapping[str, str]:
    for word in words:
        if word.startswith("-") and not _NUMBER.match(word):
            raise InputError(f"put has no option {word!r}; see put --help")
    if len(words) % 2:
        raise InputError(f"put takes pairs of PV and value; {words[-1]!r} is left over")
    values = dict(zip(words[::2], words[1::2], strict=True))
    if len(values) * 2 != len(words):
        raise InputError("put takes each PV once")
    return values


def _print(answers: Sequence[Answer], *, as_json: bool) -> int:
    if as_json:
        facts = [_facts(answer) for answer in answers]
        typer.echo(json.dumps(facts, indent=1))
        return Code.FAILED if any(a.error for a in answers) else Code.SUCCESS
    for answer in answers:
        if answer.error is None and answer.reading is not None:
            typer.echo(value_line(answer.reading, answer.metadata))
        if answer.warning:
            typer.secho(f"{answer.name}: {answer.warning}", fg="yellow", err=True)
    return _complain(answers)


def _facts(answer: Answer) -> dict[str, object]:
    facts = answer_facts(answer.name, answer.pv, answer.metadata, answer.reading, answer.error)
    return facts | ({"warning": answer.warning} if answer.warning else {})


def _complain(answers: Sequence[Answer]) -> int:
    errors = [answer.error for answer in answers if answer.error is not None]
    for error in errors:
        complain(str(error))
    return Code.FAILED if errors else Code.SUCCESS


def _hinted(answer: Answer, config: Config) -> Answer:
    """With the alias that was perhaps meant, where there is no such PV."""
    aliases = {name: channel.pv for name, channel in config.channels.items()}
    if not isinstance(answer.error, NotConnectedError) or answer.name in aliases:
        return answer
    called = [alias for alias in aliases if alias.rpartition(".")[2] == answer.name]
    near = called[0] if called else nearest(answer.name, [*aliases, *aliases.values()])
    if near is None or near == answer.pv:
        return answer
    return replace(answer, error=NotConnectedError(f"{answer.error}; did you mean {near!r}?"))
