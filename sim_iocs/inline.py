"""Getters and putters that stand where the PV is made.

Prefix `SIM:INLINE:`:

| PV       | type   | unit | meaning                                                           |
| -------- | ------ | ---- | ----------------------------------------------------------------- |
| Uptime   | double | s    | Since the start; computed when it is read.                        |
| Reads    | int    |      | How often it has been read, this time included.                   |
| Power    | double | %    | Clipped to 0 … 100; NaN is refused.                               |
| Fraction | double |      | Of Power, 0 … 1, and the other way round: a put sets Power.       |

A getter runs when somebody reads, and only then are monitors told what it found: a mirror of
Uptime shows when it was last read, by whomever. Read such a PV anew (`sample`, which is fresh
unless told otherwise), or post its value by yourself.
"""

# caproto's decorators are untyped:
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto.server import PvpropertyDoubleRO, PvpropertyIntegerRO, pvproperty


class InlineIOC(SimGroup):
    """Each PV with its code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began = time.monotonic()
        self._count = 0

    # As a decorator, `pvproperty` makes the function below it the getter. It forgets
    # `read_only=True` then (pvproperty.__call__); the type says it as well.

    @pvproperty(name="Uptime", value=0.0, dtype=PvpropertyDoubleRO, units="s", precision=3)
    async def uptime(self, instance: Any) -> float:
        """Since the start."""
        del instance
        return time.monotonic() - self._began

    @pvproperty(name="Reads", value=0, dtype=PvpropertyIntegerRO)
    async def reads(self, instance: Any) -> int:
        """How often it has been read."""
        del instance
        self._count += 1
        return self._count

    async def _clip(self, instance: Any, value: float) -> float:
        del instance
        if math.isnan(value):
            raise ValueError("NaN is no power")
        value = min(max(value, 0.0), 100.0)
        await post(self.fraction, value / 100)
        return value  # what a putter returns is kept in place of what was put

    power = pvproperty(
        name="Power", put=_clip, value=0.0, units="%", precision=1, doc="clipped to 0 … 100"
    )

    async def _read_fraction(self, instance: Any) -> None:
        # Returned, it would be written through the putter: each read would be a put to Power.
        await post(instance, self.power.value / 100)

    async def _write_fraction(self, instance: Any, value: float) -> float:
        del instance
        await self.power.write(value * 100)
        return self.power.value / 100  # type: ignore[no-any-return] # caproto is untyped

    fraction = pvproperty(
        name="Fraction",
        get=_read_fraction,
        put=_write_fraction,
        value=0.0,
        precision=3,
        doc="of Power",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(InlineIOC, argv, default_prefix="SIM:INLINE:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
