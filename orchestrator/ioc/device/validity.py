"""Showing what a device publishes, and not as true what a failing method has left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.ioc.device.device_items import Origin, Publication, Recovery, Sample, Trouble
from orchestrator.ioc.device.wiring import near
from orchestrator.ioc.pvs.posting import (
    NO_ALARM,
    NOT_HEARD,
    UNREADABLE,
    Alarm,
    fitting,
    limit_alarm,
    post,
)
from orchestrator.types import Alarm as Status

Tell = Callable[[str, Alarm | None], Awaitable[None]]
"""Shows a text in `message`, in an alarm; None = the one that it has."""

_DEPENDENT = {
    Origin.OPEN: frozenset(Origin),
    Origin.ACQUIRE: frozenset({Origin.ACQUIRE, Origin.PROCESS}),
    Origin.PROCESS: frozenset({Origin.PROCESS}),
    Origin.OTHER: frozenset[Origin](),
}
"""What a method fails → what no longer holds: all that was published from there."""

_BACK = {
    Origin.OPEN: frozenset({Origin.OPEN, Origin.OTHER}),
    Origin.ACQUIRE: frozenset({Origin.ACQUIRE}),
    Origin.PROCESS: frozenset({Origin.PROCESS}),
    Origin.OTHER: frozenset[Origin](),
}
"""What works again → what is shown again as it was; all else comes by itself."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What a PV would show if nothing failed."""

    value: Any
    alarm: Alarm
    timestamp: float | None
    newer: bool
    """Whether it was published since the failure."""


class PublishedPVs:
    """The PVs that show what a device publishes.

    While a method of the device fails, what was published from there, or depends on it, is
    COMM/INVALID; also what comes from there meanwhile, such as the result of a `process` that
    was under way.
    """

    def __init__(self, pvs: Mapping[str, Any], tell: Tell) -> None:
        """`pvs` by the keys under which they are published."""
        self._pvs = pvs
        self._tell = tell
        self._origins: dict[str, Origin] = {}
        self._failing: set[Origin] = set()
        self._held: dict[str, _Held] = {}

    async def show(self, item: Publication) -> None:
        """Show a value; one that does not fit is told, and makes its PV INVALID."""
        pv, sample = self._pvs.get(item.key), item.sample
        if pv is None:  # published before there was a table
            await self._tell(f"no PV shows {item.key!r}{near(item.key, self._pvs)}", None)
            return
        try:
            value = fitting(pv, sample.value)
        except ValueError as error:
            await self._tell(str(error), None)
            await post(pv, pv.value, UNREADABLE)
            return
        alarm = _alarm(pv, value, sample)
        self._origins[item.key] = item.origin
        self._held.pop(item.key, None)
        if self._in_doubt(item.origin):
            self._held[item.key] = _Held(value, alarm, sample.timestamp, newer=True)
            alarm = NOT_HEARD
        await post(pv, value, alarm, sample.timestamp)

    async def fail(self, trouble: Trouble) -> None:
        """Make INVALID what depends on it, and say why."""
        self._failing.add(trouble.origin)
        for key, pv in self._of(_DEPENDENT[trouble.origin]):
            held = self._held.get(key)
            if held is None:
                alarm = (pv.alarm.status, pv.alarm.severity)
                self._held[key] = _Held(pv.value, alarm, None, newer=False)
                await post(pv, pv.value, NOT_HEARD)
        await self._tell(trouble.text, NOT_HEARD)

    async def restore(self, recovery: Recovery, text: str) -> None:
        """Show again what holds again: what was published since, and what only a put publishes."""
        self._failing.discard(recovery.origin)
        for key, pv in self._of(_BACK[recovery.origin]):
            held = self._held.get(key)
            if held and (held.newer or recovery.origin is Origin.OPEN):
                del self._held[key]
                await post(pv, held.value, held.alarm, held.timestamp)
        await self._tell(text, NOT_HEARD if self._failing else NO_ALARM)

    def _in_doubt(self, origin: Origin) -> bool:
        return any(origin in _DEPENDENT[failing] for failing in self._failing)

    def _of(self, origins: frozenset[Origin]) -> Iterator[tuple[str, Any]]:
        for key, origin in list(self._origins.items()):
            if origin in origins:
                yield key, self._pvs[key]


def _alarm(pv: Any, value: Any, sample: Sample) -> Alarm:
    if sample.severity is None:
        return limit_alarm(pv, value)
    status = Status.STATE if sample.severity else Status.NO_ALARM
    return status if sample.status is None else sample.status, int(sample.severity)
