"""A device that hears of other IOCs' PVs: each value shown, and given to a method in its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np
from caproto import ChannelType

from orchestrator.ioc.device.device import Device
from orchestrator.ioc.device.device_items import NotOpenError
from orchestrator.ioc.device.wiring import Remote, call_or_set
from orchestrator.ioc.device.workers import described
from orchestrator.ioc.monitor import Monitor
from orchestrator.ioc.pvs.posting import fitting, post
from orchestrator.types import Alarm, Severity

MOST_KEPT = 1000
"""Values of a `keep_all` that wait for the device; the oldest go, which is told."""

_LINK_LOST = (int(Alarm.LINK), int(Severity.INVALID))


class Follower:
    """One line of the table that names a PV of another IOC."""

    def __init__(
        self,
        name: str,
        entry: Remote,
        device: Device,
        shown: Any | None,
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        """Nothing is asked for before `run`.

        Args:
            name: Of the PV, in full.
            entry: The line of the table.
            device: Whose methods are called.
            shown: The PV of the group that shows it too, if there is one.
            tell: Shows a text in `message`.
        """
        self.name = name
        self._device = device
        self._shown = shown
        self._tell = tell
        self._take = call_or_set(device, entry.to) if entry.to else None
        self._end: Callable[[], Any] | None = getattr(device, entry.lost) if entry.lost else None
        self._waiting: deque[Callable[[], Any]] = deque(maxlen=MOST_KEPT if entry.keep_all else 1)
        self._keep_all = entry.keep_all
        self._more = asyncio.Event()
        self._connected = False
        data_type = ChannelType.TIME_STRING if entry.text else "time"
        self._monitor = Monitor(name, self._took, self._lost, data_type=data_type, data_count=0)

    async def run(self) -> None:
        """Follow it for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._monitor.watch(), name=f"watch {self.name}")
            tasks.create_task(self._give(), name=f"give {self.name}")

    async def _took(self, response: Any) -> None:
        """An update has come. Nothing may be raised: caproto would end the subscription."""
        try:
            value, metadata = plain(response.data), response.metadata
            self._connected = True
            if self._shown is not None:
                alarm = (int(metadata.status), int(metadata.severity))
                shown = fitting(self._shown, value)
                await post(self._shown, shown, alarm, float(metadata.timestamp))
            if self._take is not None:
                await self._offer(partial(self._take, value))
        except Exception as error:  # noqa: BLE001 - one value must not end all others
            await self._tell(f"{self.name}: {described(error)}")

    async def _lost(self) -> None:
        """A connection has ended, or none came; told once until there is one."""
        if self._shown is not None and self._shown.alarm.status != Alarm.LINK:
            await post(self._shown, self._shown.value, _LINK_LOST)
        if self._connected and self._end is not None:
            await self._offer(self._end)
        self._connected = False

    async def _offer(self, call: Callable[[], Any]) -> None:
        if self._keep_all and len(self._waiting) == MOST_KEPT:
            await self._tell(f"{self.name}: {MOST_KEPT:,} values wait; the oldest is dropped")
        self._waiting.append(call)
        self._more.set()

    async def _give(self) -> None:
        """Hand what has come to the device, one after the other, in its own thread."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                call = self._waiting.popleft()
                try:
                    await asyncio.wrap_future(self._device.submit(self.name, call))
                except NotOpenError as error:  # it is not there: once it is, it gets the last one
                    await self._tell(f"{self.name}: {described(error)}")
                    if not self._waiting or self._keep_all:
                        self._waiting.appendleft(call)
                    await asyncio.sleep(self._device.retry_first)
                except Exception as error:  # noqa: BLE001 - the user's method
                    await self._tell(f"{self.name}: {described(error)}")


def plain(data: Any) -> Any:
    """What came, as Python's own: a number, a text; an array is numpy's."""
    values = data if isinstance(data, np.ndarray) else list(data)
    if len(values) != 1:
        return np.array(values)
    value = values[0]
    if isinstance(value, bytes):
        return value.partition(b"\0")[0].decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value
