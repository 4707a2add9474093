"""What is attacked: the service, an IOC of the kit, bare caproto, a C IOC, pythonSoftIOC.

A program of its own too: `python -m orchestrator.bench.hostile.targets NAME PORT` runs one of the
last four until its stdin ends. Each has the same PVs: `H:PV` counts at 10 Hz, `H:HEARTBEAT` once a
second, `H:TEXT` takes text, `H:START` takes numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.bench.hostile.attacks import Target
from orchestrator.bench.hostile.wire import LOOPBACK, READ_NOTIFY, Circuit, message
from orchestrator.errors import OrchestratorError

_PEER = {"pv": "H:PV", "heartbeat": "H:HEARTBEAT", "text": "H:TEXT", "start": "H:START"}
_SERVICE = {
    "pv": "ORCH:MON:src:pv",
    "heartbeat": "ORCH:HEARTBEAT",
    "text": "ORCH:SEQ",
    "start": "ORCH:START",
}
TARGETS = {
    "service": "the service, with a mirror of a C IOC",
    "kit": "an IOC of the kit",
    "caproto": "bare caproto",
    "softioc": "a C IOC (softIoc's records)",
    "pysoftioc": "pythonSoftIOC",
}
_START_S = 30.0
_STOP_S = 10.0


class TargetError(OrchestratorError):
    """What was to be attacked did not start, or is gone."""


@dataclass(slots=True)
class Running:
    """A target that runs."""

    name: str
    target: Target
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def memory_mb(self) -> float:
        """Resident, in MB; 0 when it is gone."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0.0
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def descriptors(self) -> int:
        """Open files and connections."""
        try:
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        except OSError:
            return 0

    @property
    def log_lines(self) -> int:
        """Lines that it has written so far."""
        return self.log.read_bytes().count(b"\n")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def tasks(self) -> int | None:
        """Asyncio tasks of the service; None of what does not tell."""
        if self.name != "service":
            return None
        with contextlib.suppress(OSError, TimeoutError), Circuit(self.target.port) as circuit:
            sid = circuit.channel("ORCH:TASKS")
            circuit.send(message(READ_NOTIFY, 5, 1, sid, 1))
            return int.from_bytes(circuit.answer(READ_NOTIFY).payload[:4], "big")
        return None


