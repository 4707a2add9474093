"""A client process that meets the end of an IOC: quiet_client.py PV SCENE."""

import asyncio
import atexit
import logging
import sys
import time
from pathlib import Path

import structlog

from orchestrator.client import Client, get_values
from orchestrator.queues import MergeQueue
from orchestrator.types import LinkChange

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def idle() -> float:
    """Seconds for which the main thread has waited for something else than a processor."""
    try:
        ran, queued, _ = Path("/proc/self/schedstat").read_text().split()
    except FileNotFoundError:  # not on Linux: the wait for a processor counts as well
        return time.monotonic()
    return time.monotonic() - (int(ran) + int(queued)) / 1e9


async def lost(pv: str) -> None:
    """Follow until the IOC is killed."""
    queue: MergeQueue = MergeQueue(lambda _item: None)
    async with Client({}, queue) as client:
        await client.connect([pv], 5)
        say("READY")
        while True:
            for item in await queue.batch():
                if isinstance(item, LinkChange) and not item.connected:
                    await asyncio.sleep(0.3)
                    return


async def pending(pv: str) -> None:
    """Leave with gets and puts outstanding at a frozen IOC."""
    async with Client({}, MergeQueue(lambda _item: None)) as client:
        await client.connect([pv], 5)
        say("READY")
        await asyncio.to_thread(sys.stdin.readline)
        begun.append(idle())
        tasks = [
            asyncio.create_task(client.get([pv, "NO:SUCH:PV"], 30)),
            asyncio.create_task(client.put(pv, 1.0, completion=True, timeout=30)),
        ]
        while client.outstanding(pv) is None:  # noqa: ASYNC110 - it tells only by being asked
            await asyncio.sleep(0.01)
    await asyncio.gather(*tasks, return_exceptions=True)


async def interrupted(pv: str) -> None:
    """Be interrupted while all is well."""
    async with Client({}, MergeQueue(lambda _item: None)) as client:
        await client.connect([pv], 5)
        say("READY")
        await client.get(["NO:SUCH:PV"], 60)


async def again(pv: str) -> None:
    """Open and close clients in one loop, one after the other."""
    for _ in range(3):
        (answer,) = await get_values([pv])
        say(str(answer.reading))
    say("READY")


async def refused(pv: str) -> None:
    """Put without callback what the server refuses."""
    async with Client({}, MergeQueue(lambda _item: None)) as client:
        await client.connect([pv], 5)
        await client.put(pv, 1.0, completion=False, timeout=5)
        await asyncio.sleep(0.3)
    say("READY")


begun: list[float] = []
# What is registered first is called last: when libca has been left.
atexit.register(lambda: begun and say(f"waited {idle() - begun[0]}"))
scenes = {scene.__name__: scene for scene in (lost, pending, interrupted, again, refused)}
try:
    asyncio.run(scenes[sys.argv[2]](sys.argv[1]))
except KeyboardInterrupt:
    sys.exit(3)
