"""The service itself, in a process that the benchmark can ask.

Settings: `config`, the file; `wait`: whether to be ready only when each channel has its first
value.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator import loops
from orchestrator.bench.programs.answering import Verb, answer_all, resident, settings
from orchestrator.client import configure_environment
from orchestrator.config import load_config
from orchestrator.service import Service, open_service, spare_the_collector
from orchestrator.types import RunEnded


class Ours:
    """What the benchmark asks of a running service."""

    def __init__(self, service: Service) -> None:
        """The service runs already."""
        self._service = service
        # The benchmark looks inside; users have PVs for all of this.
        self._table = service._device.table  # noqa: SLF001
        self._pull = service._pull  # noqa: SLF001

    async def first_values(self) -> None:
        """Return when each channel's first value was examined."""
        waiting = [c.name for c in self._service.config.channels.values() if c.monitor]
        while waiting:
            while waiting and self._table.channel(waiting[-1]).reading is not None:
                waiting.pop()
            await asyncio.sleep(0.002)

    async def run(self, text: str) -> dict[str, Any]:
        """Run a document to its end."""
        began = time.perf_counter()
        end = await self._service.run(text=text)
        taken = time.perf_counter() - began
        if not isinstance(end, RunEnded) or end.status != "Success":
            raise RuntimeError(f"the run did not succeed: {end}")
        return {"seconds": taken, "rss": resident()}

    async def figures(self) -> dict[str, Any]:
        """Of the pull queue."""
        figures = self._pull.figures
        return {"total": figures.total, "merged": figures.merged, "most": figures.most}

    async def gaps(self) -> dict[str, Any]:
        """Numbers that are missing between those in the buffers of counters."""
        windows = [
            state.buffer.window()
            for name in self._service.config.channels
            if (state := self._table.channel(name)).buffer is not None
        ]
        return {"missing": sum(int(np.abs(np.diff(window) - 1).sum()) for window in windows)}


async def main(given: Mapping[str, Any]) -> None:
    """Serve until the benchmark has no more questions."""
    began = time.perf_counter()
    config = load_config(Path(given["config"]))
    loaded = time.perf_counter() - began
    configure_environment(config)
    spare_the_collector()
    before, began = resident(), time.perf_counter()
    async with open_service(config) as service:
        ours = Ours(service)
        if given.get("wait", True):
            await ours.first_values()
        taken = time.perf_counter() - began
        gc.collect()
        ready = {"seconds": taken, "loaded": loaded, "bytes": resident() - before}
        verbs: dict[str, Verb] = {"run": ours.run, "figures": ours.figures, "gaps": ours.gaps}
        await answer_all(verbs, ready)


if __name__ == "__main__":
    loops.run(main(settings()))
