"""A counting detector, areaDetector-like, whose signal depends on two motors and a shutter.

Prefix `SIM:DET:`:

| PV                  | type     | unit     | meaning                                             |
| ------------------- | -------- | -------- | --------------------------------------------------- |
| Acquire             | busy     |          | 1 exposes NumImages times; a put-callback completes |
|                     |          |          | when the last is done. 0 stops, also completing it. |
|                     |          |          | A 1 during an acquisition is done after it.         |
| AcquireTime         | double   | s        | Of one exposure.                                    |
| NumImages           | int      |          | Exposures of one Acquire.                           |
| NumImagesCounter_RBV| int      |          | Exposures done of this Acquire.                     |
| ArrayCounter_RBV    | int      |          | Exposures since the start of the IOC.               |
| DetectorState_RBV   | enum     |          | Idle, Acquire, Aborted … (areaDetector ADStatus_t). |
| StatusMessage_RBV   | text     |          | Which PV it misses, or empty.                       |
| Counts              | double   | counts   | Of the last exposure, posted last. NaN and INVALID  |
|                     |          |          | if motor or shutter were not reached; INVALID from  |
|                     |          |          | a loss to the next exposure.                        |
| Spectrum            | double[] | counts   | The same photons by energy, 1024 channels.          |
| MotorPosition_RBV   | double   | mm       | Where it sees the motor.                            |
| MotorPositionY_RBV  | double   | mm       | Where it sees the second motor, if it has one.      |
| Peak:Center         | double   | mm       | Where the signal is highest; drawn from the seed    |
|                     |          |          | unless `--center` is given.                         |
| Peak:Width          | double   | mm       | Full width at half maximum.                         |
| Peak:CenterY        | double   | mm       | Where the signal is highest by the second motor.    |
| Peak:WidthY         | double   | mm       | Full width at half maximum, by the second motor.    |
| Peak:Height         | double   | counts/s | At the center, above the background.                |
| Peak:Background     | double   | counts/s | Everywhere, with the shutter closed too.            |

Motors and shutter are reached over Channel Access (`EPICS_CA_ADDR_LIST`), by monitors of its own:
`--motor-pv SIM:STAGE:X.RBV --motor-y-pv SIM:STAGE:Y.RBV --shutter-pv SIM:SHUTTER:State_RBV`.
Without a motor it stands on its peak; without a shutter there is always beam.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator.ioc import BusyPV, TextRO
from sim_iocs import physics
from sim_iocs.base import LINK_LOST, SimGroup, post, run_sim, wait  # first: it sets caproto up
from sim_iocs.neighbour import Neighbour

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty

BINS = 1024
"""Channels of the spectrum."""

CENTERS = (-0.6, 0.6)
"""mm, between which the peak is drawn."""

FIRST_CONTACT = 2.0
"""Seconds that the first exposure waits for motor and shutter to be found."""

STATES = [
    "Idle",
    "Acquire",
    "Readout",
    "Correct",
    "Saving",
    "Aborting",
    "Error",
    "Waiting",
    "Initializing",
    "Disconnected",
    "Aborted",
]
"""areaDetector's, in their order (ADCore, ADDriver.h, ADStatus_t)."""

_POSITION = {"units": "mm", "precision": 4}
_COUNTS = {"units": "counts", "precision": 0}
_RATE = {"units": "counts/s", "precision": 0, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 1e9}
_TIME = {"units": "s", "precision": 3, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 3600.0}
_WIDTH = {**_POSITION, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 100.0}


