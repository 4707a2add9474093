"""PVs with the fields of EPICS records: alarm limits that clients set, fields with putters.

Prefix `SIM:MOCK:`:

| PV                   | type   | unit | meaning                                                |
| -------------------- | ------ | ---- | ------------------------------------------------------ |
| Setpoint             | ao     | bar  | 0 … 10.                                                |
| Setpoint.RVAL        | int    |      | The same in counts of a 16-bit converter: 0 … 65535.   |
|                      |        |      | A put sets Setpoint.                                   |
| Pressure             | ai     | bar  | Follows Setpoint at once, in alarm by its limits.      |
| Pressure.HIHI, .LOLO | double | bar  | MAJOR from here on (9, 0.5); both equal = no limits.   |
| Pressure.HIGH, .LOW  | double | bar  | MINOR from here on (8, 1); both equal = no limits.     |
| Pressure.HHSV, …     | enum   |      | Severities in place of MAJOR and MINOR.                |
| Pressure.SEVR, .STAT | enum   |      | The alarm that it is in.                               |

and the other fields of ao and ai records (`DESC`, `EGU`, `PREC`, `SCAN` …), which caproto serves
for `record="ao"`. A new limit takes effect at once, as it would in a C IOC with the next
processing; a limit that is not a number, or a low one above its high one, is refused.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto.server import pvproperty

FULL_SCALE = 10.0
COUNTS = 65535

_BAR = {"units": "bar", "precision": 3}


def counts_of(pressure: float) -> int:
    """What the converter is given for a pressure in bar."""
    return round(pressure / FULL_SCALE * COUNTS)


class MockedRecordsIOC(SimGroup):
    """A pressure controller."""

    setpoint = pvproperty(
        name="Setpoint",
        value=2.0,
        record="ao",
        lower_ctrl_limit=0.0,
        upper_ctrl_limit=FULL_SCALE,
        doc="wanted pressure",
        **_BAR,
    )
    pressure = pvproperty(
        name="Pressure",
        value=2.0,
        record="ai",
        read_only=True,
        lower_alarm_limit=0.5,
        lower_warning_limit=1.0,
        upper_warning_limit=8.0,
        upper_alarm_limit=9.0,
        doc="measured pressure",
        **_BAR,
    )

    @setpoint.startup
    async def setpoint(self, instance: Any, async_lib: Any) -> None:
        """Begin with fields that fit: of these, caproto only makes them."""
        del async_lib
        await post(instance.field_inst.current_raw_value, counts_of(instance.value))
        for record in (self.setpoint, self.pressure):
            await post(record.field_inst.engineering_units, record.units)
            await post(record.field_inst.description, record.pvspec.doc)

    @setpoint.putter
    async def setpoint(self, instance: Any, value: float) -> None:
        """Follow at once; `write`, not `post`, as the record is to find its alarm itself."""
        await post(instance.field_inst.current_raw_value, counts_of(value))
        await self.pressure.write(value)

    # A putter of a field is given the record's fields; their parent is the record.

    @setpoint.fields.current_raw_value.putter
    async def _put_counts(fields: Any, instance: Any, value: int) -> None:  # noqa: N805 - as above
        del instance
        if not 0 <= value <= COUNTS:
            raise ValueError(f"{fields.parent.pvname}.RVAL: {value} is not within 0 … {COUNTS}")
        await fields.parent.write(value / COUNTS * FULL_SCALE)

    @pressure.fields.hihi_alarm_limit.putter
    async def _put_hihi(fields: Any, instance: Any, value: float) -> None:  # noqa: N805 - as above
        await _set_limit(fields.parent, instance, "upper_alarm_limit", value)

    @pressure.fields.high_alarm_limit.putter
    async def _put_high(fields: Any, instance: Any, value: float) -> None:  # noqa: N805 - as above
        await _set_limit(fields.parent, instance, "upper_warning_limit", value)

    @pressure.fields.low_alarm_limit.putter
    async def _put_low(fields: Any, instance: Any, value: float) -> None:  # noqa: N805 - as above
        await _set_limit(fields.parent, instance, "lower_warning_limit", value)

    @pressure.fields.lolo_alarm_limit.putter
    async def _put_lolo(fields: Any, instance: Any, value: float) -> None:  # noqa: N805 - as above
        await _set_limit(fields.parent, instance, "lower_alarm_limit", value)


async def _set_limit(record: Any, field: Any, limit: str, value: float) -> None:
    """Take a limit that makes sense, and look at the value by it."""
    end, _, kind = limit.partition("_")
    low, high = (
        value if side == end else getattr(record, f"{side}_{kind}") for side in ("lower", "upper")
    )
    if not math.isfinite(value) or low > high:
        raise ValueError(f"{field.pvname}: {value:g} makes no limits: {low:g} … {high:g}")
    await record.write_metadata(**{limit: value})
    await record.write(record.value)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(MockedRecordsIOC, argv, default_prefix="SIM:MOCK:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
