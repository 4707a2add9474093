"""Event masks of subscriptions, which caproto's server ignores (caproto/caproto#97)."""

from __future__ import annotations

from typing import Any

import caproto as ca
from caproto import SubscriptionType as Event

_VALUES = int(Event.DBE_VALUE | Event.DBE_LOG)
_ALARM = int(Event.DBE_ALARM)
_PROPERTY = int(Event.DBE_PROPERTY)
_ALARM_BYTES = 4
"""Status and severity, at the beginning of all but the plain types (db_access.h)."""

_DETAILED = frozenset(ca.graphical_types | ca.control_types)
"""Types that tell units, limits or labels."""


class Masks:
    """Decides which posts a subscription wants, as db_post_events of a C IOC does.

    A post says what has changed (`flags`); caproto's own say nothing, or VALUE: then its alarm and
    metadata are compared with those that subscriptions to nothing else were told last.
    """

    def __init__(self) -> None:
        self._told: dict[Any, tuple[bytes, bytes]] = {}

    def passes(self, spec: Any, metadata: Any, flags: int, *, first: bool) -> bool:
        """Whether a post is for the subscriptions of a SubscriptionSpec; asked once for each.

        Args:
            spec: caproto's: the PV, the type, the mask.
            metadata: As it is sent before the value in this type.
            flags: What has changed; 0 = not told.
            first: Whether it is the first of a subscription, which comes in any case.
        """
        mask, events = spec.mask, flags or _VALUES
        if mask & _VALUES:
            return first or bool(mask & events)
        before, now = self._told.get(spec, (b"", b"")), _facts(spec, metadata)
        self._told[spec] = now
        changed = (_ALARM if before[0] != now[0] else 0) | (_PROPERTY if before[1] != now[1] else 0)
        return first or bool(mask & (events | changed))

    def forget(self, spec: Any) -> None:
        """Nobody subscribes to it any more."""
        self._told.pop(spec, None)


def _facts(spec: Any, metadata: Any) -> tuple[bytes, bytes]:
    """Its alarm, and what else is told of it beside value and time."""
    told = bytes(metadata)
    if not told:
        alarm = spec.db_entry.alarm
        return bytes((int(alarm.status), int(alarm.severity))), b""
    details = told[_ALARM_BYTES:] if metadata.DBR_ID in _DETAILED else b""
    return told[:_ALARM_BYTES], details