class DetectorIOC(SimGroup):
    """One detector."""

    acquire = pvproperty(name="Acquire", dtype=BusyPV, enum_strings=("Done", "Acquire"))
    acquire_time = pvproperty(name="AcquireTime", value=0.1, doc="of one exposure", **_TIME)
    num_images = pvproperty(
        name="NumImages", value=1, lower_ctrl_limit=1, upper_ctrl_limit=1_000_000
    )
    images_done = pvproperty(name="NumImagesCounter_RBV", value=0, read_only=True)
    array_counter = pvproperty(name="ArrayCounter_RBV", value=0, read_only=True)
    state = pvproperty(
        name="DetectorState_RBV",
        value="Idle",
        dtype=ChannelType.ENUM,
        enum_strings=STATES,
        read_only=True,
    )
    status_message = pvproperty(name="StatusMessage_RBV", value="", dtype=TextRO, max_length=256)
    counts = pvproperty(name="Counts", value=0.0, read_only=True, **_COUNTS)
    spectrum = pvproperty(name="Spectrum", value=[0.0] * BINS, read_only=True, **_COUNTS)
    motor_position = pvproperty(name="MotorPosition_RBV", value=0.0, read_only=True, **_POSITION)
    motor_y = pvproperty(name="MotorPositionY_RBV", value=0.0, read_only=True, **_POSITION)
    center = pvproperty(name="Peak:Center", value=0.0, doc="highest signal", **_POSITION)
    width = pvproperty(name="Peak:Width", value=0.4, doc="at half maximum", **_WIDTH)
    center_y = pvproperty(name="Peak:CenterY", value=0.0, doc="highest signal", **_POSITION)
    width_y = pvproperty(name="Peak:WidthY", value=2.0, doc="at half maximum", **_WIDTH)
    height = pvproperty(name="Peak:Height", value=50_000.0, doc="above background", **_RATE)
    background = pvproperty(name="Peak:Background", value=200.0, doc="everywhere", **_RATE)

    def __init__(
        self,
        *args: Any,
        motor_pv: str = "",
        motor_y_pv: str = "",
        shutter_pv: str = "",
        center: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._drawn = self.random.uniform(*CENTERS) if center is None else center
        self._motor = Neighbour(motor_pv, ChannelType.TIME_DOUBLE, self._look)
        self._motor_y = Neighbour(motor_y_pv, ChannelType.TIME_DOUBLE, self._look)
        self._shutter = Neighbour(shutter_pv, ChannelType.TIME_STRING, self._look)
        self._met = asyncio.Event()
        self._stop = asyncio.Event()

    @counts.startup
    async def counts(self, instance: Any, async_lib: Any) -> None:
        """Watch motor and shutter for ever."""
        del instance, async_lib
        await post(self.center, self._drawn)
        await self._look()
        async with asyncio.TaskGroup() as tasks:
            for neighbour in self._neighbours:
                tasks.create_task(neighbour.watch(), name=f"watch {neighbour.name}")

    @acquire.putter
    async def acquire(self, instance: Any, value: int) -> None:
        """Expose, or stop exposing; the busy PV shows 1 and 0 around it."""
        del instance
        if not value:
            self._stop.set()
            return
        self._stop.clear()
        await wait(self._met, FIRST_CONTACT)
        await post(self.images_done, 0)
        await post(self.state, "Acquire")
        for done in range(1, self.num_images.value + 1):
            if await wait(self._stop, self.acquire_time.value):
                break
            await self._read_out(done)
        await post(self.state, "Aborted" if self._stop.is_set() else "Idle")

    @property
    def _neighbours(self) -> list[Neighbour]:
        return [each for each in (self._motor, self._motor_y, self._shutter) if each.name]

    @property
    def _missing(self) -> str:
        return ", ".join(each.name for each in self._neighbours if each.value is None)

    async def _look(self) -> None:
        """Publish what is seen of the neighbours; called after each change."""
        missing = self._missing
        if not missing:
            self._met.set()
        message = f"not connected: {missing}" if missing else ""
        if message != self.status_message.value:
            await post(self.status_message, message)
        if missing:
            await post(self.counts, self.counts.value, LINK_LOST)
        for motor, seen in ((self._motor, self.motor_position), (self._motor_y, self.motor_y)):
            if motor.name and motor.value is None:
                await post(seen, seen.value, LINK_LOST)
            elif motor.name:
                await post(seen, motor.value)

    def _rate(self) -> float:
        """Photons per second now."""
        beam = 1.0
        if self._motor.name:
            beam = physics.pseudo_voigt(self._motor.value, self.center.value, self.width.value)
        if self._motor_y.name:
            beam *= physics.gaussian(self._motor_y.value, self.center_y.value, self.width_y.value)
        if self._shutter.name and self._shutter.value != "Open":
            beam = 0.0
        return float(self.background.value + self.height.value * beam)

    async def _read_out(self, done: int) -> None:
        """Publish an exposure that has just ended; `Counts` last."""
        if lost := bool(self._missing):
            total, photons = math.nan, np.full(BINS, math.nan)
        else:
            total = physics.counts(self._rate(), self.acquire_time.value, self.random)
            photons = physics.spectrum(total, BINS, self.random)
        alarm = (LINK_LOST,) if lost else ()
        await post(self.images_done, done)
        await post(self.array_counter, self.array_counter.value + 1)
        await post(self.spectrum, photons, *alarm)
        await post(self.counts, float(total), *alarm)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(
        DetectorIOC,
        argv,
        default_prefix="SIM:DET:",
        desc=__doc__,
        options={
            "motor_pv": (str, "position on which the signal depends"),
            "motor_y_pv": (str, "another one on which it depends"),
            "shutter_pv": (str, "enum that is Open while there is beam"),
            "center": (float, "of the peak, in mm; drawn from the seed by default"),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
