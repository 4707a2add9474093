"""What the service has told, kept for those who listen: each at its own pace, none holds it up."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

_MOST_KEPT = 16 * 2**20
"""Characters of messages that are kept for who comes back."""

_TOLD = ("fields", "alarms", "events", "lost")

_QUIET = 15.0
"""s without a message, after which a listener is told that there was none."""


class HappeningText(NamedTuple):
    """A message for a listener; with an empty `id` there was nothing to tell for a while."""

    id: str
    kind: str
    """`snapshot`: all as it is now; `change`: what has changed since the message before."""
    text: str


class Happenings:
    """The last messages of the service, numbered, and all fields as they are now.

    Messages are kept once, whoever listens: a listener that is slow misses some, and is given a
    snapshot in their place.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.fields: dict[str, Any] = {}
        """By name, as the PVs have them."""
        self.alarms: dict[str, tuple[str, int]] = {}
        """Of those in alarm: severity and alarm status."""
        # Numbers begin anew with each service and each process: an id of another one is seen by it.
        self._epoch = secrets.token_hex(4)
        self._kept: deque[str] = deque()
        self._size = 0
        self._last = 0
        self._more = asyncio.Event()
        self.closed = False
        self._heard = time.monotonic()
        self.known = False
        """Whether the service has told how things are."""

    def begin(self, snapshot: Mapping[str, Any]) -> None:
        """All fields as they are now; called once, before the first `add`."""
        self.fields.update(snapshot.get("fields", {}))
        self.alarms.update(snapshot.get("alarms", {}))
        self.known = True
        self._heard = time.monotonic()

    def add(self, message: Mapping[str, Any]) -> None:
        """Something has happened."""
        self._heard = time.monotonic()
        fields = message.get("fields", {})
        self.fields.update(fields)
        for name in fields:
            self.alarms.pop(name, None)
        self.alarms.update(message.get("alarms", {}))
        told = {key: message[key] for key in _TOLD if key in message}
        text = json.dumps(told)
        self._kept.append(text)
        self._size += len(text)
        self._last += 1
        while self._size > _MOST_KEPT:
            self._size -= len(self._kept.popleft())
        self._wake()

    @property
    def silence(self) -> float:
        """S since the service has told anything."""
        return time.monotonic() - self._heard

    def close(self) -> None:
        """Nothing more comes."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self, last_id: str = "") -> AsyncIterator[HappeningText]:
        """All messages behind the one of that id, then those that come.

        It begins with a snapshot where the id is none, or what followed it is not kept any more.
        """
        number = self._number(last_id)
        while True:
            if number is None or number < self._last - len(self._kept):
                number = self._last
                yield HappeningText(self._id(number), "snapshot", self.snapshot())
            while number < self._last and number >= self._last - len(self._kept):
                text = self._kept[number - self._last]
                number += 1
                yield HappeningText(self._id(number), "change", text)
            if number < self._last:
                continue  # it was too slow: what it has missed is gone
            if self.closed:
                return
            more = self._more
            try:
                async with asyncio.timeout(_QUIET):
                    await more.wait()
            except TimeoutError:
                yield HappeningText("", "", "")

    def snapshot(self) -> str:
        """All fields as they are now, and which of them are in alarm."""
        return json.dumps({"fields": self.fields, "alarms": self.alarms})

    def _id(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def _number(self, last_id: str) -> int | None:
        """How many messages it has had; None where that is not known."""
        epoch, _, digits = last_id.partition("-")
        if epoch != self._epoch or not (digits.isascii() and digits.isdecimal()):
            return None
        number = int(digits[:18])
        return number if number <= self._last else None
