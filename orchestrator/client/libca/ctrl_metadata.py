"""What a server says of a channel with FORMAT_CTRL, read once for all channels that are alike."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from epicscorelibs.ca import dbr

from orchestrator.types import Limits, NativeType, decoded

Describe: TypeAlias = Callable[[int, int, int], "Details"]
"""Reads the memory at an address that libca lends for the time of a callback; gets the address,
the DBR code and the number of elements."""

_NO_LIMITS = Limits()

_KEPT = 2000
"""Different details that are kept; a site's channels mostly are of some hundred kinds."""


@dataclass(frozen=True, slots=True)
class Details:
    """The part of a channel's metadata that comes with a value; as in `Metadata`."""

    units: str = ""
    precision: int | None = None
    labels: tuple[str, ...] = ()
    control: Limits = _NO_LIMITS
    display: Limits = _NO_LIMITS
    warning: Limits = _NO_LIMITS
    alarm: Limits = _NO_LIMITS


def _details_of(structure: Any) -> Details:
    """What a structure `dbr_ctrl_*` of epicscorelibs holds."""
    return Details(
        decoded(getattr(structure, "units", b""), dbr.MAX_UNITS_SIZE),
        getattr(structure, "precision", None),
        _labels(structure) if hasattr(structure, "no_str") else (),
        _limits(structure, "ctrl"),
        _limits(structure, "disp"),
        _limits(structure, "warning"),
        _limits(structure, "alarm"),
    )


def _labels(structure: Any) -> tuple[str, ...]:
    texts = structure.raw_strs[: max(structure.no_str, 0)]
    return tuple(decoded(text.value, dbr.MAX_ENUM_STRING_SIZE) for text in texts)


def describer(native: int) -> tuple[int, Describe]:
    """How to ask for the details of a channel of this native type: DBR code, what reads them."""
    return _DESCRIBERS[native]


def _describer(code: int) -> tuple[int, Describe]:
    structure = dbr.DbrCodeToType[code]
    # Between status and severity, of 2 bytes each, and the value, which differ with each update.
    size = structure.raw_value.offset - _HEAD

    def describe(raw: int, _code: int, _count: int) -> Details:
        return _details(code, ctypes.string_at(raw + _HEAD, size))

    return code, describe


_HEAD = 4


@functools.lru_cache(_KEPT)
def _details(code: int, told: bytes) -> Details:
    structure = dbr.DbrCodeToType[code]
    whole = (bytes(_HEAD) + told).ljust(ctypes.sizeof(structure), b"\0")
    return _details_of(structure.from_buffer_copy(whole))


def _limits(value: Any, kind: str) -> Limits:
    low = float(getattr(value, f"lower_{kind}_limit", 0.0))
    high = float(getattr(value, f"upper_{kind}_limit", 0.0))
    # A C record gives NaN for an alarm limit whose severity is NO_ALARM (aoRecord.c,
    # get_alarm_double); a NaN would also make equal metadata look changed.
    if math.isnan(low) and math.isnan(high):
        return Limits()
    return Limits(-math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)


_NOTHING = Details()

_DESCRIBERS: dict[int, tuple[int, Describe]] = {
    int(native): _describer(native + dbr.DBR_CTRL_SHORT - dbr.DBR_SHORT)
    for native in NativeType
    if native is not NativeType.STRING
} | {
    # A text has no details; its value is asked for, so that its server answers.
    int(NativeType.STRING): (dbr.DBR_TIME_STRING, lambda _raw, _code, _count: _NOTHING)
}
