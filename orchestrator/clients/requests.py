"""What is asked of a service over HTTP, as data: both clients send it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

API = "/api/v1"


class RequestError(Exception):
    """The service has not done what was asked; the text is its own."""

    def __init__(self, status: int, text: str) -> None:
        """`status`: of HTTP; 409 = not now, 422 = what was asked is wrong."""
        super().__init__(text)
        self.status = status


class RunFailedError(Exception):
    """A run has not succeeded; the text says how it has ended, and why."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        """`run`: what is kept of it."""
        super().__init__(
            f"{run['name'] or 'the run'} {run['run_id']}: {run['status']}: {run['message']}"
        )
        self.run = run


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    body: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    """Which part of the answer is wanted; empty = all."""


def start(sequence: str, document: str, lane: str, arguments: Mapping[str, Any]) -> Request:
    """A run is to be started."""
    asked = _asked(sequence, document, arguments) | {"lane": lane}
    return Request("POST", f"{API}/runs", asked, key="run_id")


def submit(sequence: str, document: str, lane: str, arguments: Mapping[str, Any]) -> Request:
    """A run is to wait in the queue."""
    asked = _asked(sequence, document, arguments) | {"lane": lane}
    return Request("POST", f"{API}/queue", asked, key="number")


def check(sequence: str, document: str, arguments: Mapping[str, Any], *, offline: bool) -> Request:
    """A sequence is to be looked at."""
    asked = _asked(sequence, document, arguments)
    return Request("POST", f"{API}/check", asked | {"offline": offline})


def _asked(sequence: str, document: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    named = {"document": document} if document else {"sequence": sequence}
    return {**named, "arguments": dict(arguments)}


def run(run_id: str) -> Request:
    """What is kept of a run."""
    return Request("GET", f"{API}/runs/{quote(run_id, safe='')}")


def runs(limit: int, before: str) -> Request:
    """The newest runs."""
    return Request("GET", f"{API}/runs", params={"limit": limit, "before": before}, key="runs")


def control(verb: str, run_id: str, reason: str = "") -> Request:
    """Something is asked of a run."""
    body = {"reason": reason} if reason else None
    return Request("POST", f"{API}/runs/{quote(run_id, safe='')}/{verb}", body)


def channel(name: str) -> Request:
    """A channel."""
    return Request("GET", f"{API}/channels/{quote(name, safe='')}")


def put(name: str, value: Any, timeout: float) -> Request:
    """A channel is to be written."""
    body = {"value": value, "timeout": timeout}
    return Request("PUT", f"{API}/channels/{quote(name, safe='')}", body)


def of(path: str, key: str = "") -> Request:
    """What a path answers."""
    return Request("GET", f"{API}/{path}", key=key)


def answer(request: Request, status: int, content: bytes) -> Any:
    """What an answer tells.

    Raises:
        RequestError: It is a problem.
    """
    if status >= 400:
        raise RequestError(
            status, _problem(content) or f"{request.method} {request.path}: {status}"
        )
    if not content:
        return None
    told = json.loads(content)
    return told[request.key] if request.key else told


def _problem(content: bytes) -> str:
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")[:500]


class Event(NamedTuple):
    """One of the event stream."""

    id: str
    kind: str
    """`snapshot`: all fields as they are; `change`: those that have changed."""
    fields: Mapping[str, Any]
    """By the names of the PVs."""
    events: Iterable[Mapping[str, Any]]
    """What has happened to runs."""

    def ends(self, run_id: str) -> bool:
        """Whether that run has ended by it."""
        return any(e["event"] == "run_ended" and e["run_id"] == run_id for e in self.events)


class EventLines:
    """Makes events of the lines of a stream."""

    def __init__(self) -> None:
        """At the beginning of one."""
        self._facts: dict[str, str] = {}

    def take(self, line: str) -> Iterator[Event]:
        """The next line; gives the event that it ends."""
        name, colon, value = line.partition(":")
        if line and name and colon:
            self._facts[name] = value.removeprefix(" ")
        elif not line and "data" in self._facts:
            told = json.loads(self._facts["data"])
            facts, self._facts = self._facts, {}
            fields, events = told.get("fields", {}), told.get("events", ())
            yield Event(facts["id"], facts["event"], fields, events)
