"""`sim`: simulated IOCs until Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

import typer

from orchestrator.cli.codes import Code
from orchestrator.cli.interrupts import raise_interrupts
from orchestrator.cli.logs import level_of, set_up_logs
from orchestrator.errors import InputError
from sim_iocs.fleet import Fleet, FleetError, Member, available

_LOOK = 0.2
"""s between two looks at whether all still run."""


def sim(
    names: Sequence[str],
    prefix: str,
    seed: int | None,
    verbose: int,
    *,
    list_them: bool,
    list_pvs: bool,
) -> int:
    """Start simulated IOCs, print what clients need to know, and wait for a signal.

    Raises:
        InputError: There is no such IOC, or a prefix is given for several.
        FleetError: One did not start, or ended by itself.
    """
    set_up_logs(level_of(verbose))
    if list_them:
        kinds = available()
        width = max(map(len, kinds))
        typer.echo("\n".join(f"{name:<{width}}  {text}" for name, text in kinds.items()))
        return Code.SUCCESS
    fleet = Fleet(_members(names or list(available()), prefix), seed=seed)
    _run(fleet, list_pvs=list_pvs)
    return Code.SUCCESS


def _members(names: Sequence[str], prefix: str) -> list[Member]:
    members = [Member.parse(name) for name in names]
    if not prefix:
        return members
    if len(members) != 1:
        raise InputError(f"--prefix {prefix} is for one IOC; write NAME:PREFIX for each of several")
    return [replace(members[0], prefix=prefix)]


def _run(fleet: Fleet, *, list_pvs: bool) -> None:
    raise_interrupts()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # one way out for all: the fleet is stopped by it
    try:
        with fleet:
            typer.echo(_description(fleet, list_pvs=list_pvs))
            while all(ioc.running for ioc in fleet):
                time.sleep(_LOOK)
            ended = next(ioc for ioc in fleet if not ioc.running)
            raise FleetError(f"simulated IOC {ended.name} ended by itself:\n{ended.errors}")
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _description(fleet: Fleet, *, list_pvs: bool) -> str:
    lines = [f"export {name}='{value}'" for name, value in fleet.env.items()]
    lines += [f"# {ioc.name}: PVs {ioc.prefix}… at {ioc.address}" for ioc in fleet]
    if fleet.service_port is not None:
        lines.append(f"# their master has to serve at port {fleet.service_port} ([server] port)")
    if list_pvs:
        lines += fleet.pvs
    return "\n".join(lines)
