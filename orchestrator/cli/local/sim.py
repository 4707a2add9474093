"""`sim`: simulated IOCs until Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import FrameType

import typer

from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.interrupts import raise_interrupts
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.faults import Lines
from sim_iocs.fleet import Fleet, FleetError, Member, available
from sim_iocs.levers import lever

_STDIN = 0
_LOOK = 0.2
"""s between two looks at whether all still run."""


def sim(
    names: Sequence[str],
    prefix: str,
    seed: int | None,
    verbose: int,
    *,
    faults: Sequence[str] = (),
    list_them: bool,
    list_pvs: bool,
) -> int:
    """Start simulated IOCs, print what clients need to know, and wait for a signal.

    Meanwhile fault levers (`sim_iocs.levers`) are taken from stdin, a line each.

    Raises:
        InputError: There is no such IOC or fault, or a prefix is given for several.
        FleetError: One did not start, or ended by itself.
    """
    set_up_logs(level_of(verbose))
    if list_them:
        kinds = available()
        width = max(map(len, kinds))
        typer.echo("\n".join(f"{name:<{width}}  {text}" for name, text in kinds.items()))
        return Code.SUCCESS
    fleet = Fleet(_members(names or list(available()), prefix), seed=seed)
    _run(fleet, [lever(fleet, text) for text in faults], list_pvs=list_pvs)
    return Code.SUCCESS


def _members(names: Sequence[str], prefix: str) -> list[Member]:
    members = [Member.parse(name) for name in names]
    if not prefix:
        return members
    if len(members) != 1:
        raise InputError(f"--prefix {prefix} is for one IOC; write NAME:PREFIX for each of several")
    return [replace(members[0], prefix=prefix)]


def _run(fleet: Fleet, faults: Sequence[Callable[[], None]], *, list_pvs: bool) -> None:
    raise_interrupts()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # one way out for all: the fleet is stopped by it
    try:
        with fleet:
            typer.echo(_description(fleet, list_pvs=list_pvs))
            for fault in faults:
                fault()
            typed = _Typed()
            while not any(ioc.fell for ioc in fleet):
                for line in typed.within(_LOOK):
                    _obey(fleet, line)
            ended = next(ioc for ioc in fleet if ioc.fell)
            raise FleetError(f"simulated IOC {ended.name} ended by itself:\n{ended.errors}")
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


class _Typed:
    """The lines that come on stdin; none where it is a terminal that others have."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._open = True

    def within(self, patience: float) -> Iterator[str]:
        """Those that come within this time, s."""
        try:
            if not (self._open and _is_ours()):
                time.sleep(patience)
            elif select.select([_STDIN], [], [], patience)[0]:
                received = os.read(_STDIN, 4096)
                self._open = bool(received)
                yield from self._lines.take(received or b"\n")
        except OSError:  # it was hung up
            self._open = False


def _is_ours() -> bool:
    """Whether reading would not stop us, as it does in the background of a terminal."""
    return not os.isatty(_STDIN) or os.tcgetpgrp(_STDIN) == os.getpgrp()


def _obey(fleet: Fleet, line: str) -> None:
    try:
        lever(fleet, line)()
    except OrchestratorError as error:
        complain(str(error))
    else:
        typer.echo(f"# {line}")  # what is printed may be read by a shell


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
