"""Runs a short sequence many times in one service of its own, and prints what it holds as JSON.

Arguments: the configuration, the sequence's name, the numbers of the runs after which to count.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import structlog

from orchestrator.client import configure_environment
from orchestrator.config import load_config
from orchestrator.service import Service, open_service
from orchestrator.types import RunEnded

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for JSON
ONCE = "START_CNT.server_startup"
"""A hook of caproto's StatusHelper that waits 3 s at the start, then ends."""


def tasks() -> list[str]:
    names = (task.get_name() for task in asyncio.all_tasks())
    return sorted(name for name in names if not name.endswith(ONCE))


async def fill_pool() -> None:
    """Have the loop's pool start all its threads: it does so on demand, up to its bound."""
    size = min(32, (os.cpu_count() or 1) + 4)
    together = threading.Barrier(size)
    async with asyncio.TaskGroup() as group:
        for _ in range(size):
            group.create_task(asyncio.to_thread(together.wait, 10))


async def settled() -> None:
    """Return when tasks and threads of the last run have had their turn to end."""
    before = -1
    while before != len(tasks()):
        before = len(tasks())
        await asyncio.sleep(0.2)


def give_back() -> None:
    """Return to the system what is free: glibc keeps it, about 1 MB, for the next run."""
    gc.collect()
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def count(run: int) -> dict[str, object]:
    give_back()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "run": run,
        "tasks": tasks(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "native": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "objects": len(gc.get_objects()),
        "at": time.monotonic(),
    }


async def runs(service: Service, name: str, marks: list[int]) -> None:
    for number in range(1, marks[-1] + 1):
        end = await service.run(name, args={"points": 3})
        if not (isinstance(end, RunEnded) and end.status == "Success"):
            raise SystemExit(f"run {number}: {end}")
        if number in marks:
            await settled()
            sys.stdout.write(json.dumps(count(number)) + "\n")
            sys.stdout.flush()


async def main() -> None:
    file, name, *marks = sys.argv[1:]
    config = load_config(Path(file))
    configure_environment(config)
    await fill_pool()
    async with open_service(config) as service:
        await runs(service, name, [int(mark) for mark in marks])


if __name__ == "__main__":
    asyncio.run(main())
