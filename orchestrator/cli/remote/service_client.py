"""A service somewhere, over Channel Access: what it tells of itself, and commands to it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from orchestrator.cas import ANY, server_interfaces, server_port
from orchestrator.cli.remote.which import Which
from orchestrator.cli.terminal.codes import NotThereError
from orchestrator.client import Client, configure_environment
from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.errors import PutError
from orchestrator.types import Field, LinkChange, Reading, RunEvent, Severity, fields
from orchestrator.types.event_json import event_of

_USED = (fields.CMD, fields.EVENTS, fields.SNAPSHOT)
PVS = tuple(field.name for field in _USED)
"""The PVs of a service that we use, without its prefix."""

_ANSWER = 10.0
"""s that a service has to accept or refuse a command."""

Post = Mapping[str, Any]
"""A post of EVENTS, or a SNAPSHOT; see `orchestrator.api.stream`."""


class RemoteService:
    """Follows a service by what it posts; made by `reach`."""

    def __init__(
        self,
        prefix: str,
        told: Callable[[list[RunEvent]], None],
        missed: Callable[[], None],
    ) -> None:
        """Nothing is connected yet; see `reach`."""
        self.prefix = prefix
        self.connected = False
        self.values: dict[str, object] = {}
        """The last values of its fields, as their PVs are called: an enum is its label, an array a
        list, NaN None."""
        self._alarms: Mapping[str, Any] = {}
        self._told = told
        self._missed = missed
        self._number: int | None = None
        self._early: list[Post] = []
        """Posts that came before the first snapshot."""
        channels = {name: self._channel(name) for name in PVS}
        self.client = Client(channels, self)

    def _channel(self, name: str) -> ChannelConfig:
        follows = name != fields.SNAPSHOT.name
        return ChannelConfig(name, f"{self.prefix}{name}", monitor=follows, text=True)

    def value(self, field: Field) -> Any:
        """The last value of a field."""
        return self.values[field.name]

    @property
    def queue(self) -> dict[str, object]:
        """The runs that wait, and whether they are held, as they were last told or read.

        `left_out` counts those for which the PV had no room.
        """
        waiting = json.loads(str(self.values.get(fields.QUEUE.name) or "[]"))
        left_out = waiting.pop()["left_out"] if waiting and "left_out" in waiting[-1] else 0
        return {"held": fields.QUEUE.name in self._alarms, "waiting": waiting, "left_out": left_out}

    def alarm(self, field: Field) -> int:
        """The alarm status of a field as it was last told or read."""
        return int(self._alarms.get(field.name, (Severity.NO_ALARM.name, 0))[1])

    def offer(self, item: Reading | LinkChange) -> None:
        """Take what the client reports; part of its `Offer` port."""
        if item.channel != fields.EVENTS.name:
            return
        if isinstance(item, LinkChange):
            lost = self.connected and not item.connected
            self.connected = item.connected
            if lost:
                self._missed()
        elif item.value:  # it has posted something
            self._take(json.loads(str(item.value)))

    def _take(self, post: Post) -> None:
        if self._number is None:
            self._early.append(post)
            return
        behind = post["n"] - self._number
        if behind <= 0:
            return  # the snapshot had it, or it is the one from before a reconnection
        self._number = post["n"]
        fields, alarms = post.get("fields", {}), post.get("alarms", {})
        self.values |= fields
        others = {name: a for name, a in self._alarms.items() if name not in fields}
        self._alarms = others | dict(alarms)
        events = map(event_of, post.get("events", ()))
        self._told([event for event in events if event is not None])
        if behind > 1 or post.get("lost"):
            self._missed()

    async def refresh(self) -> None:
        """Read all fields as they are now.

        Raises:
            OrchestratorError: They could not be read.
        """
        [reading] = (await self.client.get([fields.SNAPSHOT.name], _ANSWER)).values()
        if isinstance(reading, Exception):
            raise reading
        snapshot = json.loads(str(reading.value))
        self.values, self._alarms = dict(snapshot["fields"]), snapshot.get("alarms", {})
        self._number = snapshot["n"] if self._number is None else max(self._number, snapshot["n"])
        early, self._early = self._early, []
        for post in early:
            self._take(post)

    async def command(self, text: str) -> None:
        """Write to CMD, and return when it was accepted.

        Raises:
            PutError: It was refused; the text is the service's own.
            OrchestratorError: It did not reach the service, or was not answered.
        """
        try:
            await self.client.put(fields.CMD.name, text, completion=True, timeout=_ANSWER)
        except PutError as error:
            known = self.client.metadata(fields.CMD.name)
            if known is not None and not known.writable:
                raise
            await self.refresh()
            reason = self.value(fields.MESSAGE)
            raise PutError(f"{self.prefix} refused it: {reason or error}") from error


def _nothing(_events: list[RunEvent]) -> None:
    """For those who only read `values`."""


def _never_mind() -> None:
    """For those who read `values` as they are."""


@asynccontextmanager
async def reach(
    config: Config,
    target: Which,
    told: Callable[[list[RunEvent]], None] = _nothing,
    missed: Callable[[], None] = _never_mind,
) -> AsyncIterator[RemoteService]:
    """Connect to a service or foreground run, for the time of the block.

    Args:
        config: Says where to look where the target does not, and for how long.
        target: Which one.
        told: Is called with what has happened to runs, at each post; must not raise.
        missed: Is called where posts were missed, or the service was lost: `connected` tells. What
            is in `values` is as old as the last post until `refresh`.

    Raises:
        NotThereError: Not connected within `connect_timeout`.
    """
    _look_for(target, config)
    service = RemoteService(target.prefix, told, missed)
    async with service.client:
        missing = await service.client.connect(PVS, config.ca.connect_timeout)
        if missing:
            raise NotThereError(_not_there(target, missing, config))
        await service.refresh()
        yield service


def _look_for(target: Which, config: Config) -> None:
    """Set where to look: at its address and nowhere else, where that is known.

    Another service may have the same prefix, that of the configuration, elsewhere on the network.
    """
    if not target.address:
        configure_environment(with_own_address(config))
        return
    for name in ("EPICS_CA_ADDR_LIST", "EPICS_CA_NAME_SERVERS"):
        os.environ.pop(name, None)
    there = {"there": ChainConfig("there", "", target.address)}
    ca = replace(config.ca, auto_addr_list=False)
    configure_environment(replace(config, chain=there, ca=ca))


def _not_there(target: Which, missing: list[str], config: Config) -> str:
    prefix = target.prefix
    if target.run:
        return f"{target.run} is not there: it has ended, or does not answer at {target.address}"
    found = f"; of its PVs {', '.join(missing)} are missing" if len(missing) < len(PVS) else ""
    colon = f" (with a colon, {prefix}:)" if prefix[-1:].isalnum() else ""
    return (
        f"no service {prefix} connected within {config.ca.connect_timeout:g} s{found}; "
        f"does it run, is --server its prefix{colon}, and its host in EPICS_CA_ADDR_LIST? "
        f"No foreground run uses the store {config.store} either"
    )


def with_own_address(config: Config) -> Config:
    """The same, with the address at which a service of this configuration would be on this host.

    It may listen on loopback or on a port of its own, where no broadcast reaches it.
    """
    listed, port = server_interfaces(config.server.interfaces), server_port(config.server.port)
    hosts = ["127.0.0.1" if host == ANY else host for host in listed]
    own = {
        f"{index}": ChainConfig(f"{index}", "", f"{host}:{port}")
        for index, host in enumerate(hosts)
    }
    return replace(config, chain={**config.chain, **own})
