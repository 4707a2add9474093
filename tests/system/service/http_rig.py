"""Speaks HTTP with a service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from service_rig import Rig, until

HTTP = "[http]\nport = 0\n"
"""For the configuration."""


class Http:
    """The HTTP door of a service."""

    def __init__(self, rig: Rig, **headers: str) -> None:
        self.rig = rig
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/api/v1",
            headers=headers,
            timeout=20,
            trust_env=False,
        )
        until(lambda: self.get("/status").status_code == 200, what="HTTP")

    @property
    def port(self) -> int:
        """As the service has told it."""
        told = re.compile(r'"port": (\d+).*"serving HTTP"')
        until(lambda: told.search(self.rig.service.errors), what="serving HTTP")
        return int(told.findall(self.rig.service.errors)[-1])

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.client.post(path, json=body, **more)

    def told(self, path: str) -> Any:
        """The answer, which has to be one."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def start(self, text: str, **arguments: Any) -> str:
        """Start a document; the run's id."""
        response = self.post("/runs", {"document": text, "arguments": arguments})
        assert response.status_code == 201, response.text
        return str(response.json()["run_id"])

    def ended(self, run_id: str) -> Any:
        """The run, once it has ended."""
        until(lambda: self.told(f"/runs/{run_id}")["status"] is not None, what="its end")
        return self.told(f"/runs/{run_id}")

    @contextmanager
    def events(self, last_id: str = "", **more: Any) -> Iterator[Iterator[Event]]:
        """What happens, from now on."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with self.client.stream("GET", "/events", headers=headers, **more) as response:
            assert response.status_code == 200
            yield _events(response.iter_lines())

    def close(self) -> None:
        self.client.close()


class Event:
    """One of the event stream."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.id = facts["id"]
        self.kind = facts["event"]
        self.told: dict[str, Any] = json.loads(facts["data"])

    @property
    def kinds(self) -> list[str]:
        """Of the events of runs in it."""
        return [event["event"] for event in self.told.get("events", [])]


def _events(lines: Iterator[str]) -> Iterator[Event]:
    facts: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name and value:
            facts[name] = value
        elif not line and "data" in facts:
            yield Event(facts)
            facts = {}


def problem(response: httpx.Response, status: int) -> str:
    """What a problem says; checks that it is one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == status
    assert told["title"]
    return str(told["detail"])
