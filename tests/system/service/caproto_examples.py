"""The example IOCs of the installed caproto, as processes of their own.

What each of them needs beside a port, and what a test has to know of it, stands in `EXAMPLES`.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orchestrator.ioc  # noqa: F401 - first: caproto reads its settings when it is imported

# isort: split
import caproto.ioc_examples
from sim_helpers import alive, until

from sim_iocs.free_ports import LOOPBACK, PortHold
from sim_iocs.process import Process

PACKAGE = "caproto.ioc_examples."

STARTUP_TIMEOUT = 30.0
"""Seconds for a batch to serve."""

BATCH = 8
"""How many start side by side; the machine's cores are what they wait for."""


@dataclass(frozen=True)
class Example:
    """How an example is started and used; all as it comes unless said otherwise."""

    options: Sequence[str] = ()
    prefix: str = ""
    """Where another example insists on it; `EX:MODULE:` otherwise."""
    fields: Sequence[str] = ()
    """PVs that it serves but does not list: fields of its records."""
    moving: Sequence[str] = ()
    """PVs that change by themselves, within some seconds."""
    not_written: Mapping[str, str] = field(default_factory=dict)
    """PVs to which nothing is written, and why."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """PVs that do not take the value that they have, and what is said then."""
    left_alone: Mapping[str, str] = field(default_factory=dict)
    """PVs that are not even chained, and why."""
    huge: Mapping[str, int] = field(default_factory=dict)
    """PVs of so many elements that they are followed, and only counted."""


OF_AI = (".DESC", ".EGU", ".RTYP", ".SCAN", ".SEVR")
PASSIVE = "it says Passive while it scans, and stops scanning when that is written"

OF_MOTOR = (".RBV", ".DMOV", ".MOVN", ".STOP", ".VELO", ".HLM", ".SPMG", ".DIR")

EXAMPLES: Mapping[str, Example] = {
    "advanced.type_varieties": Example(
        refused={
            "char": "51 poodles is outside its limits, 30 … 38",  # and so is what it begins with
            "empty_char": "the put of 0 failed",  # caproto takes the character NUL for a number
        }
    ),
    "big_image_noisy_neighbor": Example(moving=("t1",), huge={"image": 3960 * 3960}),
    "chirp": Example(moving=("chirp", "steady")),
    "custom_write": Example(
        fields=("directory.VAL$",),  # `$`: as a long string
        not_written={"directory": "it shows no more than 40 bytes of a longer path"},
    ),
    "decay": Example(
        fields=[f"I{name}" for name in OF_AI], moving=("I",), not_written={"I.SCAN": PASSIVE}
    ),
    "enums": Example(fields=("bo.ZNAM", "bo.ONAM", "bi.RTYP", "mbbi.ZRST", "mbbi.TWST")),
    "fake_motor_record": Example(fields=[f"mtr{i}{name}" for i in (1, 2, 3) for name in OF_MOTOR]),
    "formula_ioc": Example(options=("--formula", "total = a + 2 * b")),
    "mini_beamline": Example(moving=("current", "dot:det")),
    "mirror": Example(options=("--target", "simple:B")),
    "no_pvproperty": Example(
        refused={"a": "the put of 1 failed"},  # caproto's `bi` without labels raises with any put
    ),
    "random_walk": Example(moving=("x",)),
    "records": Example(
        fields=(
            "A.RVAL",
            "A.DESC",
            "A.RTYP",
            "C.HIHI",
            "C.LOW",
            "C.HSV",
            "C.SEVR",
            "C.STAT",
            "E.DESC",
        )
    ),
    "records_subclass": Example(
        fields=("motor1.RBV", "motor1.DRBV", "motor2.RRBV"), moving=("motor1.RBV",)
    ),
    "scan_rate": Example(
        fields=("scanned.SCAN", "scanned.RTYP"),
        moving=("scanned",),
        not_written={"scanned.SCAN": PASSIVE},
    ),
    "simple": Example(prefix="simple:"),  # two others monitor simple:A
    "states": Example(moving=("value",)),
    "subgroups": Example(moving=("group1:random",)),
    "thermo_sim": Example(
        fields=[f"I{name}" for name in OF_AI], moving=("I",), not_written={"I.SCAN": PASSIVE}
    ),
    "too_clever.shared_memory": Example(huge={"image": 3 * 1024 * 1024}),
    "too_clever.trigger_with_pc": Example(
        left_alone={"wait": "its getter takes up to 15 s, in which it answers nothing else"}
    ),
}
"""Those of which something is to be said."""

ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "hardware_specific.barcode_reader": ("a barcode reader", "No module named 'evdev'"),
    "hardware_specific.gamepad": ("a game pad", "No module named 'evdev'"),
    "lakeshore": ("a package for control loops", "No module named 'simple_pid'"),
    "too_clever.areadetector_image": (
        "ophyd, and a detector to be like",
        "No module named 'ophyd'",
    ),
    "too_clever.caproto_to_ophyd": ("ophyd", "No module named 'ophyd'"),
    "too_clever.caproto_to_typhos": ("ophyd: it is a client", "No module named 'ophyd'"),
}
"""Those that do not start with caproto alone: what they need, and how they say so."""

BLACK_HOLES = ("pathological.defaultdict_server", "pathological.spoof_beamline")
"""They answer to every name that anybody searches: no other IOC can be found beside them."""


def modules() -> list[str]:
    """All of them, by their names below the package: `simple`, `advanced.type_varieties`."""
    found = pkgutil.walk_packages(caproto.ioc_examples.__path__, PACKAGE)
    return [module.name.removeprefix(PACKAGE) for module in found if not module.ispkg]


class Starter:
    """Starts examples; see `example_starter.py`."""

    def __init__(self) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EPICS_", "CAPROTO_"))}
        self.env = kept | {
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
            "EPICS_CAS_BEACON_ADDR_LIST": LOOPBACK,
            "PYTHONUNBUFFERED": "1",
        }
        """Of all examples."""
        program = Path(__file__).with_name("example_starter.py")
        command = [sys.executable, "-P", str(program)]
        self._process = Process("starter of examples", command, self.env)
        self._asked = 0

    def start(self, **how: Any) -> int:
        """The number of its process."""
        return self._ask(how)

    def exit_code(self, pid: int) -> int:
        """Of one that has ended; asked once."""
        return self._ask(pid)

    def _ask(self, what: Any) -> int:
        self._asked += 1
        self._process.write(json.dumps(what))
        until(lambda: len(self._process.lines) >= self._asked, STARTUP_TIMEOUT, "an answer")
        return int(self._process.lines[-1])

    def close(self) -> None:
        """End it, and what it has started."""
        self._process.end_input()
        self._process.end()
        self._process.close()


class ExampleIoc:
    """One of them, running."""

    def __init__(self, module: str, directory: Path, starter: Starter) -> None:
        """Take a port and a folder below `directory`; nothing is started."""
        self.module = module
        self.name = module.replace(".", "_")
        """Of the chained IOC."""
        self.about = EXAMPLES.get(module, Example())
        self.prefix = self.about.prefix or f"EX:{self.name}:"
        self.hold = PortHold()
        self.address = f"{LOOPBACK}:{self.hold.port}"
        # What an example writes, it writes here.
        self._directory = Path(tempfile.mkdtemp(dir=directory))
        self._starter = starter
        self._pid = 0

    def start(self, simple: str, typed: str = "") -> None:
        """Start it; `simple` is where those find `simple` that monitor it, `typed` is its stdin."""
        (self._directory / "typed").write_text(typed)
        self._pid = self._starter.start(
            module=PACKAGE + self.module,
            argv=[
                *("--prefix", self.prefix, "--interfaces", LOOPBACK, "--list-pvs"),
                *self.about.options,
            ],
            env=self._starter.env
            | {
                "EPICS_CA_ADDR_LIST": simple,
                "EPICS_CA_SERVER_PORT": str(self.hold.port),
                "TMPDIR": str(self._directory),
            },
            typed=str(self._directory / "typed"),
            output=str(self._directory / "output"),
        )

    def wait_ready(self, deadline: float) -> None:
        """Wait until it serves, and on its port."""
        last = "Server startup complete"
        if self.module not in BLACK_HOLES:
            last = f"\n    {self.prefix}"  # of the list of PVs, which is written at once after that
        while last not in self.output:
            assert alive(self._pid), f"{self.module} has ended:\n{self.output}"
            assert time.monotonic() < deadline, f"{self.module} is not ready:\n{self.output}"
            time.sleep(0.02)
        assert f"Listening on {self.address}" in self.output, self.output

    @property
    def output(self) -> str:
        """All that it has written."""
        file = self._directory / "output"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def pvs(self) -> list[str]:
        """What is chained of it, without its prefix."""
        listed = re.findall(rf"^    {re.escape(self.prefix)}(\S+)$", self.output, re.MULTILINE)
        return [pv for pv in (*listed, *self.about.fields) if pv not in self.about.left_alone]

    def channel(self, pv: str) -> str:
        """The alias of one of its PVs: what expressions can use."""
        return f"{self.name}.{re.sub(r'[^A-Za-z0-9_]', '_', pv)}"

    def end(self, timeout: float = 10) -> int:
        """Its exit code, once it has ended by itself."""
        until(lambda: not alive(self._pid), timeout, f"the end of {self.module}")
        pid, self._pid = self._pid, 0
        return self._starter.exit_code(pid)

    def ask_to_stop(self) -> None:
        """Ctrl-C."""
        self._signal(signal.SIGINT)

    def close(self) -> None:
        """It has two seconds to stop; then nothing is left of it."""
        if self._pid:
            with suppress(AssertionError):
                until(lambda: not alive(self._pid), 2)
            self._signal(signal.SIGKILL)
            self.end()
        self.hold.close()

    def _signal(self, number: int) -> None:
        """To it and its children: a group of their own."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, number)


@contextmanager
def examples(names: Sequence[str], starter: Starter) -> Iterator[dict[str, ExampleIoc]]:
    """Start these, some at a time; all are stopped at the end of the block."""
    with ExitStack() as stack:
        # Not pytest's: a Unix socket in it would have too long a name.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        iocs: dict[str, ExampleIoc] = {}
        for name in names:
            iocs[name] = ExampleIoc(name, directory, starter)
            stack.callback(iocs[name].close)
        for ioc in iocs.values():
            stack.callback(ioc.ask_to_stop)  # of all, before the first is waited for
        waiting = list(iocs.values())
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            for ioc in batch:
                simple = iocs.get("simple", ioc).address
                ioc.start(simple, "\n" if ioc.module in BLACK_HOLES else "")
            deadline = time.monotonic() + STARTUP_TIMEOUT
            for ioc in batch:
                ioc.wait_ready(deadline)
        yield iocs
