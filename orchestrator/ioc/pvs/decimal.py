"""Numbers as the text of a record: DBR_STRING heeds the precision."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
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

    caproto gives as many as Python shows. `heed_precision` is for a channel that is made already.
    """

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        return await _read(self, super()._read, data_type)  # type: ignore[misc] # caproto's


def heed_precision(channel: Any) -> None:
    """Give a channel as text with as many digits as its `precision`, if it is DOUBLE or FLOAT."""
    is_decimal = isinstance(channel, ca.ChannelDouble | ca.ChannelFloat)
    if is_decimal and not isinstance(channel, PreciseText):
        channel._read = partial(_read, channel, channel._read)  # noqa: SLF001 - caproto's one place


async def _read(
    pv: Any, otherwise: Callable[[Any], Awaitable[tuple[Any, Any]]], data_type: Any
) -> tuple[Any, Any]:
    data_type = ca.ChannelType(data_type)
    special = (ca.ChannelType.STSACK_STRING, ca.ChannelType.CLASS_NAME)
    if data_type in special or ca.native_type(data_type) != ca.ChannelType.STRING:
        return await otherwise(data_type)
    value = pv._data["value"]  # noqa: SLF001 - what caproto converts too
    single = pv.data_type == ca.ChannelType.FLOAT
    numbers = list(value) if isinstance(value, Iterable) else [value]
    texts = [record_text(float(n), pv.precision, single=single).encode() for n in numbers]
    return await metadata_for(pv, data_type), texts
