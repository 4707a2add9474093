"""The kit's monitor of another IOC ends when it is told to, whatever its client makes of that."""

from __future__ import annotations

import os
import sys
from contextlib import closing

import pytest

from sim_iocs.process import Process

SWALLOWS = """
import asyncio, os, sys
from contextlib import suppress
from orchestrator.ioc import Monitor, monitor
from orchestrator.ioc import serve
from caproto import ChannelDouble
from caproto.asyncio.client import PV

monitor.PATIENCE, monitor.ASKING = float(sys.argv[2]), 0.01
at, tries = asyncio.Event(), []

async def swallow():
    # As wait_for of Python 3.11 does, where what it waits for is there in the same turn.
    tries.append(1)
    at.set()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(1000)

async def nothing(*_):
    pass

async def main():
    read = PV.read
    async def answered(pv, **options):
        await swallow()
        return await read(pv, **options)
    PV.read = answered
    async with serve({"T:one": ChannelDouble(value=1.0)}, port=0, interfaces=["127.0.0.1"]) as ioc:
        os.environ["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{ioc.port}"
        watching = asyncio.create_task(Monitor(sys.argv[1], nothing, swallow).watch())
        await at.wait()
        watching.cancel()
        await asyncio.wait([watching], timeout=10)
        print(watching.done() and watching.cancelled(), len(tries))
        os._exit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize(("pv", "patience"), [("NO:SUCH:PV", 0.01), ("T:one", 20)])
def test_it_ends_though_its_cancellation_was_swallowed(pv: str, patience: float) -> None:
    """An IOC of a fleet that was stopped at once searched for another for ever, and never ended."""
    env = os.environ | {"EPICS_CA_AUTO_ADDR_LIST": "NO"}
    command = [sys.executable, "-u", "-c", SWALLOWS, pv, str(patience)]
    with closing(Process("the monitor", command, env)) as process:
        assert process.end(60) == 0, process.errors
        assert process.output.splitlines()[-1] == "True 1", process.errors


AT_ONCE = """
import asyncio
from orchestrator.ioc import Monitor

async def nothing(*_):
    pass

async def main():
    monitor = Monitor("NO:SUCH:PV", nothing, nothing)
    for turns in range(1, 30):
        watching = asyncio.create_task(monitor.watch())
        for _ in range(turns):
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])
        print(turns, watching.cancelled() or watching.exception())

asyncio.run(main())
"""


def test_it_ends_quietly_though_its_client_has_not_begun_to_search() -> None:
    """An IOC that was stopped in the moment in which it was ready ended in a traceback."""
    env = os.environ | {"EPICS_CA_ADDR_LIST": "127.0.0.1", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    with closing(Process("the monitor", [sys.executable, "-c", AT_ONCE], env)) as process:
        assert process.end(60) == 0, process.errors
        assert process.output.splitlines() == [f"{turns} True" for turns in range(1, 30)]
