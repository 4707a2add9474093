"""Starts simulated IOCs side by side: a process and a port each, nothing left behind.

    with Fleet(["motor", "detector"]) as fleet:
        subprocess.run(my_client, env=os.environ | fleet.env)
        fleet["motor"].kill()

Neither caproto nor libca is loaded here, so that the caller may be a client of either kind.
"""

from __future__ import annotations

import difflib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from orchestrator.errors import InputError
from sim_iocs.fault_line import FleetError
from sim_iocs.free_ports import LOOPBACK, PortHold
from sim_iocs.running import STARTUP_TIMEOUT, SimIoc

__all__ = ["FLEET", "Fleet", "FleetError", "Kind", "Member", "SimIoc", "available"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of simulated IOC: the module `sim_iocs.KIND`."""

    summary: str
    """What it is, in a line."""
    prefix: str
    """Its prefix unless another is given."""


FLEET: Mapping[str, Kind] = {
    "motor": Kind(
        "two motors with motor-record fields: VAL, RBV, DMOV, STOP, limits", "SIM:STAGE:"
    ),
    "detector": Kind("a counting detector whose signal depends on motors and shutter", "SIM:DET:"),
    "temperature": Kind("a temperature loop: setpoint, ramp, lag, noise, alarms", "SIM:TEMP:"),
    "digital_io": Kind("eight digital inputs and outputs, loopback, a pulse", "SIM:DIO:"),
    "shutter": Kind("a shutter with travel time and interlock", "SIM:SHUTTER:"),
    "random_walk": Kind("a random walk of adjustable step and period", "SIM:WALK:"),
    "sequence_server": Kind(
        "a stage that goes through a trajectory by a master's index", "SIM:SEQ:"
    ),
    "ring": Kind("a storage ring: decay, top-up, beam dumps on command or by chance", "SIM:RING:"),
    "mini_beamline": Kind("ring, shutter, slit, sample stage and detectors in one", "SIM:BL:"),
    "faulty": Kind("misbehaves on command: sticks, drifts, hangs, floods, lies", "SIM:FAULTY:"),
    "io_interrupt": Kind("keys of a terminal or lines of a pipe, as they come", "SIM:KEYS:"),
    "records": Kind("C records: ao, ai, bo, mbbo, calc, waveforms, a slow put", "SIM:REC:"),
    "plain": Kind("plain PVs, one of each type, that keep what is written to them", "SIM:PLAIN:"),
    "file_writer": Kind("writes text into files of a directory of its own", "SIM:FILE:"),
    "macros": Kind("an axis whose PV names have macros in them", "SIM:MACRO:"),
    "subgroups": Kind("a crate of modules of channels: groups in groups of PVs", "SIM:CRATE:"),
    "mocked_records": Kind("record fields in Python: alarm limits, raw counts", "SIM:MOCK:"),
    "rpc_function": Kind("a function: parameters, Process, Status, Retval", "SIM:RPC:"),
    "inline": Kind("getters and putters that stand where the PV is made", "SIM:INLINE:"),
    "worker_thread": Kind("a blocking driver in a thread behind two queues", "SIM:WORKER:"),
    "digitizer": Kind("samples in a circular buffer, processed in a thread", "SIM:DIG:"),
}
"""The simulated IOCs by name."""

_NEIGHBOURS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "detector": (
        ("--motor-pv", "motor", "X.RBV"),
        ("--motor-y-pv", "motor", "Y.RBV"),
        ("--shutter-pv", "shutter", "State_RBV"),
    ),
}
"""Whom a kind watches by monitors of its own: (its option, their kind, their PV)."""


def available() -> dict[str, str]:
    """What can be started: name -> a line that describes it."""
    return {name: kind.summary for name, kind in FLEET.items()}


@dataclass(frozen=True, slots=True)
class Member:
    """One IOC of a fleet: a simulated one, or one of yours that takes `run_ioc`'s options."""

    kind: str = ""
    """A key of `FLEET`; empty for one of yours."""
    name: str = ""
    """Its name in the fleet; the kind, or the file's name, unless given."""
    prefix: str = ""
    """Of its PVs; the kind's own unless given, `SIM:NAME:` for a name or a script of its own."""
    options: Sequence[str] = ()
    """More of its command line (`--center 0.3`)."""
    script: Path | None = None
    """Your own IOC: a file."""
    module: str = ""
    """Your own IOC: an installed module, as for `python -m`."""

    @classmethod
    def parse(cls, text: str) -> Member:
        """A member as text.

        `[NAME=]KIND[:PREFIX]`: `motor`, `top=motor`, `motor:XF:31ID:`; or in place of KIND a
        script or a module of yours: `camera=iocs/camera.py`, `mybeamline.iocs.camera:XF:CAM:`.

        >>> from sim_iocs.testing import Member
        >>> Member.parse("top=motor:XF:31ID:")
        Member(kind='motor', name='top', prefix='XF:31ID:', options=(), script=None, module='')

        Raises:
            InputError: there is no such kind.
        """
        name, _, rest = text.rpartition("=")
        what, _, prefix = rest.partition(":")
        if what.endswith(".py"):
            return cls("", name, prefix, script=Path(what))
        if "." in what:
            return cls("", name, prefix, module=what)
        if what not in FLEET:
            near = difflib.get_close_matches(what, FLEET, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FLEET)}"
            raise InputError(f"no simulated IOC named {what!r}: {hint}")
        return cls(what, name, prefix)

    def completed(self) -> Member:
        """The same with name and prefix filled in.

        Raises:
            InputError: its script is not there.
        """
        if self.script is not None and not self.script.is_file():
            raise InputError(f"there is no IOC {self.script} (from {Path.cwd()})")
        own_name = self.script.stem if self.script else self.module.rpartition(".")[2]
        name = self.name or self.kind or own_name
        own = FLEET[self.kind].prefix if name == self.kind else f"SIM:{name.upper()}:"
        return replace(self, name=name, prefix=self.prefix or own)

    @property
    def command(self) -> list[str]:
        """What runs it, without the options that say where."""
        if self.script is not None:
            return [sys.executable, str(self.script.resolve()), *self.options]
        module = self.module or f"sim_iocs.{self.kind}"
        # -P: a file of the caller's folder must not take the place of a module
        return [sys.executable, "-P", "-m", module, *self.options]


