"""Numbers as the text of a record: DBR_STRING heeds the precision."""

from __future__ import annotations

import math
from typing import Any

import caproto as ca

from orchestrator.ioc.pvs.text import metadata_for

_PLAIN_BELOW = 10_000_000.0
_MOST_PLAIN_DIGITS = 8
_LARGE_DIGITS = 3


def record_text(value: float, precision: int, *, single: bool = False) -> str:
    """A number as a C record gives it as DBR_STRING (cvtFast.c of EPICS base).

    Args:
        value: Any, NaN and the infinities included.
        precision: PREC; taken as C does, as 16 bits without sign.
        single: Whether it is a FLOAT.
    """
    digits = precision & 0xFFFF
    if digits > _MOST_PLAIN_DIGITS or abs(value) >= (1e8 if single else 1e16):
        most, spare = (12, 6) if single else (17, 7)
        digits = min(digits, most)
        return f"{value:{digits + spare}.{digits}e}"
    if math.isnan(value) or abs(value) > _PLAIN_BELOW:
        return f"{value:.{min(digits, _LARGE_DIGITS)}f}"
    # Half away from zero, by one digit more than is shown: not as Python rounds.
    whole, unit = int(abs(value)), 10**digits
    fraction = (int((abs(value) - whole) * (unit * 10)) + 5) // 10
    whole, fraction = whole + fraction // unit, fraction % unit
    behind = f".{fraction:0{digits}}" if digits else ""
    return f"{'-' if value < 0 else ''}{whole}{behind}"


class PreciseText:
    """Mixed in before a DOUBLE or FLOAT channel: as text it has as many digits as `precision`.

    caproto gives as many as Python shows.
    """

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        data_type = ca.ChannelType(data_type)
        special = (ca.ChannelType.STSACK_STRING, ca.ChannelType.CLASS_NAME)
        if data_type in special or ca.native_type(data_type) != ca.ChannelType.STRING:
            return await super()._read(data_type)  # type: ignore[misc,no-any-return] # caproto's
        pv: Any = self
        value = pv._data["value"]  # noqa: SLF001 - it is ours
        single = pv.data_type == ca.ChannelType.FLOAT
        numbers = [value] if pv.max_length == 1 else list(value)
        texts = [record_text(float(n), pv.precision, single=single).encode() for n in numbers]
        return await metadata_for(self, data_type), texts
