"""A service somewhere, over Channel Access: its PVs as they change, and puts to them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from orchestrator.cas import ANY, server_interfaces, server_port
from orchestrator.cli.codes import NotThereError
from orchestrator.cli.which import Which
from orchestrator.client import Client, configure_environment
from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.display.channels import json_value
from orchestrator.errors import PutError
from orchestrator.types import LinkChange, Reading, Severity

_TEXTS = (
    "CMD",
    "message",
    "RUN_ID",
    "RUN_NAME",
    "OWNER",
    "STEP_NAME",
    "CHAIN:DISCONNECTED",
    "SEQUENCES",
    "QUEUE",
)
_OTHERS = (
    "BUSY",
    "STATE",
    "STATUS",
    "STEP",
    "NSTEPS",
    "PROGRESS",
    "ELAPSED",
    "REMAINING",
    "HUNG_SEC",
    "LOOP_INDEX",
    "DATA:NPTS",
    "CHAIN:COUNT",
    "CHAIN:CONNECTED",
    "QUEUE_LEN",
    "PAUSE",
    "STOP",
    "ABORT",
    "SKIP",
)
FIELDS = (*_TEXTS, *_OTHERS)
"""The PVs of a service that we use, without its prefix."""

_ANSWER = 10.0
"""s that a service has to accept or refuse a command."""


class RemoteService:
    """Follows a service's PVs; made by `reach`."""

    def __init__(self, prefix: str, changed: Callable[[str, object], None]) -> None:
        """`changed` is called with field and value at each update, and must not raise.

        When the service is lost it is called with the field `""` and False; with True once it
        is back.
        """
        self.prefix = prefix
        self.connected = False
        self._changed = changed
        self._values: dict[str, object] = {}
        self._alarms: dict[str, tuple[Severity, int]] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        channels = {
            field: ChannelConfig(field, f"{prefix}{field}", text=field in _TEXTS)
            for field in FIELDS
        }
        self.client = Client(channels, self)

    @property
    def values(self) -> Mapping[str, object]:
        """The last values by field: an enum is its label, an array a list, NaN None."""
        return self._values

    @property
    def queue(self) -> dict[str, object]:
        """The runs that wait, and whether they are held, as they were last told or read.

        `left_out` counts those for which the PV had no room.
        """
        waiting = json.loads(str(self._values.get("QUEUE") or "[]"))
        left_out = waiting.pop()["left_out"] if waiting and "left_out" in waiting[-1] else 0
        held = self._alarms.get("QUEUE", (Severity.NO_ALARM, 0))[0] is not Severity.NO_ALARM
        return {"held": held, "waiting": waiting, "left_out": left_out}

    def alarm(self, field: str) -> int:
        """The alarm status of a field as it was last told or read."""
        return self._alarms.get(field, (Severity.NO_ALARM, 0))[1]

    def offer(self, item: Reading | LinkChange) -> None:
        """Take what the client reports; part of its `Offer` port."""
        if isinstance(item, LinkChange):
            self._take_link(item)
        else:
            value = self._values[item.channel] = self._plain(item)
            self._alarms[item.channel] = item.severity, item.status
            self._changed(item.channel, value)

    def _take_link(self, link: LinkChange) -> None:
        if link.metadata is not None:
            self._labels[link.channel] = link.metadata.labels
        if link.channel == "BUSY" and link.connected != self.connected:
            self.connected = link.connected
            self._changed("", link.connected)

    def _plain(self, reading: Reading) -> object:
        labels = self._labels.get(reading.channel, ())
        if isinstance(reading.value, int) and 0 <= reading.value < len(labels):
            return labels[reading.value]
        if reading.channel == "LOOP_INDEX":  # one element comes as a number
            return np.atleast_1d(np.asarray(reading.value)).tolist()
        return json_value(reading.value)

    async def read_queue(self) -> dict[str, object]:
        """`queue`, as the service has it now."""
        for reading in (await self.client.get(["QUEUE"], _ANSWER)).values():
            if isinstance(reading, Reading):
                self.offer(reading)
        return self.queue

    async def command(self, text: str) -> None:
        """Write to CMD, and return when it was accepted.

        Raises:
            PutError: It was refused; the text is the service's own.
            OrchestratorError: It did not reach the service, or was not answered.
        """
        try:
            await self.client.put("CMD", text, completion=True, timeout=_ANSWER)
        except PutError as error:
            known = self.client.metadata("CMD")
            if known is not None and not known.writable:
                raise
            reason = (await self.fresh("message"))["message"]
            raise PutError(f"{self.prefix} refused it: {reason or error}") from error

    async def put(self, field: str, value: int) -> None:
        """Write a command PV, and return when it was taken.

        Raises:
            OrchestratorError: It was refused, or did not reach the service.
        """
        await self.client.put(field, value, completion=True, timeout=_ANSWER)

    async def fresh(self, *fields: str) -> dict[str, object]:
        """Read fields from the service; what can't be read has its last value."""
        readings = await self.client.get(fields, _ANSWER)
        for field, reading in readings.items():
            if isinstance(reading, Reading):
                self._alarms[field] = reading.severity, reading.status
        return {
            field: self._plain(reading) if isinstance(reading, Reading) else self._values.get(field)
            for field, reading in readings.items()
        }


def nothing(_field: str, _value: object) -> None:
    """For those who only read `values`."""


@asynccontextmanager
async def reach(
    config: Config, target: Which, changed: Callable[[str, object], None] = nothing
) -> AsyncIterator[RemoteService]:
    """Connect to a service or foreground run, for the time of the block.

    Args:
        config: Says where to look where the target does not, and for how long.
        target: Which one.
        changed: See `RemoteService`.

    Raises:
        NotThereError: Not connected within `connect_timeout`.
    """
    _look_for(target, config)
    service = RemoteService(target.prefix, changed)
    async with service.client:
        missing = await service.client.connect(FIELDS, config.ca.connect_timeout)
        if missing:
            raise NotThereError(_not_there(target, missing, config))
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
    found = f"; of its PVs {', '.join(missing)} are missing" if len(missing) < len(FIELDS) else ""
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
