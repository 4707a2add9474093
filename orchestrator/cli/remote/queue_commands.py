"""`submit` and `queue`: the runs that wait at a service."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from orchestrator.cli.remote.follow import words
from orchestrator.cli.remote.service_client import RemoteService, reach
from orchestrator.cli.remote.which import which
from orchestrator.cli.settings import choose, settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config
from orchestrator.device.commands import parse_command
from orchestrator.display.queue import queue_lines, queue_table
from orchestrator.errors import InputError, PutError
from orchestrator.language.text.arguments import parse_assignments, with_files
from orchestrator.types import Accepted, RunEvent

_TOLD_S = 5.0
"""Within which a service tells what it has accepted; it posts 20 times a second."""

_WAITS = re.compile(r" waits as run (\d+)$")


def submit(
    sequence: str,
    arguments: Sequence[str],
    meta: Sequence[str],
    prefix: str,
    file: Path | None,
    verbose: int,
    *,
    as_json: bool,
) -> int:
    """Put a run into the queue of a service.

    Raises:
        InputError: It is a file, or the service refused it.
        NotThereError: The service isn't there.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    chosen, args = choose(sequence), with_files(parse_assignments(arguments))
    if chosen.text:
        server = f"--server {prefix or config.prefix}"
        raise InputError(
            f"{sequence} is a file, and a service runs from its queue only what it has by name: "
            "put the file into its [sequences] directory and submit it as "
            f"{chosen.name}, or run it now: orchestrator run {shlex.quote(sequence)} {server}"
        )
    metadata = parse_assignments(meta, "metadata")
    text = shlex.join(["submit", chosen.name, *words(args, metadata)])
    return asyncio.run(_submit(config, prefix, chosen.name, text, as_json=as_json))


async def _submit(config: Config, prefix: str, name: str, text: str, *, as_json: bool) -> int:
    numbers: asyncio.Queue[int] = asyncio.Queue()

    def take(events: Sequence[RunEvent]) -> None:
        for event in events:
            if isinstance(event, Accepted) and (match := _WAITS.search(event.text)):
                numbers.put_nowait(int(match[1]))

    async with reach(config, which(config, prefix, runs=False), take) as service:
        await _command(service, text)
        async with asyncio.timeout(_TOLD_S):
            number = await numbers.get()
        if as_json:
            typer.echo(json.dumps({"name": name, "number": number}))
        else:
            typer.echo(f"{service.prefix} {name} submitted as run {number}")
    return Code.SUCCESS


def queue(
    action: Sequence[str], prefix: str, file: Path | None, verbose: int, *, as_json: bool
) -> int:
    """Show or change the runs that wait at a service.

    Raises:
        InputError: There is no such action, or the service refused it.
        NotThereError: The service isn't there.
    """
    set_up_logs(level_of(verbose))
    command = "" if list(action) == ["list"] else shlex.join(["queue", *action])
    if command:
        _look_at(command)
    return asyncio.run(_queue(settings(file), prefix, command, as_json=as_json))


def _look_at(command: str) -> None:
    """See that a service would understand it."""
    try:
        parse_command(command)
    except InputError:
        raise InputError(
            f"{command!r}: the actions are list, start, hold, clear, remove N, move N POSITION"
        ) from None


async def _queue(config: Config, prefix: str, command: str, *, as_json: bool) -> int:
    async with reach(config, which(config, prefix, runs=False)) as service:
        if command:
            await _command(service, command)
            await service.refresh()
        _show(service.prefix, service.queue, as_json=as_json)
    return Code.SUCCESS


async def _command(service: RemoteService, text: str) -> None:
    try:
        await service.command(text)
    except PutError as error:
        raise InputError(str(error)) from error


def _show(prefix: str, found: dict[str, Any], *, as_json: bool) -> None:
    waiting = found["waiting"]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if found["held"]:
        typer.secho(f"{prefix} held; queue start lets it go on", fg="yellow", err=True)
    if not waiting and not found["left_out"]:
        typer.secho(f"{prefix} nothing waits", err=True)
        return
    if sys.stdout.isatty():
        Console().print(queue_table(waiting))
    else:
        typer.echo("\n".join(queue_lines(waiting)))
    if found["left_out"]:
        told = f"and {found['left_out']} more, for which the PV QUEUE has no room"
        typer.secho(told, fg="yellow", err=True)
