"""The sequence server of the kit, without clients and with no master but the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from orchestrator.ioc import SequenceServer
from orchestrator.ioc.sequence_server.sub_group import MOST_JOBS

MAJOR, MINOR = 2, 1


class System:
    """Moves when it is let go."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.reached: list[Any] = []

    def io_execute(self, pv_name: str, value: Any) -> None:
        if not self.may_go.wait(10):
            raise TimeoutError(pv_name)
        self.reached.append(value)


@asynccontextmanager
async def working(**options: Any) -> AsyncIterator[SequenceServer]:
    server = SequenceServer("T:", system=System(), server_name="stage", **options)
    task = asyncio.create_task(server._work())
    try:
        await server._load("[10, 11, 12]")
        yield server
    finally:
        server.system.may_go.set()
        task.cancel()


async def until_idle(server: SequenceServer) -> None:
    async with asyncio.timeout(10):
        while server._waiting:  # noqa: ASYNC110 - polled: its last post has no event
            await asyncio.sleep(0.001)


async def test_what_comes_beyond_the_bound_is_refused_and_not_kept() -> None:
    """A master goes on though the system is stuck: bad objects count as well."""
    async with working() as server:
        for seq in range(MOST_JOBS):
            await server.take(f'{{"seq": {seq}, "stage": {seq % 3}}}')
        await server.take('{"seq": 1999, "laser": 1}')
        assert (server._waiting, server.message.value) == (MOST_JOBS, ""), "it asks others"
        for text in ("nonsense", '{"seq": 2000, "stage": 1}'):
            await server.take(text)
        assert server._waiting == MOST_JOBS
        assert server.message.value == "1,000 trajectories and indices wait already"
        assert server.message.alarm.severity == MAJOR
        server.system.may_go.set()
        await until_idle(server)
        assert len(server.system.reached) == MOST_JOBS
        assert list(server.index.value) == [MOST_JOBS - 1, (MOST_JOBS - 1) % 3]
        await server.take('{"seq": 2000, "stage": 1}')  # the refused one, once more
        await until_idle(server)
        assert list(server.index.value) == [2000, 1]


async def test_a_master_that_is_not_there_is_told_until_it_comes_whatever_else_succeeds() -> None:
    async with working(master="TOP:") as server:
        server.system.may_go.set()
        await server._lost()
        await server.take("nonsense")
        await until_idle(server)
        assert server.message.alarm.severity == MAJOR
        await server.take('{"seq": 1, "stage": 1}')
        await until_idle(server)
        assert server.message.value == "TOP:Nested_Indices is not connected"
        assert server.message.alarm.severity == MINOR