def _member(given: object) -> Member:
    if isinstance(given, str):
        return Member.parse(given)
    if not isinstance(given, Member):
        raise InputError(
            f"no member of a fleet: {given!r}; write each by itself, as a text, "
            '"top=motor", or a Member'
        )
    return given


class Fleet:
    """Simulated IOCs, started together and stopped together.

    Members are `Member`s or texts as `Member.parse` takes them. A detector without `--motor-pv`
    and `--shutter-pv` is given those of the fleet's first motor and shutter.
    """

    def __init__(
        self,
        members: Iterable[str | Member],
        *,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Choose the ports; nothing is started.

        Args:
            members: what to start, each under a name of its own.
            seed: makes noise and drawn values repeatable.
            timeout: seconds in which all must be ready; 20, and one more for each, unless given.

        Raises:
            InputError: a kind or script that there is not, a name given twice, or no member.
        """
        if isinstance(members, str):
            raise InputError(f"members are a list, not the text {members!r}: write [{members!r}]")
        wanted = [_member(each).completed() for each in members]
        names = [member.name for member in wanted]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"two IOCs named {twice.pop()!r}: write NAME=KIND to tell them apart")
        self.timeout = STARTUP_TIMEOUT + len(wanted) if timeout is None else timeout
        seeding = () if seed is None else ("--seed", str(seed))
        self.env: dict[str, str] = {}
        """The environment in which any client reaches them."""
        environ = _server_environment()
        self._iocs: dict[str, SimIoc] = {}
        for member in wanted:
            command = _wired(member, wanted, seeding).command
            self._iocs[member.name] = SimIoc(
                member.name, member.prefix, command, environ, kind=member.kind
            )
        self.env["EPICS_CA_ADDR_LIST"] = " ".join(ioc.address for ioc in self)
        self.env["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
        environ |= self.env  # they find each other
        self._service_hold: PortHold | None = None
        if any(member.kind == "sequence_server" for member in wanted):
            self._service_hold = PortHold()
            environ["EPICS_CA_ADDR_LIST"] += f" {LOOPBACK}:{self._service_hold.port}"

    def __enter__(self) -> Self:
        """Start all and wait until all are ready."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all."""
        self.stop()

    def __getitem__(self, name: str) -> SimIoc:
        """An IOC by its name in the fleet."""
        try:
            return self._iocs[name]
        except KeyError:
            raise KeyError(f"no IOC {name!r} in the fleet: {', '.join(self._iocs)}") from None

    def __iter__(self) -> Iterator[SimIoc]:
        return iter(self._iocs.values())

    def __len__(self) -> int:
        return len(self._iocs)

    @property
    def service_port(self) -> int | None:
        """Where its sequence servers look for their master besides among each other.

        Held for a service that serves there; None where there are none.
        """
        return None if self._service_hold is None else self._service_hold.port

    @property
    def names(self) -> list[str]:
        """The members' names."""
        return list(self._iocs)

    @property
    def pvs(self) -> list[str]:
        """The names of all PVs."""
        return [pv for ioc in self for pv in ioc.pvs]

    def start(self) -> None:
        """Start all side by side and wait until all are ready.

        Raises:
            FleetError: one ended or was not ready in time; all are stopped.
        """
        deadline = time.monotonic() + self.timeout
        try:
            for ioc in self:
                ioc.start()
            for ioc in self:
                ioc.wait_ready(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all, side by side; one that has not ended after 3 seconds is killed."""
        for ioc in self:
            ioc.ask_to_stop()
        for ioc in self:
            ioc.close()
        if self._service_hold is not None:
            self._service_hold.close()


def _wired(member: Member, fleet: Sequence[Member], seeding: Sequence[str]) -> Member:
    """The member with the options that follow from who else is in the fleet."""
    if not member.kind:
        return member
    options = [*seeding]
    for option, kind, pv in _NEIGHBOURS.get(member.kind, ()):
        found = next((other for other in fleet if other.kind == kind), None)
        if found and option not in member.options:
            options += [option, f"{found.prefix}{pv}"]
    if member.kind == "sequence_server" and "--name" not in member.options:
        options += ["--name", member.name]
    return replace(member, options=(*options, *member.options))


def _server_environment() -> dict[str, str]:
    """Nothing of the caller's EPICS."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EPICS_", "CAPROTO_"))
    }
