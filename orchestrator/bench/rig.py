"""What the rows measure with: ports, the IOCs, configurations, the programs."""

from __future__ import annotations

import importlib.util
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.bench.measured_process import Worker
from orchestrator.loops import LOOP_VARIABLE
from sim_iocs.free_ports import LOOPBACK, PortHold

PREFIX = "BENCH:"
"""Of the PVs of the C IOC; the service's are `ORCH:`."""

PEERS = {"bluesky": ("bluesky", "ophyd_async"), "pyepics": ("epics",), "pysmlib": ("smlib",)}
"""The peers, and what has to be installed for them."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the service under test; the rest is as by default."""

    pv: str
    """Without prefix; also its alias."""
    mirror: bool = True
    buffer: int = 0
    keep_all: bool = False


class Rig:
    """One row's IOCs and programs. Every port is chosen before the first process starts."""

    def __init__(self, *, quick: bool, rounds: int) -> None:
        """`quick`: small counts, which prove that it works and measure little."""
        self.quick = quick
        self.rounds = rounds

    def __enter__(self) -> Rig:
        self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-bench-")
        self.folder = Path(self._folder.name)
        self._holds = {name: PortHold() for name in ("source", "ours", "installed", "chain")}
        self._repeater = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._repeater.bind((LOOPBACK, 0))
        return self

    def __exit__(self, *_: object) -> None:
        for hold in self._holds.values():
            hold.close()
        self._repeater.close()
        self._folder.cleanup()

    def some(self, many: int, few: int) -> int:
        """A count: `many`, or `few` where it has to be quick."""
        return few if self.quick else many

    def port(self, name: str) -> int:
        """Of `source`, `ours`, `installed` or `chain`."""
        return self._holds[name].port

    @property
    def env(self) -> dict[str, str]:
        """The environment of every program: all servers, nothing else of EPICS."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EPICS_", "CAPROTO_"))}
        addresses = " ".join(f"{LOOPBACK}:{hold.port}" for hold in self._holds.values())
        return kept | {
            "EPICS_CA_ADDR_LIST": addresses,
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_MAX_ARRAY_BYTES": "16777216",
            # Taken: libca starts no repeater then, which would outlive us.
            "EPICS_CA_REPEATER_PORT": str(self._repeater.getsockname()[1]),
        }

    def program(self, name: str, *, loop: str = "asyncio", **settings: Any) -> Worker:
        """A measured program, to be entered; `loop` as `ORCHESTRATOR_LOOP` says it."""
        return Worker(name, settings, self.env | {LOOP_VARIABLE: loop})

    def source(self, **records: Any) -> Worker:
        """The C IOC with these records."""
        return self.program("source", port=self.port("source"), prefix=PREFIX, **records)

    def ours(self, channels: Sequence[Channel] = (), *, wait: bool = True) -> Worker:
        """The service with these channels."""
        return self.program("ours", config=str(self.config(channels)), wait=wait)

    def installed(self, channels: Sequence[Channel]) -> Worker:
        """A second one, on the loop that users get."""
        return self.program("ours", loop="auto", config=str(self.config(channels, "installed")))

    def config(self, channels: Sequence[Channel], name: str = "ours") -> Path:
        """A configuration file for the service that serves on the port of this name."""
        text = "".join(
            f'channels.{c.pv} = {{ pv = "{c.pv}", mirror = {str(c.mirror).lower()}, '
            f"buffer = {c.buffer}, keep_all = {str(c.keep_all).lower()} }}\n"
            for c in channels
        )
        chain = f'[chain.b]\nprefix = "{PREFIX}"\n{text}' if channels else ""
        # A folder each: a store serves one service at a time.
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        file = folder / "orchestrator.toml"
        file.write_text(
            f'[server]\nport = {self.port(name)}\ninterfaces = ["{LOOPBACK}"]\n'
            f'[store]\ndirectory = "{folder / "runs"}"\n{chain}'
        )
        return file

    @contextmanager
    def peers(self, *names: str) -> Iterator[dict[str, Worker]]:
        """Those of these peers that are installed, started."""
        started: dict[str, Worker] = {}
        try:
            for name in names:
                if not missing(name):
                    started[name] = self.program(f"peer_{name}").__enter__()
            yield started
        finally:
            for worker in started.values():
                worker.__exit__(None, None, None)


def missing(peer: str) -> str:
    """Why a peer can't be measured; empty if it can."""
    absent = [module for module in PEERS[peer] if importlib.util.find_spec(module) is None]
    return f"{', '.join(absent)} not installed: pip install '.[bench]'" if absent else ""


def document(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A sequence of these steps."""
    return {"name": "bench", "steps": list(steps)}
