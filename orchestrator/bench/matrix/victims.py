"""What is struck: an IOC with a setpoint, a readback, and a time from the one to the other."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.bench.hostile import wire
from orchestrator.bench.hostile.wire import Circuit, message
from sim_iocs.testing.polling import until

PREFIX = "SIM:D:"
"""Of every victim's PVs; its chain is `d`, its channels `d.sp` and `d.rbv`."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A kind of simulated IOC, and which of its PVs are which."""

    doc: str
    kind: str
    """Of `sim_iocs.fleet`."""
    sp: str
    """A double; a put-callback to it completes when `rbv` is there."""
    rbv: str
    take: str
    """s from a put to its arrival; of a sequence server its speed, per s."""
    quick: float = 0.0
    """Of `take`, where it takes no time."""
    mode: str = ""
    """How it misbehaves, where it can."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of its table in the configuration."""

    def chain(self) -> dict[str, Any]:
        """Its table in the configuration."""
        channels = {"sp": self.sp, "rbv": self.rbv, "take": self.take}
        return {"prefix": PREFIX, "channels": channels, **self.more}

    @property
    def pvs(self) -> list[str]:
        """Those that are chained, without prefix."""
        return [self.sp, self.rbv, self.take]


VICTIMS = {
    "records": Victim("a C IOC", "records", "Slow", "Slow:Done", "Slow:Delay"),
    "caproto": Victim("a caproto IOC", "faulty", "Setpoint", "Readback", "Delay", mode="Mode"),
    "server": Victim(
        "a sequence server",
        "sequence_server",
        "VAL",
        "RBV",
        "VELO",
        more={"sequence_server": "seq."},
    ),
}


class Direct:
    """A client of one IOC that needs no search and no library, and so nothing that is struck."""

    def __init__(self, port: int) -> None:
        """Connects for each thing that it is asked for."""
        self._port = port

    def read(self, name: str) -> float:
        """A PV as a double.

        Raises:
            OSError: The IOC is not there.
            TimeoutError: It does not answer.
        """
        with Circuit(self._port) as circuit:
            sid = circuit.channel(name)
            circuit.send(message(wire.READ_NOTIFY, wire.DOUBLE, 1, sid, 1))
            return float(struct.unpack(">d", circuit.answer(wire.READ_NOTIFY).payload[:8])[0])

    def write(self, name: str, value: float) -> None:
        """Put a double, and see to it that it has arrived: a get follows it. Raises as `read`."""
        with Circuit(self._port) as circuit:
            sid = circuit.channel(name)
            put = message(wire.WRITE, wire.DOUBLE, 1, sid, 1, struct.pack(">d", value))
            circuit.send(put + message(wire.READ_NOTIFY, wire.DOUBLE, 1, sid, 1))
            circuit.answer(wire.READ_NOTIFY)

    def until(self, name: str, value: float, timeout: float) -> None:
        """Wait until a PV has this value.

        Raises:
            AssertionError: It had not.
        """
        until(lambda: abs(self.read(name) - value) < 1e-6, timeout, f"{name} = {value:g}")
