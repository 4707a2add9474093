"""aioca by itself: puts, scans and monitors as a good hand-written program does them.

Settings: `monitor`, PVs to be monitored from the start; ready when each has its first value.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.startup import libca  # noqa: F401 - before anything imports libca

# isort: split
import aioca

from orchestrator import loops
from orchestrator.bench.programs.answering import Verb, answer_all, resident, settings


async def puts(pv: str, count: int) -> dict[str, Any]:
    """Puts with callback, one after the other."""
    await aioca.connect(pv)
    began = time.perf_counter()
    for index in range(count):
        await aioca.caput(pv, index % 100, wait=True, timeout=10)
    return {"seconds": time.perf_counter() - began}


async def puts_at_once(pvs: Sequence[str], count: int) -> dict[str, Any]:
    """Puts with callback to all of these at the same time, again and again."""
    await aioca.connect(pvs)
    began = time.perf_counter()
    for index in range(count):
        await asyncio.gather(*(aioca.caput(pv, index, wait=True, timeout=10) for pv in pvs))
    return {"seconds": time.perf_counter() - began}


async def scan(
    positioner: str, readback: str, sampled: Sequence[str], count: int
) -> dict[str, Any]:
    """Set, wait for the readback, read the channels fresh; keep the values."""
    position, moved = float("nan"), asyncio.Event()

    def changed(value: Any) -> None:
        nonlocal position
        position = float(value)
        moved.set()

    monitor = aioca.camonitor(readback, changed, format=aioca.FORMAT_TIME, all_updates=True)
    await aioca.connect([positioner, *sampled])
    rows = []
    began = time.perf_counter()
    for index in range(count):
        wanted = float(index)
        async with asyncio.timeout(10):
            await aioca.caput(positioner, wanted, wait=True, timeout=10)
            while abs(position - wanted) > 1e-3:
                moved.clear()
                await moved.wait()
        reads = (aioca.caget(pv, format=aioca.FORMAT_TIME, timeout=5) for pv in sampled)
        rows.append([float(value) for value in await asyncio.gather(*reads)])
    taken = time.perf_counter() - began
    monitor.close()
    return {"seconds": taken}


class Monitors:
    """Many channels, each with its last value."""

    def __init__(self) -> None:
        """None yet."""
        self.updates = 0
        self._last: dict[str, Any] = {}

    async def begin(self, pvs: Sequence[str]) -> dict[str, Any]:
        """Monitor these; return when each has its first value."""
        gc.collect()
        before, began = resident(), time.perf_counter()
        for pv in pvs:
            aioca.camonitor(
                pv,
                lambda value, pv=pv: self._take(pv, value),
                format=aioca.FORMAT_TIME,
                all_updates=True,
                notify_disconnect=True,
            )
        while len(self._last) < len(pvs):  # noqa: ASYNC110 - an event would cost each callback
            await asyncio.sleep(0.002)
        taken = time.perf_counter() - began
        gc.collect()
        return {"seconds": taken, "bytes": resident() - before}

    async def count(self) -> dict[str, Any]:
        """Updates so far."""
        return {"updates": self.updates}

    def _take(self, pv: str, value: Any) -> None:
        self._last[pv] = value
        self.updates += 1


async def main(given: Mapping[str, Any]) -> None:
    """Answer until the benchmark has no more questions."""
    monitors = Monitors()
    ready = await monitors.begin(given["monitor"]) if given.get("monitor") else {}
    verbs: dict[str, Verb] = {
        "puts": puts,
        "puts_at_once": puts_at_once,
        "scan": scan,
        "count": monitors.count,
    }
    await answer_all(verbs, ready)


if __name__ == "__main__":
    loops.run(main(settings()))
