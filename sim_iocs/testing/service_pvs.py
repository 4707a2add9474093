"""The PVs that a service under test serves and chains, by the names that a sequence uses."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import InputError
from sim_iocs.testing.client import Client, Monitor, RefusedError
from sim_iocs.testing.service_process import ServiceProcess

_FAMILIES = frozenset({"CHAIN", "DATA", "SCHEDULE", "TRIGGER", "MON", "PULL", "PUSH", "STATS"})
"""What the service's PV names begin with that have a colon."""


class ServicePvs(ServiceProcess):
    """What a service is to its clients."""

    client: Client

    def __init__(self) -> None:
        """It has no PVs yet."""
        super().__init__()
        self.prefix = ""
        """Of its own PVs."""
        self.aliases: Mapping[str, str] = {}
        """The PV of each alias of its configuration."""

    def pv(self, name: str) -> str:
        """The PV that a name means: an alias, one of the service's without its prefix, or itself.

        `motor.x`, `STATUS`, `CHAIN:COUNT`, `SIM:STAGE:X`.

        Raises:
            InputError: there is no such alias.
        """
        if name in self.aliases:
            return self.aliases[name]
        if ":" not in name and "." in name:
            near = difflib.get_close_matches(name, self.aliases, 1)
            raise InputError(f"no alias {name!r}{f', did you mean {near[0]}?' if near else ''}")
        own = ":" not in name or name.partition(":")[0] in _FAMILIES
        return f"{self.prefix}{name}" if own else name

    def get(self, name: str, *, timeout: float = 10) -> Any:
        """The value of a PV, read afresh: a number, a text, an enum's label, a list."""
        return self.client.get(self.pv(name), timeout=timeout)

    def reading(self, name: str) -> dict[str, Any]:
        """The same with `severity` and `status` (numbers of EPICS) and `timestamp` (Unix s)."""
        return self.client.reading(self.pv(name))

    def put(self, name: str, value: Any, *, wait: bool = True, timeout: float = 20) -> None:
        """Write a PV, by default with put-callback.

        Raises:
            RefusedError: it was refused, or is not there.
        """
        self.client.put(self.pv(name), value, wait=wait, timeout=timeout)

    def monitor(self, *names: str) -> Monitor:
        """Follow PVs from now on."""
        return self.client.monitor(*map(self.pv, names))

    def until(self, name: str, value: Any, *, timeout: float = 10) -> None:
        """Wait until a PV has this value.

        Raises:
            AssertionError: it had not, with the last one seen.
        """
        try:
            self.client.until(self.pv(name), value, timeout=timeout)
        except AssertionError as error:
            self._alive(f"ended while {name} was to become {value!r}")
            raise AssertionError(f"{error}\n{self._log_end}") from None

    def reply_of(self, asked: Callable[[], Any]) -> str:
        """Wait for what the client was asked to do; why it was refused, empty if it was not."""
        try:
            asked()
        except RefusedError as error:
            return str(error)
        return ""

    def command_text(self, *words: str) -> None:
        """Write a command to `CMD`, quoted as in a shell.

        Raises:
            RefusedError: it was refused.
        """
        self.client.ask(
            "put", pv=f"{self.prefix}CMD", value=shlex.join(filter(None, words)), kind="long"
        )
