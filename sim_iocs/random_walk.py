"""A value that walks at random between two ends, in steps of adjustable size and period.

Prefix `SIM:WALK:`:

| PV     | type   | unit | meaning                                                      |
| ------ | ------ | ---- | ------------------------------------------------------------ |
| Value  | double | mA   | Where it is: -10 … 10; MINOR beyond ±8, MAJOR beyond ±9.5.   |
| Period | double | s    | Time between two steps.                                      |
| Step   | double | mA   | Standard deviation of a step; 0 stands still.                |
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import SimGroup, limit_alarm, post, run_sim, wait  # first: it sets caproto up
from sim_iocs.physics import reflected_step

# isort: split
from caproto import SkipWrite
from caproto.server import pvproperty

LOW, HIGH = -10.0, 10.0

_VALUE = {
    "units": "mA",
    "precision": 3,
    "lower_disp_limit": LOW,
    "upper_disp_limit": HIGH,
    "lower_alarm_limit": -9.5,
    "lower_warning_limit": -8.0,
    "upper_warning_limit": 8.0,
    "upper_alarm_limit": 9.5,
}
_PERIOD = {"units": "s", "precision": 3, "lower_ctrl_limit": 0.005, "upper_ctrl_limit": 3600.0}
_STEP = {"units": "mA", "precision": 3, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 5.0}


class RandomWalkIOC(SimGroup):
    """One walker."""

    value = pvproperty(name="Value", value=0.0, read_only=True, doc="where it is", **_VALUE)
    period = pvproperty(name="Period", value=0.1, doc="time between two steps", **_PERIOD)
    step = pvproperty(name="Step", value=0.2, doc="standard deviation of a step", **_STEP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._new_period = asyncio.Event()

    @value.startup
    async def value(self, instance: Any, async_lib: Any) -> None:
        """Walk for ever."""
        del async_lib
        while True:
            here = reflected_step(instance.value, self.step.value, LOW, HIGH, self.random)
            await post(instance, here, limit_alarm(instance, here))
            self._new_period.clear()
            await wait(self._new_period, self.period.value)

    @period.putter
    async def period(self, instance: Any, value: float) -> None:
        """Take the new period at once, not after the old one."""
        await post(instance, value)
        self._new_period.set()
        raise SkipWrite  # it has been posted


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(RandomWalkIOC, argv, default_prefix="SIM:WALK:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
