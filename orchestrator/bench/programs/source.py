"""The C IOC behind every row: records as asked for, and posts at a given rate.

Settings: `port`; `prefix`; `numbers`, `{name: count}` of ao records `NAME0 …` whose writes always
post; `counters`, calc records `C0 …` that count at 10 Hz; `motor`: true for `X`, an ao that passes
on what is written to `X_RBV`; `wave`: elements of the waveform `WAVE`.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from orchestrator.bench.programs.answering import answer_all_plainly, settings

_MOTOR = """
record(ao, "$(P)X") {field(EGU, "mm") field(PREC, "3") field(PINI, "YES") field(FLNK, "$(P)X_RBV")}
record(calc, "$(P)X_RBV") {field(INPA, "$(P)X NPP") field(CALC, "A") field(EGU, "mm")
  field(PREC, "3") field(PINI, "YES")}
"""


def database(wanted: Mapping[str, Any]) -> Iterator[str]:
    """The records."""
    if wanted.get("motor"):
        yield _MOTOR
    for name, count in wanted.get("numbers", {}).items():
        for index in range(count):
            yield f'record(ao, "$(P){name}{index}") {{field(MDEL, "-1") field(PINI, "YES")}}'
    for index in range(wanted.get("counters", 0)):
        yield f'record(calc, "$(P)C{index}") {{field(SCAN, ".1 second") field(CALC, "VAL+1")}}'
    if wanted.get("wave"):
        length = wanted["wave"]
        yield f'record(waveform, "$(P)WAVE") {{field(FTVL, "DOUBLE") field(NELM, "{length}")}}'


def start(wanted: Mapping[str, Any]) -> None:
    """Start the IOC; it reads the environment when it is loaded."""
    os.environ["EPICS_CAS_SERVER_PORT"] = str(wanted["port"])
    os.environ["EPICS_CAS_INTF_ADDR_LIST"] = "127.0.0.1"
    os.environ["EPICS_CAS_AUTO_BEACON_ADDR_LIST"] = "NO"
    os.environ["EPICS_CAS_BEACON_ADDR_LIST"] = "127.0.0.1"
    from orchestrator.startup import libca  # noqa: F401 - before anything imports libca

    # isort: split
    from softioc import softioc

    with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
        file.write("\n".join(database(wanted)))
        file.flush()
        softioc.dbLoadDatabase(file.name, None, f"P={wanted['prefix']}")
    softioc.iocInit(dispatcher=lambda *_: None, enable_pva=False)


class Poster:
    """Posts to one record after another, in a thread, at a steady rate."""

    def __init__(self, prefix: str) -> None:
        """Nothing is posted yet."""
        from softioc import imports

        self._put = imports.db_put_field_process
        self._double = imports.get_DBF_values()["DBF_DOUBLE"]
        self._prefix = prefix
        self._posting: dict[str, tuple[threading.Thread, threading.Event]] = {}
        self._posted: dict[str, int] = {}

    def begin(
        self, name: str, rate: float, stamped: bool = False, length: int = 1
    ) -> dict[str, Any]:
        """Begin: the time of posting if `stamped`, otherwise a number that counts up."""
        stop = threading.Event()
        work = (f"{self._prefix}{name}", rate, stamped, length, stop)
        thread = threading.Thread(target=self._post, args=work, daemon=True)
        self._posting[name] = thread, stop
        thread.start()
        return {}

    def end(self, name: str) -> dict[str, Any]:
        """End; tells how many were posted."""
        thread, stop = self._posting.pop(name)
        stop.set()
        thread.join()
        return {"posted": self._posted[f"{self._prefix}{name}"]}

    def _post(
        self, name: str, rate: float, stamped: bool, length: int, stop: threading.Event
    ) -> None:
        value = np.zeros(length)
        address, posted, began = value.ctypes.data, 0, time.perf_counter()
        skipped = 0
        while not stop.is_set():
            due = int((time.perf_counter() - began) * rate) + 1 - posted - skipped
            for _ in range(min(due, 100)):
                posted += 1
                value[0] = time.time() if stamped else posted
                self._put(name, self._double, address, length, 1)
            skipped += max(due - 100, 0)  # no endless catching up
            following = began + (posted + skipped) / rate
            # Many a millisecond are posted in a row: no sleep is that short.
            time.sleep(max(following - time.perf_counter(), 0.001 if rate > 2000 else 0.0))
        self._posted[name] = posted


if __name__ == "__main__":
    given = settings()
    start(given)
    poster = Poster(given["prefix"])
    answer_all_plainly({"begin": poster.begin, "end": poster.end})
    os._exit(0)  # C threads of the IOC would wait for each other
