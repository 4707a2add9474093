"""The service of a soak, its IOCs, and the one that counts what the finalisers did."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from orchestrator.bench.hostile.attacks import Target
from orchestrator.bench.soak.programs import INNER, INNER_DOCUMENT
from sim_iocs.fleet import Fleet
from sim_iocs.running import SimIoc
from sim_iocs.testing import Service, until

_START_S = 60.0
"""Until all must run, on a machine that does other things as well."""
_BACK_S = 40.0
"""Until a healed IOC must have been found."""
STRUCK = ("stage", "shutter", "rec")
"""The IOCs that faults strike; the witness `w` is left alone."""
_PLANS = Path(__file__).with_name("soak_plans.py")
"""Copied: the `finally` of a sequence in a folder of ours is not looked at."""
_CHAIN: Mapping[str, Any] = {
    "stage": {
        "prefix": "SIM:STAGE:",
        "channels": {
            "x": {"pv": "X", "stop": "X.STOP", "buffer": 100},
            "x_rbv": "X.RBV",
            "y": {"pv": "Y", "stop": "Y.STOP"},
            "y_rbv": "Y.RBV",
        },
    },
    "shutter": {
        "prefix": "SIM:SHUTTER:",
        "channels": {"state": "State", "state_rbv": "State_RBV"},
    },
    "rec": {"prefix": "SIM:REC:", "channels": {"ao": "Ao", "calc": "Calc"}},
    "w": {
        "prefix": "SIM:W:",
        "channels": {"passed": "Double", "finals": "Integer", "hold": "Choice"},
    },
}


class Resources(NamedTuple):
    """What the service holds while nothing runs."""

    memory_mb: float
    descriptors: float
    threads: float
    tasks: float


_MOST_MORE = Resources(20, 5, 5, 5)
"""By which the last third of a soak may exceed the one before, in the median."""


def growth(samples: list[Resources]) -> list[str]:
    """What has grown from the second third of a soak to the last; the first third warms it up."""
    third = len(samples) // 3
    if third < 3:
        return []
    found = []
    for name, most in _MOST_MORE._asdict().items():
        earlier = median(getattr(each, name) for each in samples[third : 2 * third])
        later = median(getattr(each, name) for each in samples[2 * third :])
        if later - earlier > most:
            found.append(f"{name}: {earlier:.0f} in the second third, {later:.0f} in the last")
    return found


class Testbed:
    """All that the rounds of a soak need; used for one after the other."""

    __test__ = False  # for pytest, which takes it for a class of tests

    def __init__(self) -> None:
        """Nothing is started before `with`."""
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def _open(self) -> None:
        kinds = ["stage=motor", "shutter", "rec=records", "w=plain:SIM:W:"]
        self.fleet = self._parts.enter_context(Fleet(kinds, timeout=_START_S))
        folder = self._parts.enter_context(TemporaryDirectory(prefix="orchestrator-soak-"))
        shutil.copy(_PLANS, folder)
        self.service = self._parts.enter_context(
            Service(
                self.fleet,
                config={
                    "ca": {"connect_timeout": 3.0},
                    "chain": _CHAIN,
                    "suspend": {"hold": {"when": "w.hold == 'Blue'", "resume": "w.hold == 'Red'"}},
                },
                python=[_PLANS.stem],
                path=[folder],
            )
        )
        self.service.sequence(INNER_DOCUMENT, INNER)

    def ioc(self, name: str) -> SimIoc:
        """One of `STRUCK`."""
        return self.fleet[name]

    @property
    def target(self) -> Target:
        """For an attack: nothing that it writes starts or changes a run."""
        pv = self.service.pv
        return Target(
            self.service.port,
            pv=pv("MON:rec:calc"),
            heartbeat=pv("HEARTBEAT"),
            text=pv("message"),
            start=pv("ACK"),
        )

    def prepare(self) -> None:
        """Heal all, and have the witness know nothing."""
        for name in STRUCK:
            self.heal(name)
        self.until_connected()
        for channel, value in (("w.finals", 0), ("w.passed", 0), ("w.hold", "Red"), ("rec.ao", 0)):
            self.service.put(channel, value)
        until(lambda: self.service.get("MON:w:finals") == 0, 10, "a witness that knows of nothing")

    def heal(self, name: str) -> None:
        """Have an IOC run as it did at the start."""
        ioc = self.ioc(name)
        ioc.thaw()
        if not ioc.running:
            ioc.restart(_START_S)
        ioc.clear_faults()

    def until_connected(self) -> None:
        """Wait until the service has found everything.

        Raises:
            AssertionError: It has not, though all is there.
        """
        for name in _CHAIN:
            self.service.until(f"CHAIN:{name}:STATUS", "Connected", timeout=_BACK_S)

    def resources(self) -> Resources:
        """What the service holds now."""
        process = Path(f"/proc/{self.service.pid}")
        pages = int((process / "statm").read_text().split()[1])
        threads = len(list((process / "task").iterdir()))
        return Resources(
            memory_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            descriptors=len(list((process / "fd").iterdir())),
            threads=threads,
            tasks=float(self.service.get("TASKS")),
        )

    def beats(self) -> tuple[float, int]:
        """The time now, in s, and the service's HEARTBEAT."""
        return time.monotonic(), int(self.service.get("HEARTBEAT"))
