"""`recover`, `finalise`: a run of before goes on, in a service for the time of that."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import typer

from orchestrator.cli.local.embedded import carry_out
from orchestrator.cli.settings import owner, settings
from orchestrator.cli.terminal.codes import Code, code_of_recovery
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config
from orchestrator.data import RunRecords
from orchestrator.data.past import PastRuns
from orchestrator.engine import GoingOn, library_of, look_up, point_text
from orchestrator.service import Service
from orchestrator.types import Recovery, RunEnded, RunRefused, RunRequest


def recover(recovery: Recovery, file: Path | None, verbose: int, *, as_json: bool) -> int:
    """Go on with a run, or run its finalisers.

    Raises:
        InputError: There is none like that, or it can't go on, or not from there.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    going_on = _found(config, recovery)
    program, name = going_on.loaded.program, going_on.before.header.name

    def begin(service: Service) -> Awaitable[RunEnded | RunRefused]:
        return service.recover(going_on.wanted, owner())

    return carry_out(config, program, name, begin, verbose, code_of_recovery, as_json=as_json)


def _found(config: Config, recovery: Recovery) -> GoingOn:
    """What is wrong with it is told without starting anything."""
    records = RunRecords(config.store, complain, foreground=True)
    recovery = replace(recovery, run_id=PastRuns(config.store).find(recovery.run_id).folder.name)
    request = RunRequest(0, recovery.run_id, recovery=recovery)
    return look_up(records, library_of(config), request, recovery, config.digest)


def show_points(run: str, file: Path | None, verbose: int, *, as_json: bool) -> int:
    """Print where a run was, and where it would go on.

    Raises:
        InputError: There is no such run, or it can't go on.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    going_on = _found(config, Recovery(run))
    run_id, position = going_on.wanted.run_id, going_on.position
    visited = RunRecords(config.store, complain, foreground=True).visited(run_id)
    start = "" if position is None else point_text(position.place)
    rows = going_on.points(visited)
    if as_json:
        typer.echo(json.dumps({"run_id": run_id, "start": start, "points": rows}))
        return Code.SUCCESS
    typer.echo(f"{run_id} {going_on.before.header.name}: {going_on.before.status}")
    typer.echo(f"goes on from {start or 'its beginning'}")
    for row in rows:
        note = f"  ({row['note']})" if row["note"] else ""
        typer.echo(f"  --from {row['point']}  {row['name']}, {row['times']} times{note}")
    return Code.SUCCESS
