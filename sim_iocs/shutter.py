"""A shutter that takes its time and obeys an interlock.

Prefix `SIM:SHUTTER:`:

| PV         | type   | unit | meaning                                                           |
| ---------- | ------ | ---- | ----------------------------------------------------------------- |
| State      | enum   |      | Closed, Open: the command. A put-callback completes when it is    |
|            |        |      | there, and fails if it is not.                                    |
| State_RBV  | enum   |      | Closed, Open, Moving: where it is. MAJOR while interlocked.       |
| TravelTime | double | s    | From one end to the other.                                        |
| Interlock  | enum   |      | OK, Tripped: closes the shutter and keeps it closed. Write it     |
|            |        |      | to simulate a search that was broken.                             |

A put while it travels turns it around; the earlier put-callback then fails.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import (
    NO_ALARM,
    Alarm,
    SimGroup,
    post,
    run_sim,
    wait,
)  # first: it sets caproto up

# isort: split
from caproto import AlarmSeverity, AlarmStatus, ChannelType, SkipWrite
from caproto.server import pvproperty

_TRIPPED = (AlarmStatus.STATE, AlarmSeverity.MAJOR_ALARM)
_TIME = {"units": "s", "precision": 2, "lower_ctrl_limit": 0.01, "upper_ctrl_limit": 60.0}


class ShutterIOC(SimGroup):
    """One shutter."""

    state = pvproperty(
        name="State",
        value="Closed",
        dtype=ChannelType.ENUM,
        enum_strings=["Closed", "Open"],
        doc="command",
    )
    state_rbv = pvproperty(
        name="State_RBV",
        value="Closed",
        dtype=ChannelType.ENUM,
        enum_strings=["Closed", "Open", "Moving"],
        read_only=True,
        doc="where it is",
    )
    travel_time = pvproperty(name="TravelTime", value=0.3, doc="from end to end", **_TIME)
    interlock = pvproperty(
        name="Interlock",
        value="OK",
        dtype=ChannelType.ENUM,
        enum_strings=["OK", "Tripped"],
        doc="keeps it closed",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._travels = asyncio.Lock()
        self._turned = asyncio.Event()

    @state.putter
    async def state(self, instance: Any, value: str) -> None:
        """Go there; returns when it is there."""
        if value == "Open" and self.interlock.value == "Tripped":
            raise ValueError(f"{instance.pvname} stays closed: the interlock is tripped")
        await self._travel(value)
        raise SkipWrite  # _travel has posted it

    @interlock.putter
    async def interlock(self, instance: Any, value: str) -> str:
        """Trip it, which closes the shutter, or release it."""
        await post(instance, value)
        if value == "Tripped":
            await self._travel("Closed")
        await post(self.state_rbv, self.state_rbv.value, self._alarm)
        raise SkipWrite  # it has been posted

    @property
    def _alarm(self) -> Alarm:
        return _TRIPPED if self.interlock.value == "Tripped" else NO_ALARM

    async def _travel(self, where: str) -> None:
        """Travel there; only one travels at a time, and the last to ask wins.

        Raises:
            RuntimeError: it was turned around on its way.
        """
        self._turned.set()  # whoever travels now gives way
        self._turned = turned = asyncio.Event()
        await post(self.state, where)
        async with self._travels:
            if self.state_rbv.value != where and not turned.is_set():
                await post(self.state_rbv, "Moving", self._alarm)
                await wait(turned, self.travel_time.value)
            if turned.is_set():
                raise RuntimeError(f"{self.state.pvname} was turned around on its way to {where}")
            await post(self.state_rbv, where, self._alarm)
            if self.state.alarm.severity:  # of the one that was turned around
                await post(self.state, where)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(ShutterIOC, argv, default_prefix="SIM:SHUTTER:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
