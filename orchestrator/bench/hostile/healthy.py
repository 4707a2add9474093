"""A client in its right mind: reads a PV a hundred times a second, and hears the heartbeat.

A program of its own: `python -m orchestrator.bench.hostile.healthy PORT PV HEARTBEAT`. Each line on
stdin begins a phase; it then prints what the phase before it was like, a line of JSON. It connects
anew when it is disconnected, and counts that.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import sys
import time
from typing import Any

from orchestrator.bench.hostile import wire
from orchestrator.bench.hostile.wire import Circuit

_EVERY_S = 0.01
_ANSWER_S = 20.0


class Phase:
    """What it has met since the phase began."""

    def __init__(self) -> None:
        self.reads: list[float] = []
        self.beats: list[float] = []
        self.lost = 0
        self.begun = time.monotonic()

    def told(self) -> dict[str, Any]:
        """In ms and s; the gap between two beats counts from the begin and to the end."""
        reads = sorted(self.reads) or [float("nan")]
        times = [self.begun, *self.beats, time.monotonic()]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        return {
            "reads": len(self.reads),
            "p50_ms": reads[len(reads) // 2] * 1e3,
            "p99_ms": reads[int(len(reads) * 0.99)] * 1e3,
            "max_ms": reads[-1] * 1e3,
            "beats": len(self.beats),
            "longest_gap_s": max(gaps),
            "disconnects": self.lost,
        }


class Reader:
    """Reads until stdin ends."""

    def __init__(self, port: int, pv: str, heartbeat: str) -> None:
        self._port, self._pv, self._heartbeat = port, pv, heartbeat
        self._phase = Phase()
        self._number = 0

    def run(self) -> None:
        """Read; connect anew when disconnected."""
        while self._goes_on():
            try:
                with Circuit(self._port) as circuit:
                    self._read(circuit)
            except (OSError, TimeoutError):
                self._phase.lost += 1
                time.sleep(0.05)

    def _read(self, circuit: Circuit) -> None:
        sid = circuit.channel(self._pv, 1)
        circuit.send(wire.subscribe(circuit.channel(self._heartbeat, 2), 1))
        while self._goes_on():
            self._number += 1
            begun = time.perf_counter()
            circuit.send(wire.message(wire.READ_NOTIFY, wire.TIME_DOUBLE, 1, sid, self._number))
            while True:
                got = circuit.answer(wire.READ_NOTIFY, wire.EVENT_ADD, seconds=_ANSWER_S)
                if got.command == wire.READ_NOTIFY:
                    break
                self._phase.beats.append(time.monotonic())
            self._phase.reads.append(time.perf_counter() - begun)
            time.sleep(_EVERY_S)

    def _goes_on(self) -> bool:
        """Begin a new phase if a line says so; False when stdin has ended."""
        if not select.select([sys.stdin], [], [], 0)[0]:
            return True
        if not sys.stdin.readline():
            return False
        print(json.dumps(self._phase.told()), flush=True)  # noqa: T201 - its answer
        self._phase = Phase()
        return True


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        Reader(int(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
