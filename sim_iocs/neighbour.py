"""What an IOC knows of another one's PV: by a monitor of its own, over Channel Access."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.ioc import Monitor  # first: it sets caproto up

# isort: split
from caproto import AlarmSeverity, ChannelType

Changed = Callable[[], Awaitable[None]]


class Neighbour:
    """A PV of another IOC, known while it is watched."""

    def __init__(self, name: str, data_type: ChannelType, changed: Changed) -> None:
        """Know its name.

        Args:
            name: of the PV.
            data_type: as which it is asked for: TIME_DOUBLE, or TIME_STRING for an enum's label.
            changed: called in the event loop after each change of `value`.
        """
        self.name = name
        self.value: Any = None
        """The last value; None while it is not connected, INVALID, or its IOC does not answer."""
        self._changed = changed
        self._monitor = Monitor(name, self._update, self._lost, data_type=data_type)

    async def watch(self) -> None:
        """Follow it for ever, as it comes and goes."""
        await self._monitor.watch()

    async def _lost(self) -> None:
        if self.value is not None:
            self.value = None
            await self._changed()

    async def _update(self, response: Any) -> None:
        valid = response.metadata.severity != AlarmSeverity.INVALID_ALARM
        value = response.data[0] if valid else None
        self.value = value.decode() if isinstance(value, bytes) else value
        await self._changed()
