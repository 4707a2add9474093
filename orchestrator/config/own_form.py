"""A table `[own.NAME]` as it is written: a value that sequences publish."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictStr, model_validator

from orchestrator.errors import OrchestratorError
from orchestrator.language.text.findings import Strict
from orchestrator.language.values.conversion import as_channel_value
from orchestrator.language.values.limits import check_limits
from orchestrator.types import Limits, Metadata, NativeType, Value, encoded

_Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
_Whole: TypeAlias = Annotated[int, Field(strict=True)]
_Float: TypeAlias = Annotated[float, Field(strict=True)]

_MOST_LABELS, _LABEL_BYTES = 16, 25
"""MAX_ENUM_STATES and MAX_ENUM_STRING_SIZE (with its NUL) of db_access.h."""
_UNITS_BYTES = 8
"""MAX_UNITS_SIZE of db_access.h."""
_TEXT_BYTES = 4096
_DIGITS = 6
_MOST_KEPT = 10_000
"""Elements of an array that is kept: it is written whole at each put."""
_LEAST_LONG, _MOST_LONG = -(2**31), 2**31 - 1

_MAY: Mapping[str, frozenset[str]] = {
    "double": frozenset({"units", "precision", "limits", "alarm"}),
    "long": frozenset({"units", "limits", "alarm"}),
    "string": frozenset(),
    "text": frozenset({"count"}),
    "enum": frozenset({"labels"}),
    "array": frozenset({"count", "units", "precision"}),
}
"""The keys that only some types have."""
_MUST = {"enum": "labels", "array": "count"}


class _Alarm(Strict):
    high: _Number | None = None
    """From here on up a number is in HIGH, MINOR alarm."""
    hihi: _Number | None = None
    """From here on up in HIHI, MAJOR alarm."""
    low: _Number | None = None
    """From here on down in LOW, MINOR alarm."""
    lolo: _Number | None = None
    """From here on down in LOLO, MAJOR alarm."""

    @model_validator(mode="after")
    def _in_order(self) -> _Alarm:
        order = [
            (n, v) for n in ("lolo", "low", "high", "hihi") if (v := getattr(self, n)) is not None
        ]
        for (lower, least), (upper, most) in pairwise(order):
            if least > most:
                raise ValueError(f"{lower} = {least:g} is above {upper} = {most:g}")
        return self


def own_name(name: str) -> str:
    """The name of an own PV, as it is: its PV's, and what expressions call it."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} can't be used in expressions: letters, digits and _ only")
    return name


class Own(Strict):
    """One own PV."""

    type: Literal["double", "long", "string", "text", "enum", "array"]
    """What it holds: a number, a whole one, a text of at most 39 bytes, a longer one, one of
    several labels, or numbers."""
    units: StrictStr = ""
    """Of a number or an array; at most 8 bytes."""
    precision: Annotated[int, Field(strict=True, ge=0, le=15)] = _DIGITS
    """Digits after the point that clients show, of a double or an array."""
    limits: Annotated[list[_Number], Field(min_length=2, max_length=2)] | None = None
    """`[low, high]` of a number: no put beyond is taken."""
    labels: Annotated[list[StrictStr], Field(min_length=1, max_length=_MOST_LABELS)] | None = None
    """Of an enum, by index; at most 16."""
    count: Annotated[_Whole, Field(ge=2, le=10_000_000)] | None = None
    """The most elements of an array, which must be given, or bytes of a text, by default 4096."""
    value: _Whole | _Float | StrictStr | list[_Float] | None = None
    """What it holds before anybody has put it: by default 0, the first label, or nothing."""
    write: StrictBool = False
    """Whether clients may put it; sequences may."""
    keep: StrictBool = False
    """Whether its value survives a restart."""
    alarm: _Alarm | None = None

    @model_validator(mode="after")
    def _whole(self) -> Own:
        may = _MAY[self.type]
        others = frozenset().union(*_MAY.values()) - may
        if alien := sorted(others & self.model_fields_set):
            kinds = ", ".join(kind for kind, keys in _MAY.items() if alien[0] in keys)
            raise ValueError(f"type = {self.type!r} takes no {alien[0]}; it is for {kinds}")
        must = _MUST.get(self.type)
        if must is not None and getattr(self, must) is None:
            raise ValueError(f"type = {self.type!r} needs {must}")
        self._check_texts()
        if self.limits is not None and self.limits[0] >= self.limits[1]:
            raise ValueError(f"limits = {self.limits}: the lower one has to be below the upper one")
        if self.keep and (self.count or 0) > _MOST_KEPT and self.type == "array":
            raise ValueError(f"keep: an array of more than {_MOST_KEPT:,} elements is not kept")
        try:
            check_limits(self.first, self.metadata, "value")
        except OrchestratorError as error:
            raise ValueError(str(error)) from error
        return self

    def _check_texts(self) -> None:
        if len(encoded(self.units)) > _UNITS_BYTES:
            raise ValueError(f"units = {self.units!r}: EPICS has room for {_UNITS_BYTES} bytes")
        labels = self.labels or []
        for label in labels:
            if not 0 < len(encoded(label)) <= _LABEL_BYTES or labels.count(label) > 1:
                raise ValueError(
                    f"labels: {label!r}: each has 1 to {_LABEL_BYTES} bytes and is there once"
                )

    @property
    def metadata(self) -> Metadata:
        """What clients and sequences are told of it."""
        match self.type:
            case "double":
                return self._number(NativeType.DOUBLE, precision=self.precision)
            case "long":
                return self._number(NativeType.LONG)
            case "string":
                return Metadata(NativeType.STRING)
            case "text":  # one byte more for the NUL
                return Metadata(
                    NativeType.CHAR, (self.count or _TEXT_BYTES) + 1, text=True, nul=True
                )
            case "enum":
                return Metadata(NativeType.ENUM, labels=tuple(self.labels or ()))
            case "array":
                count = self.count or 2
                return Metadata(
                    NativeType.DOUBLE, count, units=self.units, precision=self.precision
                )

    def _number(self, native: NativeType, **more: Any) -> Metadata:
        limits = Limits(*self.limits) if self.limits else Limits()
        alarm = self.alarm or _Alarm()
        return Metadata(
            native,
            units=self.units,
            control=limits,
            display=limits,
            warning=_pair(native, alarm.low, alarm.high),
            alarm=_pair(native, alarm.lolo, alarm.hihi),
            **more,
        )

    @property
    def first(self) -> Value:
        """What it holds before anybody has put it.

        Raises:
            PutError: Its type can't hold that.
        """
        empty: Mapping[str, object] = {"string": "", "text": "", "enum": 0, "array": []}
        value = empty.get(self.type, 0) if self.value is None else self.value
        return as_channel_value(value, self.metadata, "value")


def _pair(native: NativeType, low: float | None, high: float | None) -> Limits:
    """As records tell of alarm limits that are not set: NaN (recGbl, ai: get_alarm_double)."""
    if low is None and high is None:
        return Limits()
    none = (math.nan, math.nan) if native is NativeType.DOUBLE else (_LEAST_LONG, _MOST_LONG)
    return Limits(none[0] if low is None else low, none[1] if high is None else high)
