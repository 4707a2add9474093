"""What happens, as messages of JSON: transports carry them, who follows a service reads them.

A message has a number `n`, one more than that of the message before; `fields`, those that have
changed, by their names, with their values; `alarms`, of these that are in alarm their severity and
alarm status; `events`, what has happened to runs (`types.event_json`); `lost`, how much could not
be kept. A snapshot is a message with all fields and without events: what comes behind it has a
greater `n`. Who misses a number reads the snapshot anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from orchestrator.api.door import Api
from orchestrator.api.subscription import Filter, Item
from orchestrator.types import Field, MirrorOpened, Reply, Severity, Update, Value, fields
from orchestrator.types.event_json import event_facts

LONGEST = fields.EVENTS.most
"""Characters of a message, all of them ASCII."""

_MOST_ELEMENTS = 1000
"""Of an array: a longer one is left out."""

_AROUND = 100
"""Characters of a message beside what it tells."""


class Messages:
    """Makes messages of what a service publishes, for one transport."""

    def __init__(self, api: Api, told: Iterable[Field], lane: str = "") -> None:
        """Made before anything is published.

        Args:
            api: Where to listen.
            told: The fields that are told of.
            lane: Whose runs and fields; empty = the main one's. What each service has one of
                is told of as well.
        """
        self._lane = lane
        self._api = api
        self._names = {field: field.name for field in told}
        self._first = {field: Update(field, field.first) for field in self._names}
        self.subscription = api.subscribe(Filter(lane=lane, named=frozenset(self._names)))
        """What waits to be told."""
        self._number = 0
        self._lost = 0

    async def batch(self) -> list[str]:
        """The next messages: one, or several where it would be longer than `LONGEST`."""
        return list(self._messages(await self.subscription.batch()))

    def snapshot(self) -> str:
        """All fields as they are now."""
        draft = _Draft(self._names)
        for update in (self._first | dict(self._known())).values():
            draft.add(update)
        return draft.text(self._number, 0)

    def _known(self) -> Mapping[Field, Update]:
        if not self._lane:
            return self._api.snapshot()
        shared = {f: update for f, update in self._api.snapshot().items() if not f.of_lane}
        return shared | dict(self._api.snapshot(self._lane))

    def _messages(self, items: Iterable[Item]) -> Iterator[str]:
        draft = _Draft(self._names)
        for item in items:
            if not draft.add(item):
                yield self._numbered(draft)
                draft = _Draft(self._names)
                draft.add(item)
        if draft.size > _AROUND:
            yield self._numbered(draft)

    def _numbered(self, draft: _Draft) -> str:
        self._number += 1
        lost, self._lost = self.subscription.lost - self._lost, self.subscription.lost
        return draft.text(self._number, lost)


@dataclass(slots=True)
class _Draft:
    """A message while it is made, of texts of JSON."""

    names: Mapping[Field, str]
    fields: dict[str, str] = field(default_factory=dict)
    alarms: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    size: int = _AROUND

    def add(self, item: Item) -> bool:
        """Whether there was room for it; in an empty one there is."""
        match item:
            case Update():
                return self._add_field(item)
            case MirrorOpened() | Reply():
                return True
            case _:
                text = json.dumps(event_facts(item))
                if not self._has_room(len(text)):
                    return False
                self.events.append(text)
                return True

    def _add_field(self, update: Update) -> bool:
        name = self.names.get(update.field)
        if name is None or np.size(update.value) > _MOST_ELEMENTS:
            return True
        text = json.dumps(_plain(update.value))
        if not self._has_room(len(text) + 2 * len(name) + 40):
            return False
        self.fields[name] = text
        self.alarms.pop(name, None)
        if update.severity:
            self.alarms[name] = json.dumps([Severity(update.severity).name, update.status])
        return True

    def _has_room(self, size: int) -> bool:
        if self.size > _AROUND and self.size + size + 2 > LONGEST:
            return False
        self.size += size + 2
        return True

    def text(self, number: int, lost: int) -> str:
        """The message."""
        parts = [f'"n": {number}']
        for name, texts in (("fields", self.fields), ("alarms", self.alarms)):
            if texts:
                told = ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts.items())
                parts.append(f'"{name}": {{{told}}}')
        if self.events:
            parts.append(f'"events": [{", ".join(self.events)}]')
        if lost:
            parts.append(f'"lost": {lost}')
        return f"{{{', '.join(parts)}}}"


def _plain(value: Value) -> object:
    """As JSON has it: a list for an array, null for what is no number."""
    if isinstance(value, np.ndarray | tuple):
        elements = value.tolist() if isinstance(value, np.ndarray) else value
        return [_plain(element) for element in elements]
    return None if isinstance(value, float) and not math.isfinite(value) else value
