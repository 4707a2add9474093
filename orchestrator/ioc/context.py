"""What is served, and the one queue from which every subscription is fed."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np
import structlog
from caproto.asyncio import server as caproto_server

from orchestrator.ioc.circuit import Circuit

_UPDATES_A_TURN = 32
_BACKLOG_LIMIT = 500
"""Updates that may wait for the clients before a publisher should."""

logger = structlog.get_logger(__name__)


class Context(caproto_server.Context):  # type: ignore[misc] # caproto is untyped
    """caproto's context: PVs by name, circuits, subscriptions; sockets are `serve`'s."""

    circuits: set[Circuit]

    def __init__(
        self, pvdb: MutableMapping[str, Any], port: int, interfaces: Sequence[str]
    ) -> None:
        super().__init__(pvdb, list(interfaces))
        self.ca_server_port = port  # caproto takes it from EPICS_CA_SERVER_PORT, as libca does
        self.port = port
        self.delay_s = 0.0
        self.writes_refused = False

    def set_delay(self, seconds: float) -> None:
        """Let each client have whatever is sent to it this much later; 0: at once, as ever."""
        self.delay_s = seconds
        for circuit in self.circuits:
            circuit.delay.seconds = seconds

    def refuse_writes(self, refused: bool) -> None:
        """Take write access from all clients, those to come too, or give it back."""
        if refused != self.writes_refused:
            self.writes_refused = refused
            for circuit in self.circuits:
                circuit.tell_access()

    def serves(self, name: str) -> bool:
        """Whether this is the name of a PV of ours, or of a field of one."""
        try:
            return self[name] is not None
        except KeyError:
            return False

    @property
    def backlog(self) -> int:
        """Updates that wait to be handed to the circuits."""
        size: int = self.subscription_queue.qsize()
        return size

    async def room(self) -> None:
        """Return when there is room for more updates; suspends at least once.

        Writing a PV never suspends: whoever writes many must wait for this in between.
        """
        await asyncio.sleep(0)
        while self.backlog > _BACKLOG_LIMIT:  # noqa: ASYNC110 - the queue tells only its length
            await asyncio.sleep(0)

    async def taken(self) -> None:
        """Return when every client that reads has all updates so far in front of it.

        With more than `CAPROTO_MAX_SUBSCRIPTION_BACKLOG` of a PV behind them, a client loses the
        oldest: who may lose none waits for this after fewer.
        """
        await self.room()
        while self.backlog:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        for circuit in list(self.circuits):
            await circuit.caught_up()

    async def subscription_queue_loop(self) -> None:
        """Hand the updates to the circuits."""
        taken = 0
        while True:
            update = await self.subscription_queue.get()
            await self._subscription_queue_iteration(*update)
            del update  # a PV that was replaced meanwhile is not kept
            taken += 1
            if taken % _UPDATES_A_TURN == 0:
                await asyncio.sleep(0)

    async def _subscription_queue_send(
        self, sub_spec: Any, sub: Any, metadata: Any, values: Any, flags: int
    ) -> None:
        if sub.data_count > len(values):
            # caproto would claim the count that was asked for, and send less.
            values = _padded(values, sub.data_count)
        try:
            await super()._subscription_queue_send(sub_spec, sub, metadata, values, flags)
        except Exception as error:  # noqa: BLE001 - one subscription must not end all others
            logger.warning("update not sent", pv=sub.channel.name, error=repr(error))

    async def replace(self, name: str, channel: Any) -> None:
        """Serve `channel` as `name` from now on; clients of the former are disconnected."""
        former = self.pvdb.get(name)
        for cached in [n for n, pv in self.pvdb.items() if pv is former]:
            del self.pvdb[cached]  # caproto keeps `name.VAL` beside `name`
        self.pvdb[name] = channel
        for circuit in list(self.circuits):
            names = {sid: c.name for sid, c in circuit.circuit.channels_sid.items()}
            for sid, channel_name in names.items():
                if channel_name.partition(".")[0] == name:
                    await circuit.withdraw(sid)


def _padded(values: Any, count: int) -> Any:
    if isinstance(values, np.ndarray):
        return np.concatenate([values, np.zeros(count - len(values), values.dtype)])
    if isinstance(values, bytes | bytearray):
        return bytes(values).ljust(count, b"\0")
    kind = type(values)
    blank = b"" if len(values) and isinstance(values[0], bytes | str) else 0
    return kind([*values, *([blank] * (count - len(values)))])
