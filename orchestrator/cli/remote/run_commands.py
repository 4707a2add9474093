"""`pause`, `resume`, `stop`, `abort`, `skip`, `answer`: what operators ask of a run."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import typer

from orchestrator.cli.remote.service_client import RemoteService, reach
from orchestrator.cli.remote.which import Which, which
from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config
from orchestrator.types import fields

_HARMLESS = ("stop", "abort")
"""What is no failure where nothing runs: afterwards nothing runs."""


def send(verb: str, reason: str, prefix: str, run: str, file: Path | None, verbose: int) -> int:
    """Ask for something; the exit code tells whether there was a run to take it.

    Raises:
        InputError: There are several that could be meant.
        OrchestratorError: The service isn't there, or refused it.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    return asyncio.run(_send(verb, reason, which(config, prefix, run), config))


async def _send(verb: str, reason: str, target: Which, config: Config) -> int:
    async with reach(config, target) as service:
        if not service.value(fields.BUSY):
            complain(f"{service.prefix} nothing is running to {verb}")
            return Code.SUCCESS if verb in _HARMLESS else Code.FAILED
        before = service.value(fields.MESSAGE)
        await service.command(f"{verb} {shlex.quote(reason)}" if reason else verb)
        typer.echo(await _now(service, before))
        return Code.SUCCESS


async def _now(service: RemoteService, before: object) -> str:
    """What became of it; the message only if it is none that was told before."""
    await service.refresh()
    state, name = service.value(fields.STATE), service.value(fields.RUN_NAME)
    message = service.value(fields.MESSAGE)
    text = f"{service.prefix} {state}: {name}"
    return f"{text}: {message}" if message not in ("", before) else text
