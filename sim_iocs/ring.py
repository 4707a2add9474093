"""A storage ring: a current that decays, is filled again, and sometimes drops.

Prefix `SIM:RING:`:

| PV         | type   | unit | meaning                                                           |
| ---------- | ------ | ---- | ----------------------------------------------------------------- |
| Current    | double | mA   | Stored now, twice a second. MAJOR below 10.                       |
| State      | enum   |      | Beam, Injecting, Dumped.                                          |
| Mode       | enum   |      | TopUp: filled at 99 % of FullCurrent. Decay: only at 50 %.        |
| FullCurrent| double | mA   | To which it is filled.                                            |
| Lifetime   | double | s    | In which the current falls to 37 %.                               |
| FillRate   | double | mA/s | How fast it is filled.                                            |
| Dump       | int    |      | 1 dumps the beam now; a put-callback completes at once.           |
| DumpEvery  | double | s    | Mean time between dumps that come by themselves; 0: none do.      |
| DarkTime   | double | s    | From a dump to the next filling.                                  |

Write any PV that is not read-only to see how a sequence copes with it. The dumps come from
the seed, `--seed`.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs import physics
from sim_iocs.base import SimGroup, limit_alarm, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty

PERIOD = 0.5
"""Seconds between two values of the current."""

REFILL_AT = {"TopUp": 0.99, "Decay": 0.5}
"""Part of the full current at which it is filled."""

_CURRENT = {"units": "mA", "precision": 2, "lower_disp_limit": 0.0, "upper_disp_limit": 300.0}
# No upper alarm limit that a current ever reaches:
_ALARMS = {"lower_alarm_limit": 10.0, "upper_alarm_limit": 1e6}
_FULL = {"units": "mA", "precision": 1, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 1000.0}
_RATE = {"units": "mA/s", "precision": 1, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 1e6}
_TIME = {"units": "s", "precision": 1, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 1e6}


class RingIOC(SimGroup):
    """One ring."""

    current = pvproperty(name="Current", value=200.0, read_only=True, **_CURRENT, **_ALARMS)
    state = pvproperty(
        name="State",
        value="Beam",
        dtype=ChannelType.ENUM,
        enum_strings=["Beam", "Injecting", "Dumped"],
        read_only=True,
    )
    mode = pvproperty(
        name="Mode", value="TopUp", dtype=ChannelType.ENUM, enum_strings=list(REFILL_AT)
    )
    full_current = pvproperty(name="FullCurrent", value=200.0, doc="filled to", **_FULL)
    lifetime = pvproperty(name="Lifetime", value=3600.0, doc="to 37 %", **_TIME)
    fill_rate = pvproperty(name="FillRate", value=100.0, **_RATE)
    dump = pvproperty(name="Dump", value=0, doc="1 dumps the beam")
    dump_every = pvproperty(name="DumpEvery", value=0.0, doc="mean time; 0: never", **_TIME)
    dark_time = pvproperty(name="DarkTime", value=3.0, doc="from a dump to the filling", **_TIME)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._next_dump = math.inf
        self._refill = math.inf
        self._filling = False

    @current.startup
    async def current(self, instance: Any, async_lib: Any) -> None:
        """Live for ever."""
        del instance, async_lib
        last = _now()
        while True:
            await asyncio.sleep(PERIOD)
            last, dt = _now(), _now() - last
            if _now() >= self._next_dump:
                self._plan_dump()
                await self._drop()
            await self._step(dt)

    @dump.putter
    async def dump(self, instance: Any, value: int) -> int:
        """Dump the beam."""
        del instance
        if value:
            await self._drop()
        return 0

    @dump_every.putter
    async def dump_every(self, instance: Any, value: float) -> None:
        """Draw the next dump anew."""
        del instance
        self._plan_dump(value)

    def _plan_dump(self, mean: float | None = None) -> None:
        every = self.dump_every.value if mean is None else mean
        wait = physics.time_to_next(every, self.random) if every else math.inf
        self._next_dump = _now() + wait

    async def _drop(self) -> None:
        self._filling = False
        self._refill = _now() + self.dark_time.value
        await self._show(0.0, "Dumped")

    async def _step(self, dt: float) -> None:
        """Let `dt` seconds pass."""
        full = self.full_current.value
        if self.state.value == "Dumped" and _now() < self._refill:
            return
        current = physics.stored_current(self.current.value, self.lifetime.value or math.inf, dt)
        self._filling |= current <= REFILL_AT[self.mode.value] * full
        if self._filling:
            current = min(full, current + self.fill_rate.value * dt)
            self._filling = current < full
        await self._show(current, "Injecting" if self._filling else "Beam")

    async def _show(self, current: float, state: str) -> None:
        if state != self.state.value:
            await post(self.state, state)
        await post(self.current, current, limit_alarm(self.current, current))


def _now() -> float:
    return asyncio.get_running_loop().time()


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(RingIOC, argv, default_prefix="SIM:RING:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
