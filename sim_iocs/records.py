"""A C IOC: EPICS base's own records and Channel Access server, in a Python process.

Prefix `SIM:REC:`:

| PV           | record   | unit | meaning                                                         |
| ------------ | -------- | ---- | --------------------------------------------------------------- |
| Ao           | ao       | mm   | Drive limits 0 … 10: a put beyond is clamped, and succeeds.     |
| Ai           | ai       | mm   | Reads Ao twice a second; MINOR above 8, MAJOR above 9.          |
| Bo           | bo       |      | Off, On.                                                        |
| Mbbo         | mbbo     |      | Low, Mid, High.                                                 |
| Calc         | calc     | mm   | 2 · Ao + 1, with each put to Ao.                                |
| LongOut      | longout  |      | A 32-bit integer, -1000 … 1000.                                 |
| StringOut    | stringout|      | 39 bytes of text.                                               |
| Waveform     | waveform | V    | 100 doubles.                                                    |
| Chars        | waveform |      | 256 chars: long text.                                           |
| Slow         | ao       |      | A put-callback completes after Slow:Delay seconds.              |
| Slow:Delay   | ao       | s    | 0 … 60.                                                         |
| Slow:Done    | ao       |      | The value of Slow, after the delay.                             |
| Slow:Busy    | bo       |      | Done, Busy: while the delay runs.                               |
| Slow:Begin   | calcout  |      | What works behind Slow, as are Slow:Wait and Slow:End.          |
| Fault:MINOR  | bo       |      | In MINOR alarm for ever; so are Fault:MAJOR and Fault:INVALID.  |
|              |          |      | A PV that is told to be in alarm inherits it by its SDIS link.  |

The database is plain EPICS: what a put-callback waits for is what the put sets processing, which
here is a calcout record with an output delay. (EPICS record reference manual: calcout, ODLY.)
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from orchestrator.cas import serving
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.faults import OBEYED, Lines, parse_fault, refusal
from sim_iocs.c_faults import LENDERS, CFaults
from sim_iocs.free_ports import PortHold

DATABASE = """
record(ao, "$(P)Ao") {
  field(DESC, "clamped to its drive limits")
  field(EGU, "mm")  field(PREC, "3")  field(VAL, "0")  field(PINI, "YES")
  field(DRVL, "0")  field(DRVH, "10")  field(LOPR, "0")  field(HOPR, "10")
  field(FLNK, "$(P)Calc")
}
record(ai, "$(P)Ai") {
  field(DESC, "reads Ao")
  field(INP, "$(P)Ao NPP NMS")  field(SCAN, ".5 second")
  field(EGU, "mm")  field(PREC, "3")  field(LOPR, "0")  field(HOPR, "10")
  field(HIGH, "8")  field(HSV, "MINOR")  field(HIHI, "9")  field(HHSV, "MAJOR")
}
record(bo, "$(P)Bo") {
  field(DESC, "two states")  field(ZNAM, "Off")  field(ONAM, "On")  field(PINI, "YES")
}
record(mbbo, "$(P)Mbbo") {
  field(DESC, "three states")  field(PINI, "YES")
  field(ZRVL, "0")  field(ZRST, "Low")
  field(ONVL, "1")  field(ONST, "Mid")
  field(TWVL, "2")  field(TWST, "High")
}
record(calc, "$(P)Calc") {
  field(DESC, "follows Ao")
  field(INPA, "$(P)Ao NPP NMS")  field(CALC, "2*A+1")
  field(EGU, "mm")  field(PREC, "3")
}
record(longout, "$(P)LongOut") {
  field(DESC, "an integer")  field(PINI, "YES")
  field(DRVL, "-1000")  field(DRVH, "1000")  field(LOPR, "-1000")  field(HOPR, "1000")
}
record(stringout, "$(P)StringOut") { field(DESC, "short text")  field(PINI, "YES") }
record(waveform, "$(P)Waveform") {
  field(DESC, "doubles")  field(FTVL, "DOUBLE")  field(NELM, "100")
  field(EGU, "V")  field(PREC, "3")
}
record(waveform, "$(P)Chars") {
  field(DESC, "long text")  field(FTVL, "CHAR")  field(NELM, "256")
}
record(ao, "$(P)Slow") {
  field(DESC, "put-callback after a delay")
  field(PREC, "3")  field(VAL, "0")  field(FLNK, "$(P)Slow:Begin")
}
record(bo, "$(P)Slow:Busy") { field(ZNAM, "Done")  field(ONAM, "Busy")  field(PINI, "YES") }
record(calcout, "$(P)Slow:Begin") {
  field(DESC, "shows busy first")  field(CALC, "1")
  field(OUT, "$(P)Slow:Busy PP")  field(FLNK, "$(P)Slow:Wait")
}
record(calcout, "$(P)Slow:Wait") {
  field(DESC, "holds it for the delay")
  field(INPA, "$(P)Slow NPP NMS")  field(CALC, "A")  field(PREC, "3")
  field(ODLY, "0.5")  field(OUT, "$(P)Slow:Done PP")  field(FLNK, "$(P)Slow:End")
}
record(ao, "$(P)Slow:Done") { field(DESC, "Slow, after the delay")  field(PREC, "3") }
record(calcout, "$(P)Slow:End") {
  field(DESC, "no longer busy")  field(CALC, "0")  field(OUT, "$(P)Slow:Busy PP")
}
record(ao, "$(P)Slow:Delay") {
  field(DESC, "for Slow")  field(EGU, "s")  field(PREC, "3")  field(VAL, "0.5")  field(PINI, "YES")
  field(DRVL, "0")  field(DRVH, "60")  field(LOPR, "0")  field(HOPR, "60")
  field(OUT, "$(P)Slow:Wait.ODLY NPP")
}
"""

DATABASE += LENDERS

NAMES = re.findall(r'^record\(\w+, "\$\(P\)([^"]+)"', DATABASE, re.MULTILINE)
"""Its records, without the prefix."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until SIGINT, SIGTERM or, if that was asked for, the end of stdin."""
    options = _parse(argv)
    try:
        where = serving(options.port, options.interfaces)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    hold = None if where.port else PortHold()
    port = hold.port if hold else where.port
    if why := _refused(port, where.interfaces):
        sys.stderr.write(f"{why}\n")
        return 1
    if line := where.line(port):
        sys.stderr.write(f"{line}\n")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    faults = _start(options.prefix, port, options.interfaces)
    if options.list_pvs:
        _print(*(f"{options.prefix}{name}" for name in NAMES))
    answers = "127.0.0.1" not in where.ignored
    if answers and not _found(f"{options.prefix}Ao", where.interfaces[0], port):
        sys.stderr.write(f"no answer to a search on port {port}\n")
        return 1
    _print(f"READY port={port}")
    if options.stop_with_stdin:
        threading.Thread(target=_watch_stdin, args=(faults, stopped), daemon=True).start()
    stopped.wait()
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of `orchestrator.ioc.ioc_command`, as far as a C IOC has them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prefix", default="SIM:REC:", help="prefix of all PV names")
    parser.add_argument("--port", type=int, help="for clients; 0 = a free one")
    parser.add_argument("--interfaces", nargs="+", help="to listen on")
    parser.add_argument("--list-pvs", action="store_true", help="print the PV names at start")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when stdin ends")
    parser.add_argument("-q", "-v", action="count", help="as the others; it says nothing anyway")
    parser.add_argument("--seed", type=int, help="nothing here is left to chance")
    return parser.parse_args(argv)


