"""A Channel Access client for tests: a process of its own, so that yours holds no libca."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from orchestrator.errors import OrchestratorError
from sim_iocs.free_ports import LOOPBACK
from sim_iocs.process import Process
from sim_iocs.testing.polling import until

_REPLY = 60.0
"""Seconds that an answer may take beyond the timeout of what was asked: it begins with a start."""


class RefusedError(OrchestratorError):
    """What was asked for failed: an IOC refused a put, a PV was not there."""


class ClientError(OrchestratorError):
    """The client's process ended, or does not answer."""


def environment(*addresses: str, repeater: int) -> dict[str, str]:
    """An environment in which clients reach these servers and nobody else.

    Args:
        addresses: `host:port` of each server.
        repeater: a UDP port that is taken; where libca finds it so, it starts no caRepeater.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EPICS_", "CAPROTO_"))}
    return kept | {
        "EPICS_CA_ADDR_LIST": " ".join(addresses),
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(repeater),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def held_udp_port() -> Iterator[int]:
    """A UDP port that is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


class Pending:
    """Something that the client was asked to do; called, it waits for the result."""

    def __init__(self, client: Client, what: str, timeout: float) -> None:
        self._client = client
        self._what = what
        self._deadline = time.monotonic() + timeout
        self._arrived = threading.Event()
        self._reply: dict[str, Any] = {}

    @property
    def done(self) -> bool:
        """Whether it has been done, or refused."""
        return self._arrived.is_set()

    def take(self, reply: dict[str, Any]) -> None:
        """Called by the client's reader."""
        self._reply = reply
        self._arrived.set()

    def __call__(self) -> Any:
        """Wait for the result.

        Raises:
            RefusedError: it failed.
            ClientError: there is no answer.
        """
        while not self._arrived.wait(0.2):
            self._client.expect(self._what)
            if time.monotonic() > self._deadline:
                raise ClientError(f"no answer to {self._what} in time")
        if "error" in self._reply:
            raise RefusedError(self._reply["error"])
        return self._reply["result"]


