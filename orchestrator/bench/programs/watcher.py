"""Another client: monitors PVs and notes how late each update came.

Settings: `pvs`, all that may be watched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.startup import libca  # noqa: F401 - before anything imports libca

# isort: split
import aioca
import numpy as np

from orchestrator.bench.programs.answering import answer_all, settings


class Watcher:
    """Delays and values by PV since the last `reset`."""

    def __init__(self) -> None:
        """Nothing is watched yet."""
        self._delays: dict[str, list[float]] = {}
        self._values: dict[str, list[float]] = {}
        self._bytes: dict[str, int] = {}

    async def watch(self, pv: str) -> None:
        """Begin; return when it has a value."""
        self._clear(pv)
        aioca.camonitor(
            pv, lambda value: self._take(pv, value), format=aioca.FORMAT_TIME, all_updates=True
        )
        while not self._values[pv]:  # noqa: ASYNC110 - an event would cost each callback
            await asyncio.sleep(0.01)

    async def reset(self) -> dict[str, Any]:
        """Forget what came."""
        for pv in self._delays:
            self._clear(pv)
        return {"now": time.perf_counter()}

    async def collect(self, pv: str) -> dict[str, Any]:
        """What came: seconds from the number in each value, taken for a time, to its arrival."""
        return {
            "now": time.perf_counter(),
            "delays": self._delays[pv],
            "values": self._values[pv],
            "bytes": self._bytes[pv],
        }

    def _take(self, pv: str, value: Any) -> None:
        now = time.time()
        array = np.atleast_1d(value)
        if array.size:  # a mirror of a waveform is empty at first
            number = float(array[0])
            self._values[pv].append(number)
            self._delays[pv].append(now - number)
            self._bytes[pv] += array.nbytes

    def _clear(self, pv: str) -> None:
        self._delays[pv], self._values[pv], self._bytes[pv] = [], [], 0


async def main(given: Mapping[str, Any]) -> None:
    """Answer until the benchmark has no more questions."""
    watcher = Watcher()
    async with asyncio.timeout(30):
        for pv in given["pvs"]:
            await watcher.watch(pv)
    await answer_all({"reset": watcher.reset, "collect": watcher.collect})


if __name__ == "__main__":
    asyncio.run(main(settings()))
