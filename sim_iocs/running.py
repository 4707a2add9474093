"""One running IOC of a fleet, and what can be done to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from json import dumps
from typing import Any

from orchestrator.errors import InputError
from sim_iocs.fault_line import FaultLine, FleetError
from sim_iocs.free_ports import LOOPBACK, PortHold
from sim_iocs.process import Process

STARTUP_TIMEOUT = 20.0
"""Seconds for one to be ready."""

SEVERITIES = ("NO_ALARM", "MINOR", "MAJOR", "INVALID")


class SimIoc:
    """One IOC of a fleet: a process and a port of its own.

    `name`, `kind`, `prefix`, `port` and `address` say which it is, and where.
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        kind: str = "",
    ) -> None:
        """Take a port; nothing is started.

        Args:
            name: its name in the fleet.
            prefix: of its PVs.
            command: what runs it; `run_ioc`'s options are added.
            env: its environment.
            kind: which of the simulated IOCs it is.
        """
        self.name = name
        self.kind = kind
        self.prefix = prefix
        self._command = command
        self._env = env
        self._hold = PortHold()
        self.port = self._hold.port
        """Its own, held until the fleet is stopped, so that it comes back where it was."""
        self.address = f"{LOOPBACK}:{self.port}"
        self._process: Process | None = None
        self._line: FaultLine | None = None
        self._pvs: list[str] = []

    @property
    def pid(self) -> int | None:
        """The process; None while it is down."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self._process is not None and not self._process.ended

    @property
    def exit_code(self) -> int | None:
        """Of the last process; None while it runs, negative if a signal ended it."""
        return self._process.exit_code if self._process else None

    @property
    def fell(self) -> bool:
        """Whether it ended without being asked to, or of something else just then."""
        return self._process is not None and self._process.fell

    @property
    def pvs(self) -> list[str]:
        """The names of its PVs."""
        return self._pvs

    @property
    def errors(self) -> str:
        """What it has written to stderr since its start."""
        return self._process.errors.rstrip("\n") if self._process else ""

    # Losses -------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL: as if its host lost power, but for the closed connections."""
        if self._process is not None:
            self._process.kill()

    def terminate(self) -> None:
        """Stop it cleanly; it is killed if it has not ended in 3 seconds."""
        if self._process is not None:
            self._process.terminate()

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self._process is not None:
            self._process.ask_to_stop()

    def freeze(self) -> None:
        """SIGSTOP: it stays connected and answers nothing, until `thaw`."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen one go on."""
        if self._process is not None:
            self._process.thaw()

    def restart(self, timeout: float = STARTUP_TIMEOUT) -> None:
        """Stop it if it runs, start it anew on the same port, wait until it is ready.

        Its PVs have their first values again, and no fault is left. Clients find it after some
        seconds: libca searches more and more rarely.

        Raises:
            FleetError: it ended, or was not ready within `timeout` seconds.
        """
        self.terminate()
        self.start()
        self.wait_ready(time.monotonic() + timeout)

    # Faults -------------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Answer clients this many seconds later, from now on; 0 ends it.

        Raises:
            FleetError: it is down, or did not say within `FAULT_TIMEOUT` that it obeys.
        """
        self.fault({"fault": "delay", "seconds": seconds})

    def refuse_writes(self, on: bool = True) -> None:
        """Take write access from all clients, and fail their puts; False gives it back.

        Raises:
            FleetError: as for `delay`.
        """
        self.fault({"fault": "refuse_writes", "on": on})

    def alarm(self, pv: str, severity: str) -> None:
        """Have the updates of a PV carry this severity from now on; it is posted at once.

        Args:
            pv: its name, with or without the IOC's prefix.
            severity: NO_ALARM, which ends it, MINOR, MAJOR or INVALID.

        Raises:
            InputError: there is no such severity.
            FleetError: as for `delay`, or the IOC has no such PV.
        """
        if severity not in SEVERITIES:
            raise InputError(f"severity {severity!r}: expected one of {', '.join(SEVERITIES)}")
        known = pv.startswith(self.prefix) or f"{self.prefix}{pv}" not in self.pvs
        name = pv if known else f"{self.prefix}{pv}"
        self.fault({"fault": "alarm", "pv": name, "severity": severity})

    def clear_faults(self) -> None:
        """End what `delay`, `refuse_writes` and `alarm` began.

        Raises:
            FleetError: as for `delay`.
        """
        self.fault({"fault": "clear"})

    def tell(self, line: str) -> str:
        """Write a line to its stdin, as the fault levers do; its answer, `ok` or `error: …`.

        Raises:
            FleetError: it is down, or did not answer within `FAULT_TIMEOUT`.
        """
        if self._line is None:
            raise FleetError(f"IOC {self.name} is down: it can't be told {line}")
        return self._line.tell(line)

    def fault(self, fault: Mapping[str, Any]) -> None:
        """Have it do what a line of JSON says, see `orchestrator.faults`.

        Raises:
            FleetError: as for `delay`, or it is no fault.
        """
        line = dumps(fault)
        answer = self.tell(line)
        if answer != "ok":
            raise FleetError(f"IOC {self.name}: {line}: {answer.removeprefix('error: ')}")

    # Its process --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        if self._process is not None:
            self._process.close()
        self._process = Process(f"IOC {self.name}", self._whole_command(), self._env)
        self._line = FaultLine(self._process)

    def wait_ready(self, deadline: float) -> None:
        """Wait until it says that it is reachable.

        Raises:
            FleetError: it ended, or the deadline (`time.monotonic`) passed.
        """
        while f"READY port={self.port}" not in self._lines:
            if not self.running:
                raise FleetError(f"IOC {self.name} did not start: {self._why_not()}")
            if time.monotonic() > deadline:
                raise FleetError(
                    f"IOC {self.name} was not ready in time: it still runs, and has not said READY"
                    f"\n{self.errors}"
                )
            time.sleep(0.01)
        self._pvs = [line for line in self._lines if line.startswith(self.prefix)]

    def _why_not(self) -> str:
        """The end of the error of one that ended before it was ready; hints are for yours."""
        errors = self.errors
        hint = ""
        if not self.kind and "unrecognized arguments: --port" in errors:
            hint = "\nis it run by orchestrator.ioc.ioc_command, which knows --port?"
        elif not self.kind and self.exit_code == 0:
            hint = "\ndoes it call run_ioc at its end?"
        text = f":\n{errors}" if errors else "; nothing on stderr"
        return f"exit code {self.exit_code}{text}{hint}"

    def close(self) -> None:
        """Stop it and let go of its port."""
        if self._process is not None:
            self._process.terminate()
            self._process.close()
        self._hold.close()

    def _whole_command(self) -> list[str]:
        where = ["--prefix", self.prefix, "--port", str(self.port), "--interfaces", LOOPBACK]
        return [*self._command, *where, "--list-pvs", "--stop-with-stdin"]

    @property
    def _lines(self) -> list[str]:
        return self._process.lines if self._process else []
