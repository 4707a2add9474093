"""A temperature loop: a setpoint that is ramped, a sample that follows with a lag, noise.

Prefix `SIM:TEMP:`:

| PV           | type   | unit | meaning                                                         |
| ------------ | ------ | ---- | --------------------------------------------------------------- |
| Setpoint     | double | degC | Wanted: -50 … 200. Completes at once; wait for AtSetpoint.      |
| Setpoint_RBV | double | degC | What the loop follows now: Setpoint, reached at RampRate.       |
| RampRate     | double | K/s  | How fast it gets there; 0 = at once.                            |
| Readback     | double | degC | Measured: Setpoint_RBV with a lag and noise. Alarms: MINOR      |
|              |        |      | above 120, MAJOR above 150 and below -40.                       |
| AtSetpoint   | enum   |      | No, Yes: Readback has been within Tolerance of Setpoint for     |
|              |        |      | half a second. No from the put on, if it moves the setpoint.    |
| Tolerance    | double | K    | What counts as there.                                           |
| TimeConstant | double | s    | Of the lag: 63 % of the way.                                    |
| Heater       | double | %    | Power that this takes against the losses to a room at 20 degC.  |

The sample is one heat capacity with losses in proportion to its distance from the room
(Newton's law of cooling), heated or cooled by a loop that is seen from outside as a first-order
lag.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs import physics
from sim_iocs.base import SimGroup, limit_alarm, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import ChannelType, SkipWrite
from caproto.server import pvproperty

PERIOD = 0.1
"""Seconds between two measurements."""

NOISE = 0.01
"""K, standard deviation of a measurement."""

STAYS = 5
"""Measurements within Tolerance, one after the other, that make AtSetpoint."""

ROOM = 20.0
LOSS = 0.25
"""% of heater power for each K above the room."""

HEAT = 1.0
"""% of heater power for each K/s."""

_DEGREES = {"units": "degC", "precision": 2, "lower_disp_limit": -50.0, "upper_disp_limit": 200.0}
_WANTED = {**_DEGREES, "lower_ctrl_limit": -50.0, "upper_ctrl_limit": 200.0}
_MEASURED = {
    **_DEGREES,
    "lower_alarm_limit": -40.0,
    "lower_warning_limit": -30.0,
    "upper_warning_limit": 120.0,
    "upper_alarm_limit": 150.0,
}
_RATE = {"units": "K/s", "precision": 2, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 100.0}
_TOLERANCE = {"units": "K", "precision": 2, "lower_ctrl_limit": 0.01, "upper_ctrl_limit": 20.0}
_TIME = {"units": "s", "precision": 2, "lower_ctrl_limit": 0.05, "upper_ctrl_limit": 600.0}
_POWER = {"units": "%", "precision": 1, "lower_disp_limit": -100.0, "upper_disp_limit": 100.0}


class TemperatureIOC(SimGroup):
    """One loop."""

    setpoint = pvproperty(name="Setpoint", value=ROOM, doc="wanted", **_WANTED)
    setpoint_rbv = pvproperty(
        name="Setpoint_RBV", value=ROOM, read_only=True, doc="followed now", **_DEGREES
    )
    ramp_rate = pvproperty(name="RampRate", value=10.0, doc="of Setpoint_RBV", **_RATE)
    readback = pvproperty(name="Readback", value=ROOM, read_only=True, doc="measured", **_MEASURED)
    at_setpoint = pvproperty(
        name="AtSetpoint",
        value="Yes",
        dtype=ChannelType.ENUM,
        enum_strings=["No", "Yes"],
        read_only=True,
        doc="whether it is there",
    )
    tolerance = pvproperty(name="Tolerance", value=0.2, doc="what counts as there", **_TOLERANCE)
    time_constant = pvproperty(name="TimeConstant", value=0.5, doc="of the lag", **_TIME)
    heater = pvproperty(name="Heater", value=0.0, read_only=True, doc="power", **_POWER)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sample = ROOM
        self._within = STAYS  # measurements within Tolerance, counted up to STAYS

    @setpoint.putter
    async def setpoint(self, instance: Any, value: float) -> None:
        """Start towards it; whoever waits for AtSetpoint must not see the Yes of the last one."""
        if abs(value - self.readback.value) > self.tolerance.value:
            self._within = 0
            await post(self.at_setpoint, "No")
        await post(instance, value)
        raise SkipWrite  # it has been posted

    @readback.startup
    async def readback(self, instance: Any, async_lib: Any) -> None:
        """Measure for ever."""
        del instance, async_lib
        clock = asyncio.get_running_loop().time
        last = clock()
        while True:
            await asyncio.sleep(PERIOD)
            last, dt = clock(), clock() - last
            await self._step(dt)

    async def _step(self, dt: float) -> None:
        """Let `dt` seconds pass, then measure."""
        rate = self.ramp_rate.value or float("inf")
        followed = physics.ramp(self.setpoint_rbv.value, self.setpoint.value, rate, dt)
        before = self._sample
        self._sample = physics.lag(before, followed, self.time_constant.value, dt)
        measured = self._sample + self.random.normal(0, NOISE)
        await post(self.setpoint_rbv, followed)
        await post(self.readback, measured, limit_alarm(self.readback, measured))
        await post(self.heater, heater_power(self._sample, (self._sample - before) / dt))
        await self._judge(measured)

    async def _judge(self, measured: float) -> None:
        near = abs(measured - self.setpoint.value) <= self.tolerance.value
        self._within = min(self._within + 1, STAYS) if near else 0
        there = "Yes" if self._within == STAYS else "No"
        if there != self.at_setpoint.value:
            await post(self.at_setpoint, there)


def heater_power(temperature: float, slope: float) -> float:
    """Power in % that a temperature with a slope in K/s takes; negative = cooling."""
    return float(min(max(LOSS * (temperature - ROOM) + HEAT * slope, -100), 100))


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(TemperatureIOC, argv, default_prefix="SIM:TEMP:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
