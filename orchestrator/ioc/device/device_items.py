"""What goes through the two queues of a device."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from orchestrator.errors import OrchestratorError
from orchestrator.types import Severity


class DeviceError(OrchestratorError):
    """A put that the device could not take: look at the device."""


class NotOpenError(DeviceError):
    """The device is not open, and so takes nothing; it is opened again by itself."""


class Origin(Enum):
    """The method of a device in which something happens."""

    OPEN = "open"
    ACQUIRE = "acquire"
    PROCESS = "process"
    OTHER = "another"
    """What a put calls, and threads of the user's own."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value to publish with a time or an alarm of its own.

    >>> from orchestrator.ioc import Device, Sample, Severity
    >>> class Gauge(Device):
    ...     def acquire(self):
    ...         self.publish(pressure=Sample(1e-3, severity=Severity.MINOR))
    """

    value: Any
    """What the PV is to show, in its terms."""
    timestamp: float | None = None
    """Unix time in s at which it was measured; None = when it was published."""
    severity: Severity | None = None
    """None = by the limits of the PV."""
    status: int | None = None
    """Of the alarm (EPICS alarm.h, caproto.AlarmStatus); None = STATE if there is a severity."""


@dataclass(frozen=True, slots=True)
class Call:
    """In the pull queue: a put that the device is to handle."""

    name: str
    """Whose put it is: an attribute of the group."""
    work: Callable[[], Any]
    done: Future[Any]


@dataclass(frozen=True, slots=True)
class Publication:
    """In the push queue: a value for a PV."""

    key: str
    sample: Sample
    origin: Origin


@dataclass(frozen=True, slots=True)
class Done:
    """In the push queue, behind what it published: a put that was handled."""

    call: Call
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        """Complete the put, unless nobody waits for it any more."""
        if not self.call.done.set_running_or_notify_cancel():
            return
        if self.error is None:
            self.call.done.set_result(self.result)
        else:
            self.call.done.set_exception(self.error)


@dataclass(frozen=True, slots=True)
class Trouble:
    """In the push queue: a method of the device raised; it will be called again."""

    origin: Origin
    text: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """In the push queue: it works again."""

    origin: Origin


PushItem: TypeAlias = Publication | Done | Trouble | Recovery
