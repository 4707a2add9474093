"""A channel: its value, metadata, readings and link; and where a run is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.generic]
"""A numeric waveform, 1-D, as delivered; never written to."""

Value: TypeAlias = float | int | str | Array | tuple[str, ...]
"""A PV's value in Python.

| native type           | value                                                        |
| --------------------- | ------------------------------------------------------------ |
| DOUBLE, FLOAT         | float                                                        |
| LONG, SHORT, CHAR     | int                                                          |
| ENUM                  | int, the index (labels stand in `Metadata.labels`)           |
| STRING                | str                                                          |
| CHAR as text          | str, up to the first NUL                                     |
| any numeric array     | numpy array, 1-D                                             |
| STRING array          | tuple of str                                                 |
"""

Path: TypeAlias = tuple[str | int, ...]
"""Where a step stands in its document: `("steps", 2, "do", 0)`."""


class Place(NamedTuple):
    """Where a run is."""

    path: Path = ()
    """The step."""
    loops: tuple[int, ...] = ()
    """Indices of the loops around it, outermost first, from 0."""
    tries: tuple[int, ...] = ()
    """Tries of the retried steps around it, outermost first, from 1; rewinds count as well."""


def path_text(path: Path) -> str:
    """A path as people read it: `steps[2].do[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,9})\]")


def parse_path(text: str) -> Path:
    """The path that `path_text` writes so; empty where it writes none like that."""
    path: list[str | int] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            return ()
        path.append(found[1] if found[2] is None else int(found[2]))
        at = found.end()
    return tuple(path)


class Severity(IntEnum):
    """Alarm severity (EPICS alarm.h)."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class Alarm(IntEnum):
    """The alarm status codes that we set ourselves (EPICS alarm.h, epicsAlarmCondition)."""

    NO_ALARM = 0
    READ = 1
    WRITE = 2
    HIHI = 3
    HIGH = 4
    LOLO = 5
    LOW = 6
    STATE = 7
    COMM = 9
    TIMEOUT = 10
    LINK = 14
    SOFT = 15
    UDF = 17


ALARM_NAMES = (
    "NO_ALARM",
    "READ",
    "WRITE",
    "HIHI",
    "HIGH",
    "LOLO",
    "LOW",
    "STATE",
    "COS",
    "COMM",
    "TIMEOUT",
    "HWLIMIT",
    "CALC",
    "SCAN",
    "LINK",
    "SOFT",
    "BAD_SUB",
    "UDF",
    "DISABLE",
    "SIMM",
    "READ_ACCESS",
    "WRITE_ACCESS",
)
"""Alarm conditions by status code (epicsAlarmConditionStrings of EPICS base)."""


def alarm_name(status: int) -> str:
    """The name of an alarm status code; the code where EPICS knows none."""
    return ALARM_NAMES[status] if 0 <= status < len(ALARM_NAMES) else str(status)


class NativeType(IntEnum):
    """A channel's native type, numbered as in EPICS db_access.h (DBR_STRING … DBR_DOUBLE)."""

    STRING = 0
    SHORT = 1
    FLOAT = 2
    ENUM = 3
    CHAR = 4
    LONG = 5
    DOUBLE = 6


START_UNITS = "1 = run"
"""The units of our START: by them another orchestrator knows what it starts there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A pair of limits; equal ones mean that none are set."""

    low: float = 0.0
    high: float = 0.0

    @property
    def are_set(self) -> bool:
        """Whether these limits limit anything."""
        return self.low < self.high

    def allow(self, value: float) -> bool:
        """Whether `value` lies within, both ends included."""
        return not self.are_set or self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a server says of a channel beside its value."""

    native: NativeType
    """The type in which the server keeps it."""
    count: int = 1
    """The most elements it can have."""
    units: str = ""
    """Engineering units."""
    precision: int | None = None
    """Digits after the point; None where the type has none."""
    labels: tuple[str, ...] = ()
    """Enum labels by index; an empty one is none."""
    menu: bool = False
    """Whether an enum may have choices beside these labels: Channel Access lists 16 (`.STAT` has
    22). Their texts are known once the channel has held them."""
    control: Limits = Limits()
    """Limits for writing (DRVL/DRVH, LOPR/HOPR …)."""
    display: Limits = Limits()
    """Limits for displays."""
    warning: Limits = Limits()
    """LOW and HIGH."""
    alarm: Limits = Limits()
    """LOLO and HIHI."""
    readable: bool = True
    """Whether the server lets us read it."""
    writable: bool = True
    """Whether the server lets us write it."""
    host: str = ""
    """host:port of the server."""
    text: bool = False
    """Whether CHAR is delivered as text."""
    nul: bool = False
    """Whether a text needs the last byte for its NUL: a record's long string (`REC.DESC$`)."""
    of_alarm: bool = False
    """Whether it tells of the alarm itself (`REC.STAT`, `REC.SEVR`): true also in INVALID alarm."""
    record: str = ""
    """The type of its record (`ai`, `mbbo`); empty where the server was not asked."""

    def label(self, index: int) -> str:
        """The text of an enum's index: its label; its digits where it has none.

        A valve between its switches has such an index: it is one of its states all the same, and
        texts must not become numbers there.
        """
        label = self.labels[index] if 0 <= index < len(self.labels) else ""
        return label or str(index)


@dataclass(slots=True)  # frozen, it would take 2 µs more of each update
class Reading:
    """One update of a channel, from a monitor or a get. Nobody changes one."""

    channel: str
    """Our name of it: the alias `ioc.channel`, or the full PV name."""
    value: Value
    """As in the table of `Value`."""
    timestamp: float
    """The server's own stamp, Unix seconds. Data: never compared with our clock."""
    severity: Severity = Severity.NO_ALARM
    """The server's alarm severity."""
    status: int = 0
    """The server's alarm status code."""
    unconfirmed: bool = False
    """The first value after a reconnection: perhaps a restarted server's default."""
    received: float = 0.0
    """The loop's clock when it reached us, s; what `age()` counts from."""
    nanoseconds: int | None = None
    """The stamp's part below a second, exactly: a float holds but 240 ns of today's time."""


class IocStatus(StrEnum):
    """How many of the monitored channels of a chained IOC are connected."""

    DISCONNECTED = "Disconnected"
    """None."""
    PARTIAL = "Partial"
    """Some."""
    CONNECTED = "Connected"
    """All."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A channel connected, was lost, or its metadata changed."""

    channel: str
    """Our name of it."""
    connected: bool
    """Whether libca reports it connected."""
    metadata: Metadata | None = None
    """Known with `connected`; None when lost."""
    reconnected: bool = False
    """It had been connected before (only on the change from lost to connected)."""
    forgotten: bool = False
    """Nobody needs it any more: it is not monitored from here on, and what is known of it goes."""
