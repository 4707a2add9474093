"""`status`: what a running service does, once or live."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import typer
from rich.live import Live

from orchestrator.cli.remote.service_client import RemoteService, reach
from orchestrator.cli.remote.which import Which, which
from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code, NotThereError
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.interrupts import interrupts
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config
from orchestrator.data import Interrupted, interrupted_in
from orchestrator.display.status import status_lines, status_table
from orchestrator.types import fields

_SHOWN = (
    fields.STATE,
    fields.STATUS,
    fields.BUSY,
    fields.MESSAGE,
    fields.RUN_NAME,
    fields.RUN_ID,
    fields.OWNER,
    fields.STEP,
    fields.NSTEPS,
    fields.STEP_NAME,
    fields.LOOP_INDEX,
    fields.PROGRESS,
    fields.ELAPSED,
    fields.REMAINING,
    fields.HUNG_SEC,
    fields.DATA_NPTS,
    fields.CHAIN_COUNT,
    fields.CHAIN_CONNECTED,
    fields.CHAIN_DISCONNECTED,
    fields.QUEUE_LEN,
    fields.AUTOMATION,
    fields.SEQUENCES,
)
_PERIOD = 0.2
"""s between two looks of `--watch`."""


def status(
    prefix: str, run: str, file: Path | None, verbose: int, *, watch: bool, as_json: bool
) -> int:
    """Show the state of a service or foreground run; with `watch`, until it ends or a signal comes.

    Raises:
        InputError: There are several.
        OrchestratorError: It isn't there.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    target = which(config, prefix, run)
    if watch:
        return asyncio.run(_watch(config, target, as_json=as_json))
    interrupted = [] if prefix else interrupted_in(config.store)
    return asyncio.run(_once(config, target, interrupted, as_json=as_json))


async def _once(
    config: Config, target: Which, interrupted: Sequence[Interrupted], *, as_json: bool
) -> int:
    """Show what it tells; `interrupted`: what it may not know, or can't tell as it is gone."""
    try:
        async with reach(config, target) as service:
            facts = _facts(service, connected=True)
    except NotThereError:
        _tell(interrupted)
        raise
    shown = facts[fields.RUN_ID.name]
    others = [run for run in interrupted if run.run_id != shown]
    facts["interrupted"] = [
        {"run_id": run.run_id, "name": run.name, "text": run.text} for run in others
    ]
    typer.echo(_text(facts, as_json=as_json))
    if not as_json:
        _tell(others)
    return Code.SUCCESS


def _tell(interrupted: Sequence[Interrupted]) -> None:
    for run in interrupted:
        complain(run.title)


async def _watch(config: Config, target: Which, *, as_json: bool) -> int:
    stopped = asyncio.Event()
    live = sys.stdout.isatty() and not as_json
    screen: AbstractContextManager[Live | None] = (
        Live(auto_refresh=False) if live else nullcontext()
    )
    with interrupts(lambda _count, _signal: stopped.set()), screen as shown:
        show = _shower(shown, as_json=as_json)
        async with reach(config, target) as service:
            while not stopped.is_set():
                show(_facts(service, connected=service.connected))
                if target.run and not service.connected:
                    complain(f"{target.run} has ended")
                    return Code.SUCCESS
                try:
                    async with asyncio.timeout(_PERIOD):
                        await stopped.wait()
                except TimeoutError:
                    continue
    return Code.ENDED


def _shower(live: Live | None, *, as_json: bool) -> Callable[[Mapping[str, object]], None]:
    """Shows facts when they have changed."""
    last: list[str] = [""]

    def show(facts: Mapping[str, object]) -> None:
        if live is not None:
            live.update(status_table(facts), refresh=True)
        elif (text := _text(facts, as_json=as_json, brief=True)) != last[0]:
            last[0] = text
            typer.echo(text)

    return show


def _facts(service: RemoteService, *, connected: bool) -> dict[str, object]:
    values = service.values
    facts: dict[str, object] = {"prefix": service.prefix, "connected": connected}
    facts |= {field.name: values.get(field.name) for field in _SHOWN}
    sequences = fields.SEQUENCES.name
    facts[sequences] = json.loads(str(values.get(sequences) or "[]"))
    facts[fields.QUEUE.name] = service.queue
    facts[fields.LANES.name] = json.loads(str(values.get(fields.LANES.name) or "[]"))
    schedules = fields.SCHEDULES.name
    facts[schedules] = json.loads(str(values.get(schedules) or "[]"))
    return facts


def _text(facts: Mapping[str, object], *, as_json: bool, brief: bool = False) -> str:
    if as_json:
        return json.dumps(facts, indent=None if brief else 1)
    return status_lines(facts)[0] if brief else "\n".join(status_lines(facts))
