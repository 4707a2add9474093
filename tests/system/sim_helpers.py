"""For tests of IOCs: a client that gives values as libca does, and a fleet with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sim_iocs import testing
from sim_iocs.testing import Fleet, RefusedError, until

__all__ = ["Client", "RefusedError", "alive", "client_of", "running", "until", "values"]


class Client(testing.Client):
    """A client whose enums are numbers and whose texts are codes."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(env, raw=True)

    def label(self, pv: str) -> Any:
        """The value now; an enum's label."""
        return self.ask("get", pv=pv)["value"]

    text = label
    """The value now; a char array's text."""

    def monitor(self, *pvs: str) -> Callable[[], list[dict[str, Any]]]:  # type: ignore[override]
        """Monitor it; the function gives all updates so far."""
        return super().monitor(*pvs).updates


@contextmanager
def client_of(server: Any) -> Iterator[Client]:
    """A client that reaches what has this `env`."""
    with Client(server.env) as client:
        yield client


@contextmanager
def running(*members: Any, **options: Any) -> Iterator[tuple[Fleet, Client]]:
    """A fleet and its client."""
    with Fleet(members, **options) as fleet, client_of(fleet) as client:
        yield fleet, client


def values(updates: list[dict[str, Any]]) -> list[Any]:
    """The values of those updates that have one."""
    return [update["value"] for update in updates if update["connected"]]


def alive(pid: int) -> bool:
    """Whether the process exists; one that ended and waits for its parent does not count."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
