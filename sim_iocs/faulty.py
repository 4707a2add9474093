"""An IOC that misbehaves on command: what a sequence has to bear, one PV a fault.

Prefix `SIM:FAULTY:`:

| PV            | type     | unit | meaning                                                      |
| ------------- | -------- | ---- | ------------------------------------------------------------ |
| Setpoint      | double   | mm   | Wanted. Its put-callback completes as Mode says.             |
| Readback      | double   | mm   | Follows as Mode says.                                        |
| Mode          | enum     |      | Good: Readback gets there after Delay; then the put          |
|               |          |      | completes. Lags: completes at once, gets there after Delay.  |
|               |          |      | Hangs: gets there, but completes only when Mode is changed.  |
|               |          |      | Misses: completes, but Readback is off by Miss. Sticks:      |
|               |          |      | completes, but Readback stays. Drifts: gets there, then      |
|               |          |      | leaves at Drift. Refuses: the put fails. NaN: Readback is    |
|               |          |      | NaN. Invalid: it gets there, but in INVALID alarm.           |
| Delay         | double   | s    | From a put to its arrival. A later put starts it anew.       |
| Miss          | double   | mm   | How far Readback ends from Setpoint in mode Misses.          |
| Drift         | double   | mm/s | How fast it leaves in mode Drifts.                           |
| Heartbeat     | int      |      | Counts once a second.                                        |
| Heart         | enum     |      | Beats, Stands: whether Heartbeat counts.                     |
| Flood         | int      |      | Counts FloodRate times a second.                             |
| FloodRate     | double   | 1/s  | 0 … 20000.                                                   |
| Stamped       | int      |      | Counts five times a second, stamped as Stamps says.          |
| Stamps        | enum     |      | Now; Old: an hour ago; Future: an hour ahead; Backwards:     |
|               |          |      | each a second before the last; Swapped: each second one is   |
|               |          |      | a second behind the one before it; Never: EPICS's zero.      |
| Changing      | as told  |      | Something else after a put to ChangeTo: its clients are      |
|               |          |      | disconnected from it and find it with another type, libca    |
|               |          |      | ten seconds later.                                           |
| ChangeTo      | enum     |      | Double, Long, Enum, Array, Text.                             |
| Labels        | enum     |      | Low, High; after a put to Relabel: Off, On, Auto.            |
| Relabel       | int      |      | 1: the other labels.                                         |
| Disconnect    | int      |      | 1 disconnects all clients, the one that asked first of all:  |
|               |          |      | its put fails. They come back by themselves.                 |

For late answers of all PVs, refused writes and an alarm on any PV of any IOC there are the fault
levers; for a dead or a frozen IOC, its process.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from orchestrator.ioc import TextChannel
from sim_iocs.base import NO_ALARM, SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
import caproto as ca
from caproto import AlarmSeverity, AlarmStatus, ChannelType, SkipWrite
from caproto.server import pvproperty

TICK = 0.02
"""Seconds between two looks at what is due."""

HOUR = 3600.0
EPICS_ZERO = 631_152_000.0
"""1990-01-01 in seconds since 1970: the timestamp of a record that was never processed."""

LABELS = (("Low", "High"), ("Off", "On", "Auto"))

_INVALID = (AlarmStatus.READ, AlarmSeverity.INVALID_ALARM)
_LENGTH = {"units": "mm", "precision": 3}


def _choice(name: str, *labels: str) -> Any:
    """An enum, at first its first label."""
    return pvproperty(name=name, value=labels[0], dtype=ChannelType.ENUM, enum_strings=labels)


class FaultyIOC(SimGroup):
    """All of it."""

    setpoint = pvproperty(name="Setpoint", value=0.0, doc="wanted", **_LENGTH)
    readback = pvproperty(name="Readback", value=0.0, read_only=True, **_LENGTH)
    mode = _choice(
        "Mode", "Good", "Lags", "Hangs", "Misses", "Sticks", "Drifts", "Refuses", "NaN", "Invalid"
    )
    delay = pvproperty(name="Delay", value=0.1, units="s", precision=3, doc="of the readback")
    miss = pvproperty(name="Miss", value=0.5, doc="in mode Misses", **_LENGTH)
    drift = pvproperty(name="Drift", value=0.1, units="mm/s", precision=3, doc="in mode Drifts")
    heartbeat = pvproperty(name="Heartbeat", value=0, read_only=True, doc="once a second")
    heart = _choice("Heart", "Beats", "Stands")
    flood = pvproperty(name="Flood", value=0, read_only=True, doc="FloodRate times a second")
    flood_rate = pvproperty(
        name="FloodRate", value=0.0, units="1/s", lower_ctrl_limit=0.0, upper_ctrl_limit=20_000.0
    )
    stamped = pvproperty(name="Stamped", value=0, read_only=True, doc="five times a second")
    stamps = _choice("Stamps", "Now", "Old", "Future", "Backwards", "Swapped", "Never")
    changing = pvproperty(name="Changing", value=0.0, doc="of a type that changes")
    change_to = _choice("ChangeTo", "Double", "Long", "Enum", "Array", "Text")
    labels = _choice("Labels", *LABELS[0])
    relabel = pvproperty(name="Relabel", value=0, doc="1: the other labels")
    disconnect = pvproperty(name="Disconnect", value=0, doc="1: all clients")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._where = 0.0  # where the readback would be if it could be read
        self._goal: float | None = None
        self._due = 0.0
        self._ticked = asyncio.Event()
        self._last_stamp = 0.0

    # The pair ---------------------------------------------------------------------------------

    @setpoint.putter
    async def setpoint(self, instance: Any, value: float) -> None:
        """Start towards it; returns as the mode says."""
        if self.mode.value == "Refuses":
            raise RuntimeError(f"{instance.pvname} refuses all puts: so says {self.mode.pvname}")
        await post(instance, value)
        self._goal, self._due = value, _now() + self.delay.value
        if self.mode.value != "Lags":
            while self.mode.value == "Hangs" or self._goal is not None:
                await self._ticked.wait()
        raise SkipWrite  # it has been posted

    @readback.startup
    async def readback(self, instance: Any, async_lib: Any) -> None:
        """Move for ever; the only writer of Readback."""
        del async_lib
        shown, last = "", _now()
        while True:
            await asyncio.sleep(TICK)
            last, dt = _now(), _now() - last
            self._move(dt)
            value = math.nan if self.mode.value == "NaN" else self._where
            alarm = _INVALID if self.mode.value == "Invalid" else NO_ALARM
            if shown != (shown := f"{value} {alarm}"):  # NaN is not equal to itself
                await post(instance, value, alarm)
            self._ticked.set()  # whoever waits looks once
            self._ticked.clear()

    def _move(self, dt: float) -> None:
        mode = self.mode.value
        if self._goal is None:
            self._where += self.drift.value * dt if mode == "Drifts" else 0.0
        elif _now() >= self._due:
            if mode != "Sticks":
                self._where = self._goal + (self.miss.value if mode == "Misses" else 0.0)
            self._goal = None

    # Updates that come too often, or not at all, or with a wrong time ------------------------

    @heartbeat.scan(period=1.0)
    async def heartbeat(self, instance: Any, async_lib: Any) -> None:
        """Beat."""
        del async_lib
        if self.heart.value == "Beats":
            await post(instance, instance.value + 1)

    @flood.startup
    async def flood(self, instance: Any, async_lib: Any) -> None:
        """Count as often as asked for, as far as clients leave time for it."""
        del async_lib
        owed, last = 0.0, _now()
        while True:
            await asyncio.sleep(TICK)
            last, dt = _now(), _now() - last
            owed = min(owed + self.flood_rate.value * dt, self.flood_rate.value)
            while owed >= 1 and self.flood_rate.value:  # 0 stops it with what is still owed
                await post(instance, instance.value + 1)
                owed -= 1
                if self.server:
                    await self.server.room()

    @stamped.scan(period=0.2)
    async def stamped(self, instance: Any, async_lib: Any) -> None:
        """Count, at another time than now perhaps."""
        del async_lib
        count = instance.value + 1
        now = time.time()
        self._last_stamp = {
            "Old": now - HOUR,
            "Future": now + HOUR,
            "Backwards": (self._last_stamp or now) - 1,
            "Swapped": now - count % 2,
            "Never": EPICS_ZERO,
        }.get(self.stamps.value, now)
        await instance.write(count, verify_value=False, timestamp=self._last_stamp)

    # PVs and connections that change ---------------------------------------------------------

    @change_to.putter
    async def change_to(self, instance: Any, value: str) -> None:
        """Serve something else by the same name."""
        del instance
        if self.server:
            await self.server.replace_pv(self.changing.pvname, _channel(value))

    @relabel.putter
    async def relabel(self, instance: Any, value: int) -> int:
        """Give the enum the other labels, as a PLC does that was loaded anew."""
        del instance
        if value:
            old, new = LABELS if tuple(self.labels.enum_strings) == LABELS[0] else LABELS[::-1]
            index = min(old.index(self.labels.value), len(new) - 1)
            await self.labels.write_metadata(enum_strings=new, publish=False)
            await post(self.labels, new[index])
        return 0

    @disconnect.putter
    async def disconnect(self, instance: Any, value: int) -> int:
        """Hang up on everybody."""
        del instance
        if value and self.server:
            self.server.disconnect_clients()
        return 0


def _now() -> float:
    return asyncio.get_running_loop().time()


def _channel(kind: str) -> Any:
    match kind:
        case "Long":
            return ca.ChannelInteger(value=1)
        case "Enum":
            return ca.ChannelEnum(value="One", enum_strings=["Zero", "One"])
        case "Array":
            return ca.ChannelDouble(value=[0.0, 1.0, 2.0])
        case "Text":
            return TextChannel(value="one")
    return ca.ChannelDouble(value=1.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(FaultyIOC, argv, default_prefix="SIM:FAULTY:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
