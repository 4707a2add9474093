"""Kills a service, looks at what is left, and starts the next one."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from orchestrator.bench.crash.documents import INNER, Documents
from orchestrator.bench.crash.witness import Next, Seen, last_of, unread, untold, untrue
from sim_iocs.fleet import Fleet, Member
from sim_iocs.testing import Client, Monitor, Service, until
from sim_iocs.testing.client import ClientError, RefusedError

_IOC = "SIM:REC:"
_CHANNELS = {
    "ao": "Ao",
    "ai": "Ai",
    "number": "LongOut",
    "slow": "Slow",
}
_WATCHED = ("ao", "number", "slow")
"""What documents put to."""
_SLOW_S = 0.05
"""s that a put to `rec.slow` takes."""
_LATEST_S = 3.0
"""s after the first run was accepted, within which the service is killed."""
_STILL_S = 0.3
"""s for which nothing may move by itself."""
_START_S = 60.0
"""s until all must run, on a machine that does other things as well."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One of them, and what was found."""

    number: int
    after: float
    """s after the first run was accepted."""
    runs: int
    """So many had begun."""
    where: str
    """What the next service tells."""
    findings: tuple[str, ...]
    """What is not as it should be."""


class Campaign:
    """A service and an IOC on loopback; the service is killed again and again."""

    def __init__(self, seed: int, directory: Path) -> None:
        """Nothing is started before `with`.

        Args:
            seed: Of documents and moments.
            directory: For the files of the service.
        """
        self._dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._documents = Documents(self._dice)
        self._directory = directory
        self._store = directory / "runs"
        self._parts = ExitStack()
        self._last = ""

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def _open(self) -> None:
        fleet = self._parts.enter_context(Fleet([Member("records", "rec", _IOC)], timeout=_START_S))
        config = {"chain": {"rec": {"prefix": _IOC, "channels": _CHANNELS}}}
        self._service = self._parts.enter_context(
            Service(fleet, config=config, directory=self._directory)
        )
        self._ioc = self._parts.enter_context(Client(fleet.env))
        self._ioc.put(f"{_IOC}Slow:Delay", _SLOW_S)

    def kills(self, count: int) -> Iterator[Kill]:
        """So many, one after the other."""
        for number in range(1, count + 1):
            yield self._kill(number)

    def _kill(self, number: int) -> Kill:
        after = self._dice.choice([self._dice.uniform(0, 0.2), self._dice.uniform(0, _LATEST_S)])
        puts = self._ioc.monitor(*(_IOC + _CHANNELS[name] for name in _WATCHED))
        seen = self._run_until(after)
        seen.reached = {f"rec.{name}": self._values(puts, name) for name in _WATCHED}
        self._service.restart()
        with Client(self._service.env) as client:
            shown = self._shown(client)
            time.sleep(_STILL_S)
            moved = [
                f"{name} has moved by itself"
                for name in _WATCHED
                if self._values(puts, name) != seen.reached[f"rec.{name}"]
            ]
            self._ask(client, "queue clear")
        runs, findings = unread(self._store, self._last)
        findings += [*untrue(seen, runs), *untold(seen, runs, shown), *moved]
        self._last = runs[-1].run_id if runs else self._last
        return Kill(number, after, len(runs), shown.message, tuple(findings))

    def _run_until(self, after: float) -> Seen:
        """Have runs begun, and kill the service so many s later; what was told until then."""
        names = [self._sequence(self._documents.document()) for _ in range(3)]
        self._service.sequence(json.dumps(self._documents.document(inner=True)), INNER)
        seen, prefix = Seen(), self._service.prefix
        accepted: list[str] = []
        with Client(self._service.env) as client:
            told = client.monitor(prefix + "DATA:NPTS", prefix + "EVENTS")
            ends = time.monotonic() + after
            for name in names:
                with suppress(RefusedError):  # a document that the check refuses is no run
                    self._ask(client, f"submit {name}")
                    accepted.append(name)
            while (left := ends - time.monotonic()) > 0:
                time.sleep(left)
            self._service.process.signal(signal.SIGKILL)
            self._service.process.end(_START_S)
            until(lambda: not _is_there(told, prefix), what="the loss of the service")
            points = [value for value in told.values(prefix + "DATA:NPTS") if value is not None]
            posts = [post for post in told.values(prefix + "EVENTS") if post]
        seen.points = points[-1] if points else 0
        seen.run_id, seen.ended = last_of(posts)
        seen.accepted = accepted
        return seen

    def _sequence(self, document: dict[str, Any]) -> str:
        return self._service.sequence(json.dumps(document))

    def _ask(self, client: Client, command: str) -> None:
        client.ask("put", pv=self._service.prefix + "CMD", value=command, kind="long")

    def _values(self, monitor: Monitor, name: str) -> list[float]:
        pv = _IOC + _CHANNELS[name]
        return [update["value"] for update in monitor.updates() if update["pv"] == pv]

    def _shown(self, client: Client) -> Next:
        prefix = self._service.prefix
        queue = client.reading(prefix + "QUEUE")
        return Next(
            status=client.get(prefix + "STATUS"),
            run_id=client.get(prefix + "RUN_ID"),
            message=client.get(prefix + "message"),
            queue=json.loads(queue["value"] or "[]"),
            held=queue["severity"] > 0,
            busy=bool(client.get(prefix + "BUSY")),
        )


def _is_there(told: Monitor, prefix: str) -> bool:
    with suppress(ClientError):
        return told.values(prefix + "DATA:NPTS")[-1:] != [None]
    return False