def _start(prefix: str, port: int, interfaces: Sequence[str] | None) -> CFaults:
    """Start the C IOC; libca and the server read the environment when they are loaded."""
    os.environ["EPICS_CAS_SERVER_PORT"] = str(port)
    if interfaces is not None:
        os.environ["EPICS_CAS_INTF_ADDR_LIST"] = " ".join(interfaces)
    if interfaces is not None and all(interface.startswith("127.") for interface in interfaces):
        os.environ["EPICS_CAS_AUTO_BEACON_ADDR_LIST"] = "NO"
        os.environ["EPICS_CAS_BEACON_ADDR_LIST"] = " ".join(interfaces)
    from orchestrator.startup import libca  # noqa: F401 - before anything imports libca

    # isort: split
    from softioc import softioc

    with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
        file.write(DATABASE)
        file.flush()
        softioc.dbLoadDatabase(file.name, None, f"P={prefix}")
    faults = CFaults(prefix, NAMES)
    with _silent_stdout():  # its banner; only our lines are for programs
        softioc.iocInit(dispatcher=lambda *_: None, enable_pva=False)
    return faults


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Send what C code prints to nowhere for a while."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _refused(port: int, interfaces: Sequence[str]) -> str:
    """Why it can't listen there, or empty: the C server would take what it gets, and only warn."""
    for interface in interfaces:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((interface, port))
            except OverflowError as error:
                return f"port {port}: {error}"
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return f"port {port} is in use: give another one (0 finds a free one)"
                return f"can't listen on {interface}:{port}: {error.strerror}"
    return ""


def _found(name: str, interface: str, port: int, timeout: float = 5) -> bool:
    """Whether a search for a PV is answered with this port (CA protocol, CA_PROTO_SEARCH)."""
    host = "127.0.0.1" if interface == "0.0.0.0" else interface  # noqa: S104 - compared only
    padded = name.encode().ljust(len(name) // 8 * 8 + 8, b"\0")
    search = struct.pack(">HHHHII", 6, len(padded), 5, 13, 1, 1) + padded
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        while time.monotonic() < deadline:
            with suppress(OSError):  # refused or no answer yet
                client.sendto(struct.pack(">HHHHII", 0, 0, 0, 13, 0, 0) + search, (host, port))
                answer = client.recv(1024)
                return port in struct.unpack(f">{len(answer) // 2}H", answer)
    return False


def _watch_stdin(faults: CFaults, stopped: threading.Event) -> None:
    """Obey the lines that come (see orchestrator.faults) until there are no more."""
    lines = Lines()
    while received := os.read(0, 4096):
        for line in lines.take(received):
            try:
                faults.obey(parse_fault(line))
                _print(OBEYED)
            except OrchestratorError as error:
                _print(refusal(error))
    stopped.set()


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
