"""The lanes beside the main one, as one text: for `status`, and for whoever lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from orchestrator.device.lane import LaneState
from orchestrator.device.publisher import SHOWN
from orchestrator.types import (
    QueueChanged,
    RunEnded,
    RunEvent,
    RunInterrupted,
    RunRestarting,
    RunStarted,
    StateChanged,
    Update,
    fields,
)

_FIELDS = (fields.STATE, fields.STATUS, fields.RUN_NAME, fields.RUN_ID)
_CHANGES = (RunStarted, RunEnded, RunInterrupted, RunRestarting, StateChanged, QueueChanged)
"""Events after which it may look different; those that come with each step are none of them."""


class LaneList:
    """What LANES shows."""

    def __init__(self, lanes: Mapping[str, LaneState]) -> None:
        """By name, without the main one."""
        self._lanes = lanes
        self._shown = ""

    def first_updates(self) -> Iterator[Update]:
        """The lanes before anything has run."""
        return self._changed() if self._lanes else iter(())

    def take(self, event: RunEvent) -> Iterator[Update]:
        """What changes by an event that its lane has taken."""
        return self._changed() if event.lane and isinstance(event, _CHANGES) else iter(())

    def _changed(self) -> Iterator[Update]:
        text = json.dumps([_facts(name, lane) for name, lane in self._lanes.items()])
        if text != self._shown:
            self._shown = text
            yield Update(fields.LANES, text)


def _facts(name: str, lane: LaneState) -> dict[str, object]:
    run: dict[str, object] = {str(field): SHOWN[field](lane.run) for field in _FIELDS}
    more = {fields.QUEUE_LEN: lane.waiting, fields.RESTARTS: lane.restarts}
    return {"name": name} | run | {str(field): value for field, value in more.items()}
