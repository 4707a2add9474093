"""A beamline in one IOC: ring, shutter, slit, sample stage, and two detectors in the beam.

Prefix `SIM:BL:`:

| PV                | type   | unit   | meaning                                                  |
| ----------------- | ------ | ------ | -------------------------------------------------------- |
| Ring:Current, …   |        |        | The PVs of `ring`: decay, top-up, dumps on command.      |
| Shutter:State, …  |        |        | The PVs of `shutter`.                                    |
| Slit:Center, …    |        |        | A motor, the fields of `motor`: middle of the slit.      |
| Slit:Gap, …       |        |        | Another: its opening. It begins at 1 mm.                 |
| Sample:X, …       |        |        | Moves the sample across the beam.                        |
| Det:Acquire       | busy   |        | 1 counts for AcquireTime; a put-callback completes then. |
|                   |        |        | 0 ends it early, also completing it.                     |
| Det:AcquireTime   | double | s      | Of one exposure.                                         |
| Det:I0            | double | counts | Behind the slit.                                         |
| Det:Diode         | double | counts | Behind the sample; posted last.                          |
| Det:Ratio         | double |        | Diode / I0, which does not depend on the ring.           |
| Beam:Center       | double | mm     | Where the beam is, as the slit sees it; from the seed.   |
| Beam:Width        | double | mm     | Full width at half maximum.                              |
| Beam:Flux         | double | 1/s/mA | Photons a second for each mA in the ring.                |
| Rod:Center        | double | mm     | Sample:X at which the beam meets its middle; from the    |
|                   |        |        | seed. The sample is a round rod.                         |
| Rod:Radius        | double | mm     |                                                          |
| Rod:Absorption    | double | 1/mm   | 1 / the length in which 63 % of the photons are lost.    |

While the detectors count, what they see follows motors, shutter and ring; both count dark photons
too. With `--seed` all chance repeats.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.ioc import BusyPV
from sim_iocs import physics
from sim_iocs.base import SimGroup, post, run_sim, wait  # first: it sets caproto up
from sim_iocs.motor import Axis
from sim_iocs.ring import RingIOC
from sim_iocs.shutter import ShutterIOC

# isort: split
from caproto.server import SubGroup, pvproperty

SLICE = 0.05
"""Seconds of an exposure over which the beam is taken as constant."""

DARK = 20.0
"""Counts a second without beam."""

_COUNTS = {"units": "counts", "precision": 0}
_LENGTH = {"units": "mm", "precision": 3}
_SIZE = {**_LENGTH, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 100.0}
_TIME = {"units": "s", "precision": 3, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 3600.0}
_RATE = {"lower_ctrl_limit": 0.0, "upper_ctrl_limit": 1e9}


class Counters(SimGroup):
    """Two detectors that count together."""

    acquire = pvproperty(name="Acquire", dtype=BusyPV, enum_strings=("Done", "Acquire"))
    acquire_time = pvproperty(name="AcquireTime", value=0.1, doc="of one exposure", **_TIME)
    i0 = pvproperty(name="I0", value=0.0, read_only=True, doc="behind the slit", **_COUNTS)
    ratio = pvproperty(name="Ratio", value=0.0, read_only=True, precision=4)
    diode = pvproperty(name="Diode", value=0.0, read_only=True, doc="behind it all", **_COUNTS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rates: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
        """Photons a second at both, now."""
        self._stop = asyncio.Event()

    @acquire.putter
    async def acquire(self, instance: Any, value: int) -> None:
        """Count, or stop counting; the busy PV shows 1 and 0 around it."""
        del instance
        if not value:
            self._stop.set()
            return
        self._stop.clear()
        i0, diode = await self._expose(self.acquire_time.value)
        await post(self.i0, float(i0))
        await post(self.ratio, diode / i0 if i0 else 0.0)
        await post(self.diode, float(diode))

    async def _expose(self, seconds: float) -> tuple[int, int]:
        """Photons counted by both in a time, or until it is stopped."""
        clock = asyncio.get_running_loop().time
        totals = [0, 0]
        last = clock()
        end = last + seconds
        while (left := end - last) > 0 and not self._stop.is_set():
            rates = self.rates()
            await wait(self._stop, min(SLICE, left))
            last, dt = clock(), min(clock() - last, left)
            for which, rate in enumerate(rates):
                totals[which] += physics.counts(rate + DARK, dt, self.random)
        return totals[0], totals[1]


class MiniBeamlineIOC(SimGroup):
    """All of it."""

    ring = SubGroup(RingIOC, prefix="Ring:")
    shutter = SubGroup(ShutterIOC, prefix="Shutter:")
    slit_center = SubGroup(Axis, prefix="Slit:Center")
    slit_gap = SubGroup(Axis, prefix="Slit:Gap")
    sample = SubGroup(Axis, prefix="Sample:X")
    det = SubGroup(Counters, prefix="Det:")
    center = pvproperty(name="Beam:Center", value=0.0, doc="as the slit sees it", **_LENGTH)
    width = pvproperty(name="Beam:Width", value=0.8, doc="at half maximum", **_SIZE)
    flux = pvproperty(name="Beam:Flux", value=2000.0, units="1/s/mA", doc="photons", **_RATE)
    rod_center = pvproperty(name="Rod:Center", value=0.0, doc="in Sample:X", **_LENGTH)
    rod_radius = pvproperty(name="Rod:Radius", value=0.5, **_SIZE)
    absorption = pvproperty(name="Rod:Absorption", value=2.0, units="1/mm", precision=2, **_RATE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A source of chance each: what one draws must not depend on when the other does.
        self.ring.random, self.det.random = self.random.spawn(2)
        self.det.rates = self.rates

    @center.startup
    async def center(self, instance: Any, async_lib: Any) -> None:
        """Set up the beamline, as the last crew has left it."""
        del async_lib
        await post(instance, self.random.uniform(-0.5, 0.5))
        await post(self.rod_center, self.random.uniform(-0.5, 0.5))
        for pv in (self.slit_gap.val, self.slit_gap.rbv):
            await post(pv, 1.0)

    def rates(self) -> tuple[float, float]:
        """Photons a second behind the slit and behind the sample, now."""
        if self.shutter.state_rbv.value != "Open":
            return 0.0, 0.0
        offset = self.slit_center.rbv.value - self.center.value
        through = physics.slit_transmission(offset, self.slit_gap.rbv.value, self.width.value)
        before = self.flux.value * self.ring.current.value * through
        across = self.sample.rbv.value - self.rod_center.value
        behind = physics.rod_transmission(across, self.rod_radius.value, self.absorption.value)
        return before, before * behind


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(MiniBeamlineIOC, argv, default_prefix="SIM:BL:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
