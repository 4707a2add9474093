"""A small IOC, whose PVs show what the kit is for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from caproto import ChannelType
from caproto.server import pvproperty
from ioc_kit_clients import Clients, clients

from orchestrator.ioc import BusyPV, Group, IocServer, Put, TextPV, TextRO, current_put, serve


class SmallIOC(Group):
    """PVs of every kind."""

    def __init__(self, prefix: str = "T:", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.work = asyncio.Event()
        self.put = Put()

    async def _check(self, _pv: Any, value: float) -> float:
        self.put = current_put()
        if value < 0:
            raise ValueError("negative")
        return value

    async def _work(self, _pv: Any, value: int) -> None:
        if value:
            await self.work.wait()
            if self.number.value == 13.0:
                raise RuntimeError("unlucky")

    number = pvproperty(name="number", value=1.0, precision=3, units="mm", put=_check)
    other = pvproperty(name="other", value=2.0)
    text = pvproperty(name="text", dtype=TextPV, value="as it was", max_length=200)
    fixed = pvproperty(name="fixed", dtype=TextRO, value="unwritable")
    busy = pvproperty(name="busy", dtype=BusyPV, put=_work)
    string = pvproperty(name="string", dtype=ChannelType.STRING, value="s")
    wave = pvproperty(name="wave", value=[1.0, 2.0], max_length=10)


@asynccontextmanager
async def small_ioc() -> AsyncIterator[tuple[SmallIOC, IocServer, Clients]]:
    """The IOC, served on a free port of its own, and who starts its clients."""
    ioc = SmallIOC()
    async with (
        serve(ioc.pvdb, port=0, interfaces=["127.0.0.1"]) as server,
        clients(server.port) as started,
    ):
        yield ioc, server, started