@contextmanager
def running(name: str, port: int, source_port: int) -> Iterator[Running]:
    """Start a target on loopback; it is ended after the block.

    Raises:
        TargetError: It does not answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-hostile-") as folder:
        if name == "service":
            with _program("softioc", source_port, Path(folder)) as source:
                _await(source, "H:PV")
                with _service(port, source_port, Path(folder)) as service:
                    _await(service, service.target.pv)
                    yield service
        else:
            with _program(name, port, Path(folder)) as peer:
                _await(peer, peer.target.pv)
                yield peer


@contextmanager
def _program(name: str, port: int, folder: Path) -> Iterator[Running]:
    command = [sys.executable, "-P", "-m", "orchestrator.bench.hostile.targets", name, str(port)]
    with _started(name, command, folder, Target(port, **_PEER), {}) as peer:
        yield peer


@contextmanager
def _service(port: int, source_port: int, folder: Path) -> Iterator[Running]:
    config = folder / "orchestrator.toml"
    config.write_text(
        f'[server]\nport = {port}\ninterfaces = ["{LOOPBACK}"]\n'
        f'[store]\ndirectory = "{folder / "runs"}"\n'
        f'[chain.src]\nprefix = "H:"\naddress = "{LOOPBACK}:{source_port}"\nchannels.pv = "PV"\n'
        "[ca]\nauto_addr_list = false\n"
    )
    command = [sys.executable, "-P", "-m", "orchestrator", "serve", "--config", str(config)]
    env = {"EPICS_CA_REPEATER_PORT": str(port)}  # taken: libca starts none
    with _started("service", command, folder, Target(port, **_SERVICE), env) as service:
        yield service


@contextmanager
def _started(
    name: str, command: list[str], folder: Path, target: Target, env: dict[str, str]
) -> Iterator[Running]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EPICS_", "CAPROTO_"))}
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - programs of ours
            command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=kept | env
        )
    try:
        yield Running(name, target, process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await(running: Running, pv: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and running.alive:
        try:
            with Circuit(running.target.port) as circuit:
                circuit.channel(pv)
                return
        except (OSError, TimeoutError):
            time.sleep(0.1)
    raise TargetError(f"{running.name} does not serve {pv}: {running.log.read_text()[-2000:]}")


# The programs ---------------------------------------------------------------------------------


def _caproto(port: int, *, kit: bool) -> None:
    if kit:
        from orchestrator.ioc import run_ioc
    else:
        os.environ["EPICS_CA_SERVER_PORT"] = str(port)
    from caproto import ChannelType
    from caproto.server import PVGroup, pvproperty
    from caproto.server import run as run_caproto

    async def refuse(_group: Any, _pv: Any, _value: float) -> None:
        raise ValueError("refused")

    async def count(_group: Any, pv: Any, async_lib: Any) -> None:
        while True:
            await pv.write(pv.value + 1)
            await async_lib.library.sleep(0.1 if pv.pvname.endswith("PV") else 1.0)

    class Hostile(PVGroup):  # type: ignore[misc] # caproto is untyped
        pv = pvproperty(name="PV", value=0.0, read_only=True, startup=count)
        heartbeat = pvproperty(name="HEARTBEAT", value=0, read_only=True, startup=count)
        text = pvproperty(name="TEXT", value="", dtype=ChannelType.CHAR, max_length=40_000)
        start = pvproperty(name="START", value=0.0, put=refuse)

    if kit:
        options = ["--port", str(port), "--interfaces", LOOPBACK, "--stop-with-stdin"]
        run_ioc(
            lambda prefix, macros: Hostile(prefix=prefix, macros=macros),
            options,
            default_prefix="H:",
            desc="The kit's.",
        )
    else:
        run_caproto(Hostile(prefix="H:").pvdb, interfaces=[LOOPBACK])


_RECORDS = """
record(calc, "H:PV") {field(SCAN, ".1 second") field(CALC, "VAL+1")}
record(calc, "H:HEARTBEAT") {field(SCAN, "1 second") field(CALC, "VAL+1")}
record(waveform, "H:TEXT") {field(FTVL, "CHAR") field(NELM, "40000")}
record(ao, "H:START") {field(DISP, "1")}
"""


def _soft_ioc(port: int, *, python: bool) -> None:
    os.environ["EPICS_CAS_SERVER_PORT"] = str(port)
    os.environ["EPICS_CAS_INTF_ADDR_LIST"] = LOOPBACK
    os.environ["EPICS_CAS_AUTO_BEACON_ADDR_LIST"] = "NO"
    os.environ["EPICS_CAS_BEACON_ADDR_LIST"] = LOOPBACK
    from orchestrator.startup import libca  # noqa: F401 - before anything imports libca

    # isort: split
    from softioc import asyncio_dispatcher, builder, softioc

    if not python:
        with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
            file.write(_RECORDS)
            file.flush()
            softioc.dbLoadDatabase(file.name)
        softioc.iocInit(dispatcher=lambda *_: None, enable_pva=False)
        sys.stdin.read()
        return
    builder.SetDeviceName("H")
    pv, beat = builder.aIn("PV"), builder.longIn("HEARTBEAT")
    builder.longStringOut("TEXT", length=40_000)
    builder.aOut("START", validate=lambda *_: False)
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.LoadDatabase()
    softioc.iocInit(dispatcher, enable_pva=False)

    async def count() -> None:
        for number in range(10**9):
            pv.set(number)
            beat.set(number // 10)
            await asyncio.sleep(0.1)

    dispatcher(count)
    sys.stdin.read()


def main(name: str, port: int) -> None:
    """Run one until stdin ends."""
    match name:
        case "kit" | "caproto":
            _caproto(port, kit=name == "kit")
        case "softioc" | "pysoftioc":
            _soft_ioc(port, python=name == "pysoftioc")
    os._exit(0)  # threads of the C IOC would hold us up


def as_json(target: Target) -> dict[str, Any]:
    """For the program of an attack."""
    return asdict(target)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
