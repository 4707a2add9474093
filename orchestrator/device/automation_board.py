"""What is published of schedules and triggers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime

from orchestrator.types import (
    Alarm,
    Automated,
    AutomationRequest,
    PushItem,
    Severity,
    Update,
    fields,
)


class AutomationBoard:
    """The last that was told of each. Written by the device only."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        """Whether they are switched on."""
        self._known: dict[tuple[str, str], Automated] = {}

    @property
    def switch(self) -> Update:
        """AUTOMATION, in alarm while they are off."""
        if self.on:
            return Update(fields.AUTOMATION, 1)
        return Update(fields.AUTOMATION, 0, "", Severity.MINOR, Alarm.STATE)

    def asked(self, request: AutomationRequest) -> Iterator[PushItem]:
        """They are switched."""
        if request.action != "begin":
            self.on = request.action == "on"
            yield self.switch

    def take(self, event: Automated) -> Iterator[PushItem]:
        """One of them stands otherwise now."""
        self._known[event.kind, event.name] = event
        if event.kind == "schedule":
            yield Update(fields.SCHEDULE_NEXT, _time(event.next), event.name)
            yield Update(fields.SCHEDULE_LAST, _time(event.last), event.name)
            yield Update(fields.SCHEDULE_OUTCOME, event.outcome, event.name)
        else:
            yield Update(fields.TRIGGER_LAST, _time(event.last), event.name)
            yield Update(fields.TRIGGER_OUTCOME, event.outcome, event.name)
        yield Update(fields.SCHEDULES, json.dumps([_facts(e) for e in self._known.values()]))


def _facts(event: Automated) -> dict[str, object]:
    return {
        "kind": event.kind,
        "name": event.name,
        "sequence": event.sequence,
        "next": _time(event.next) or None,
        "last": _time(event.last) or None,
        "outcome": event.outcome,
    }


def _time(seconds: float) -> str:
    """A moment in local time, with its offset to UTC; empty where there is none."""
    if math.isnan(seconds):
        return ""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
