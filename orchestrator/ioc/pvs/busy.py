"""The busy PV: 1 while something goes on, a put-callback that completes at its end."""

from __future__ import annotations

import asyncio
from typing import Any

import caproto as ca
from caproto.server import PvpropertyEnum

_ALARM = {
    "status": ca.AlarmStatus.WRITE,
    "severity": ca.AlarmSeverity.MAJOR_ALARM,
}
_NO_ALARM = {
    "status": ca.AlarmStatus.NO_ALARM,
    "severity": ca.AlarmSeverity.NO_ALARM,
}


class BusyPV(PvpropertyEnum):  # type: ignore[misc] # caproto is untyped
    """A PV like the busy record: `pvproperty(dtype=BusyPV)` with a putter that does the work.

    A put of 1 shows 1, awaits the putter with 1, and shows 0 again, also when the putter
    fails: then with WRITE/MAJOR, until the next success; its put-callback fails. Both edges
    are always posted. A put of 1 while one is under way waits for it, then does its own.
    A put of 0 calls the putter with 0 at once, which may end the work; it shows nothing itself.

    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import BusyPV, Group
    >>> class Oven(Group):
    ...     bake = pvproperty(dtype=BusyPV)
    ...
    ...     @bake.putter
    ...     async def bake(self, instance, value):
    ...         if value:
    ...             await instance.async_lib.library.sleep(10)
    >>> Oven(prefix="OVEN:").bake.enum_strings
    ('Done', 'Busy')
    """

    default_value = 0

    def __init__(
        self,
        *,
        value: int = 0,
        enum_strings: tuple[str, str] = ("Done", "Busy"),
        alarm: Any = None,
        **kwargs: Any,
    ) -> None:
        del alarm  # caproto's groups give all their PVs the same one
        super().__init__(
            value=enum_strings[value],
            enum_strings=enum_strings,
            alarm=ca.ChannelAlarm(),
            **kwargs,
        )
        self._working = asyncio.Lock()

    async def write_from_dbr(
        self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0
    ) -> None:
        """Take a put from a client; called by caproto."""
        del data_type, metadata, flags
        if self._state(data[0]):
            await self.work()
        elif self.putter is not None:
            await self.putter(self, 0)

    async def work(self) -> None:
        """Do what a client's put of 1 does, and return when it is done.

        Raises:
            Exception: What the putter raised.
        """
        async with self._working:
            await self._show(1)
            alarm = _ALARM
            try:
                if self.putter is not None:
                    await self.putter(self, 1)
                alarm = _NO_ALARM
            finally:
                await self._show(0, **alarm)

    async def _show(self, state: int, **alarm: Any) -> None:
        await self.write(self.enum_strings[state], verify_value=False, **alarm)

    def _state(self, raw: Any) -> int:
        """0 or 1, from a number, a label, or a number's text (as a C IOC takes it)."""
        text = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
        if text in self.enum_strings:
            return int(self.enum_strings.index(text))
        if text in ("0", "1"):
            return int(text)
        raise ValueError(f"{self.pvname} takes 0, 1 or {' or '.join(self.enum_strings)}: {text!r}")
