"""What of all that happens people want to be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.api import Filter, Item
from orchestrator.config import NotifyRule
from orchestrator.language.names import some_of
from orchestrator.types import (
    Asked,
    RunEnded,
    RunInterrupted,
    RunStarted,
    RunState,
    RunStatus,
    StateChanged,
    Update,
    fields,
)

NEEDED = Filter(named=frozenset({fields.HUNG_SEC, fields.CHAIN_DISCONNECTED}))
"""What a watch has to be told of."""

_FAILED = (RunStatus.FAILED, RunStatus.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell."""

    kind: str
    """That of its rule."""
    text: str


@dataclass(slots=True)
class _Standing:
    """Something that goes on, and is told when it has done so for long."""

    since: float
    text: str
    told: float = 0.0
    """For how many s it had gone on when it was told; 0 = it was not."""


class Watch:
    """Knows what goes on by what it is told, and since when; no clock of its own."""

    def __init__(self, rules: Sequence[NotifyRule]) -> None:
        """Nothing has happened yet."""
        self._rules = {rule.kind: rule for rule in rules}
        self._runs: dict[str, str] = {}
        """By lane, what people call its run."""
        self._standing: dict[tuple[str, str], _Standing] = {}
        """By kind, and the lane or IOC that it is about."""

    def take(self, item: Item, now: float) -> Iterator[Notice]:
        """Hear of something; what is to be told at once."""
        match item:
            case RunStarted():
                self._runs[item.lane] = f"{item.name} {item.run_id}".strip()
            case StateChanged():
                suspended = item.state is RunState.SUSPENDED
                text = f"{self._run(item.lane)} is suspended"
                yield from self._stand("suspended", item.lane, text if suspended else "", now)
            case RunEnded():
                yield from self._ended(item)
            case RunInterrupted() if "interrupted" in self._rules:
                yield Notice("interrupted", f"{item.name} {item.run_id}: {item.message}")
            case Asked() if "ask" in self._rules:
                yield Notice("ask", f"{self._run(item.lane)} asks: {item.text}")
            case Update(field=fields.HUNG_SEC):
                yield from self._hangs(item, now)
            case Update(field=fields.CHAIN_DISCONNECTED):
                yield from self._lost(str(item.value), now)
            case _:
                pass

    def due(self, now: float) -> Iterator[Notice]:
        """What has gone on for long enough to be told."""
        for (kind, _), standing in self._standing.items():
            lasts = now - standing.since
            if not standing.told and lasts >= self._rules[kind].above:
                standing.told = max(lasts, 1e-9)
                yield Notice(kind, f"{standing.text} for {lasts:.0f} s")

    def _run(self, lane: str) -> str:
        return self._runs.get(lane) or "a run"

    def _ended(self, ended: RunEnded) -> Iterator[Notice]:
        kind = "failed" if ended.status in _FAILED else ""
        if kind not in self._rules:
            kind = "ended"
        if kind in self._rules:
            why = f": {ended.message}" if ended.message else ""
            yield Notice(kind, f"{self._run(ended.lane)} ended: {ended.status.value}{why}")

    def _hangs(self, update: Update, now: float) -> Iterator[Notice]:
        seconds = float(str(update.value))
        rule = self._rules.get("hung")
        hangs = rule is not None and seconds >= rule.above
        text = f"nothing has moved in {self._run(update.lane)}" if hangs else ""
        yield from self._stand("hung", update.lane, text, now - seconds)

    def _lost(self, names: str, now: float) -> Iterator[Notice]:
        # Of thousands of names those that have no room are "… and N more": of an IOC that is not
        # among the others it is not known whether it is back.
        names, _, more = names.partition(" and ")
        lost: dict[str, list[str]] = {}
        for name in filter(None, names.split(", ")):
            lost.setdefault(name.partition(".")[0], []).append(name)
        known = [ioc for kind, ioc in self._standing if kind == "disconnected" and not more]
        for ioc in dict.fromkeys([*known, *lost]):
            text = f"{some_of(lost[ioc])} disconnected" if ioc in lost else ""
            yield from self._stand("disconnected", ioc, text, now)

    def _stand(self, kind: str, about: str, text: str, since: float) -> Iterator[Notice]:
        """It goes on, or, without a text, does so no more: which is told where it was told."""
        key = kind, about
        standing = self._standing.get(key)
        if not text:
            self._standing.pop(key, None)
            if standing is not None and standing.told:
                yield Notice(kind, f"no longer: {standing.text}")
        elif standing is not None:
            standing.text = text
        elif kind in self._rules:
            self._standing[key] = _Standing(since, text)