class Client:
    """A client on libca. Texts are text and enums their labels, unless it is `raw`.

    By itself:

    >>> from sim_iocs.testing import Client, Fleet
    >>> with Fleet(["motor"]) as fleet, Client(fleet.env) as client:
    ...     put = client.put("SIM:STAGE:X", 1.5, timeout=30)
    ...     client.get("SIM:STAGE:X")
    1.5
    """

    def __init__(self, env: Mapping[str, str], *, raw: bool = False) -> None:
        """Start it; it takes what is asked of it at once, and does it when it is up.

        Args:
            env: where libca searches: `fleet.env`, or a whole environment.
            raw: give values as libca does: an enum's index, a text's codes.
        """
        self._raw = raw
        self._repeater = ExitStack()
        port = self._repeater.enter_context(held_udp_port())
        addresses = env.get("EPICS_CA_ADDR_LIST", "").split()
        self._process = Process(
            "the tests' Channel Access client",
            # -P: a file of the caller's folder must not take the place of a module
            [sys.executable, "-P", "-m", "orchestrator.client.client_process"],
            environment(*addresses, repeater=port)
            | dict(env)
            | {"EPICS_CA_REPEATER_PORT": str(port)},
            piped=True,
        )
        self._numbers = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._writing = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="client's replies", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def get(self, pv: str, *, timeout: float = 10) -> Any:
        """The value now, read afresh: a number, a text, an enum's label, a list."""
        return self.reading(pv, timeout=timeout)["value"]

    def reading(self, pv: str, *, timeout: float = 10) -> dict[str, Any]:
        """The same with `severity` and `status` (numbers of EPICS) and `timestamp` (Unix s)."""
        return dict(self.ask("get", pv=pv, raw=self._raw, timeout=timeout))

    def info(self, pv: str, *, timeout: float = 10) -> dict[str, Any]:
        """Units, precision, enums, limits, writable, type, count."""
        return dict(self.ask("info", pv=pv, timeout=timeout))

    def put(self, pv: str, value: Any, *, wait: bool = True, timeout: float = 20) -> dict[str, Any]:
        """Write, by default with put-callback; in `took` how many seconds that was.

        Raises:
            RefusedError: the IOC refused it or is not there; without callback only the latter.
        """
        return dict(self.ask("put", pv=pv, value=value, wait=wait, timeout=timeout))

    def put_later(self, pv: str, value: Any, *, timeout: float = 20) -> Pending:
        """Write with put-callback, and go on; call what is returned to wait for it."""
        return self.start("put", pv=pv, value=value, timeout=timeout)

    def until(self, pv: str, value: Any, *, timeout: float = 10) -> None:
        """Wait until a PV has this value; driven by a monitor.

        Raises:
            AssertionError: it had not; with the last one seen.
        """
        try:
            self.ask("until", pv=pv, value=value, timeout=timeout)
        except RefusedError as error:
            raise AssertionError(str(error).removeprefix("TimeoutError: ")) from None

    def monitor(self, *pvs: str) -> Monitor:
        """Follow PVs from now on."""
        return Monitor(self, pvs, raw=self._raw)

    # The process --------------------------------------------------------------------------------

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Ask for an action of `orchestrator.client.client_process`, and wait for its result."""
        return self.start(verb, **arguments)()

    def start(self, verb: str, **arguments: Any) -> Pending:
        """The same, but go on; call what is returned to wait."""
        number = next(self._numbers)
        timeout = arguments.get("timeout") or 10.0
        pending = self._pending[number] = Pending(self, f"{verb} {arguments}", timeout + _REPLY)
        line = json.dumps({"number": number, "verb": verb, **arguments})
        try:
            with self._writing:
                self._process.write(line)
        except (BrokenPipeError, ValueError):
            raise ClientError(f"the client has ended:\n{self._process.log}") from None
        return pending

    def expect(self, what: str) -> None:
        """Look whether there is somebody to do it.

        Raises:
            ClientError: the process has ended.
        """
        if self._process.ended:
            raise ClientError(f"the client ended at {what}:\n{self._process.log}")

    def _read(self) -> None:
        for line in self._process.stdout_pipe:
            reply = json.loads(line)
            self._pending.pop(reply["number"]).take(reply)

    def close(self) -> None:
        """End it."""
        self._process.end_input()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:  # libca waits for a frozen IOC
            self._process.kill()
        self._reader.join()
        self._process.close()
        self._repeater.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Monitor:
    """Updates of PVs since it was made.

    In order for each PV, not from one to another: libca's circuits are independent.
    """

    def __init__(self, client: Client, pvs: Sequence[str], *, raw: bool = False) -> None:
        """Subscribe, and wait for the first value of each.

        Raises:
            RefusedError: one is not there.
        """
        self._client = client
        self._pvs = pvs
        self._of: int = client.ask("watch", pvs=list(pvs), raw=raw)
        self.skipped = len(self.updates())

    def updates(self) -> list[dict[str, Any]]:
        """All so far, the first of each included: `pv`, `connected`, then as `Client.reading`."""
        return list(self._client.ask("updates", of=self._of))

    def values(self, pv: str = "") -> list[Any]:
        """The values of a PV after the first, None where it was lost."""
        pv = pv or self._pvs[0]
        news = self.updates()[self.skipped :]
        return [update.get("value") for update in news if update["pv"] == pv]

    def until(self, value: Any, pv: str = "", timeout: float = 10) -> list[Any]:
        """Wait for an update of a PV with this value; all its values so far.

        Raises:
            AssertionError: none came.
        """
        pv = pv or self._pvs[0]
        try:
            until(lambda: value in self.values(pv), timeout, f"{pv} = {value!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was {self.values(pv)}") from None
        return self.values(pv)
