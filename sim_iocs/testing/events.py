"""The file into which a service under test writes what happens in its runs."""

from __future__ import annotations

import json
from pathlib import Path

from sim_iocs.testing.outcome import Event


class EventFile:
    """`serve --events FILE`, read as it grows."""

    def __init__(self, path: Path) -> None:
        """It need not be there yet."""
        self.path = path
        self._read = 0
        self._events: list[Event] = []

    def news(self) -> list[Event]:
        """All events so far; the same list, longer, each time."""
        if not self.path.exists():
            return self._events
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            facts = json.loads(line)
            self._events.append(Event(facts.pop("event"), facts.pop("at"), facts))
        return self._events
