"""Rows about size and start: 10,000 channels, the circular buffer, the time until it serves."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from orchestrator.bench.figures import Figure, interleaved, ratio
from orchestrator.bench.measured_process import BenchError
from orchestrator.bench.rig import PREFIX, Channel, Rig
from orchestrator.buffers import CircularBuffer
from sim_iocs.free_ports import LOOPBACK

_STARTED = 30.0
"""s until a service has to serve."""


def many_channels(rig: Rig) -> Iterator[Figure]:
    """10,000 channels from the start to all first values; memory of each."""
    count = rig.some(10_000, 200)
    names = [f"N{i}" for i in range(count)]
    memory: dict[str, list[float]] = {"ours": [], "mirrored": [], "aioca": []}

    def ours(name: str, *, mirror: bool) -> float:
        with rig.ours([Channel(n, mirror=mirror) for n in names]) as worker:
            memory[name].append(worker.ready["bytes"] / count / 1e3)
            return float(worker.ready["seconds"])

    def bare() -> float:
        with rig.program("bare", monitor=[f"{PREFIX}{n}" for n in names]) as worker:
            memory["aioca"].append(worker.ready["bytes"] / count / 1e3)
            return float(worker.ready["seconds"])

    with rig.source(numbers={"N": count}):
        taken = interleaved(
            rig.rounds,
            {
                "ours": lambda: ours("ours", mirror=False),
                "mirrored": lambda: ours("mirrored", mirror=True),
                "aioca": bare,
            },
        )
    yield ratio("to all first values / aioca", taken, "ours", "aioca", unit="s", at_most=1.4)
    yield ratio("the same, mirrored", taken, "mirrored", "aioca", unit="s")
    for name, most in (("ours", 8.0), ("mirrored", 24.0)):
        pairs = zip(memory[name], memory["aioca"], strict=True)
        what = f"a channel beyond aioca's own{', mirrored' * (name == 'mirrored')}"
        yield Figure(what, tuple(a - b for a, b in pairs), "kB", at_most=most)


def circular_buffer(rig: Rig) -> Iterator[Figure]:
    """The circular buffer against numpy's own slice assignment."""
    size, batch = rig.some(1_000_000, 10_000), 1000
    values = np.arange(float(batch))
    buffer, plain = CircularBuffer(size), np.empty(size)
    passes = rig.some(20, 2)

    def appended() -> float:
        began = time.perf_counter()
        for _ in range(passes * size // batch):
            buffer.extend(values)
        return time.perf_counter() - began

    def assigned() -> float:
        began = time.perf_counter()
        for _ in range(passes):
            for start in range(0, size, batch):
                plain[start : start + batch] = values
        return time.perf_counter() - began

    taken = interleaved(rig.rounds, {"ours": appended, "numpy": assigned})
    scale = 1e6 / (passes * size // batch)
    what = "appending 1000 at a time: numpy's time / ours"
    yield ratio(what, taken, "numpy", "ours", scale=scale, unit="µs", at_least=0.7)
    copied = not np.shares_memory(buffer.window(), buffer.window())
    yield Figure("copies for a window that does not wrap", (float(copied),), "", at_most=0.0)


def start_up(rig: Rig) -> Iterator[Figure]:
    """From exec of `orchestrator serve` with 100 channels to its first PV; `--help`."""
    command = [sys.executable, "-P", "-m", "orchestrator"]
    count = rig.some(100, 5)

    def serving() -> float:
        config = rig.config([Channel(f"N{i}") for i in range(count)])
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, "serve", "--config", str(config), "-q"],
            env=rig.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _first_pv("ORCH:STATE", rig.port("ours"), process)
            return time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(20)

    def asked_for_help() -> float:
        began = time.perf_counter()
        subprocess.run([*command, "--help"], env=rig.env, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - ourselves
        return time.perf_counter() - began

    with rig.source(numbers={"N": count}):
        taken = interleaved(rig.rounds, {"serving": serving, "help": asked_for_help})
    yield Figure("exec to first PV served", tuple(taken["serving"]), "s", at_most=1.0)
    yield Figure("orchestrator --help", tuple(taken["help"]), "s", at_most=0.25)


def _first_pv(name: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when a search for this PV is answered and its server takes a connection."""
    padded = name.encode().ljust(len(name) // 8 * 8 + 8, b"\0")
    search = struct.pack(">HHHHII", 0, 0, 0, 13, 0, 0)
    search += struct.pack(">HHHHII", 6, len(padded), 5, 13, 1, 1) + padded
    deadline = time.monotonic() + _STARTED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.005)
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError):  # refused, or no answer yet
                client.sendto(search, (LOOPBACK, port))
                client.recv(1024)
                socket.create_connection((LOOPBACK, port), 1.0).close()
                return
            time.sleep(0.002)
    raise BenchError("the service did not serve its first PV")
