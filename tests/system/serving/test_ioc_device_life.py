"""The life of a device behind a server in this process."""

from __future__ import annotations

import asyncio
import threading

from caproto.server import pvproperty
from ioc_kit_clients import until
from ioc_kit_raw import RawClient

from orchestrator.ioc import Device, DeviceGroup, Published, Queued, serve


class Counter(Device):
    """Counts."""

    period = 0.001

    def acquire(self) -> int:
        self.publish(count=self.acquired)
        return self.acquired

    def process(self, window: object) -> None: ...

    def add(self, number: int) -> int:
        return number + 1


class CounterIOC(DeviceGroup):
    """Its PVs."""

    device_class = Counter
    wiring = {"count": Published(), "add": Queued("add")}  # noqa: RUF012 - as users write it
    count = pvproperty(value=0, read_only=True)
    add = pvproperty(value=0)


async def test_twenty_servers_on_one_device_leave_neither_thread_nor_task() -> None:
    threads, tasks = threading.active_count(), asyncio.all_tasks()
    group = CounterIOC("C:")
    for _ in range(20):
        before = group.device.acquired
        async with serve(group.pvdb, port=0, interfaces=["127.0.0.1"]):
            await until(lambda before=before: group.count.value > before + 2)
    await until(lambda: threading.active_count() == threads)
    assert asyncio.all_tasks() == tasks


async def test_a_put_under_way_when_the_server_stops_leaves_nothing_behind() -> None:
    class Blocking(Counter):
        blocked, go = threading.Event(), threading.Event()

        def add(self, number: int) -> int:
            self.blocked.set()
            self.go.wait(10)
            return number

    threads, tasks = threading.active_count(), asyncio.all_tasks()
    device = Blocking()
    group = CounterIOC("C:", device=device)
    async with serve(group.pvdb, port=0, interfaces=["127.0.0.1"]) as server:
        client = await RawClient.connect(server.port)
        channel = await client.channel("C:add")
        await client.send(channel.write([1], notify=True))
        await until(device.blocked.is_set)
    assert await client.is_disconnected()
    await client.__aexit__()
    assert asyncio.all_tasks() == tasks
    device.go.set()
    await until(lambda: threading.active_count() == threads)
