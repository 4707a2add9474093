"""Being found: answers to searches over UDP, and beacons."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

import caproto as ca
import structlog

_FIRST_BEACON_PERIOD_S = 0.02
_LAST_BEACON_PERIOD_S = 15.0
"""Beacons start quickly and slow down by doubling (CA protocol specification, beacons)."""

logger = structlog.get_logger(__name__)


class SearchResponder(asyncio.DatagramProtocol):
    """Answers searches in the datagram's own callback: no queue, no task.

    Unlike caproto's, an answer echoes the sequence number of the request, by which libca tells
    that its searches arrive, and goes on at full speed (5000 channels: 0.4 s, not 3.8 s).
    """

    def __init__(self, port: int, serves: Callable[[str], bool]) -> None:
        """`port` is where circuits are accepted; `serves` tells whether a name is ours."""
        self._port = port
        self._serves = serves
        self._broadcaster = ca.Broadcaster(our_role=ca.SERVER)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        """The socket is ready."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer the searches of one datagram that are for us."""
        try:
            replies = self._replies(self._broadcaster.recv(data, addr))
        except ca.CaprotoError as error:
            logger.debug("malformed search", sender=addr, error=str(error))
            return
        if replies and self._transport is not None:
            self._transport.sendto(b"".join(bytes(reply) for reply in replies), addr)

    def error_received(self, exc: Exception) -> None:
        """An earlier answer did not arrive: its client is gone."""
        logger.debug("search answer did not arrive", error=str(exc))

    def _replies(self, commands: Iterable[Any]) -> list[Any]:
        version = ca.VersionResponse(ca.DEFAULT_PROTOCOL_VERSION)
        found = []
        for command in commands:
            if isinstance(command, ca.VersionRequest):
                # Flag and sequence number, as in rsrv's udp_version_action.
                version.header.data_type = command.header.data_type
                version.header.parameter1 = command.header.parameter1
            elif isinstance(command, ca.SearchRequest) and self._serves(command.name):
                # No address: the client takes the sender's.
                found.append(
                    ca.SearchResponse(self._port, None, command.cid, ca.DEFAULT_PROTOCOL_VERSION)
                )
        return [version, *found] if found else []


async def send_beacons(port: int, addresses: Iterable[tuple[str, int]]) -> None:
    """Tell clients that we are here, for ever; they then search at once for what they miss."""
    targets = list(addresses)
    broadcaster = ca.Broadcaster(our_role=ca.SERVER)
    period = _FIRST_BEACON_PERIOD_S
    # Not connected to its target: no repeater listening is no error then.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        count = 0
        while True:
            beacon = ca.Beacon(ca.DEFAULT_PROTOCOL_VERSION, port, count, "0.0.0.0")  # noqa: S104 - the sender's address, by protocol
            datagram = broadcaster.send(beacon)
            for target in targets:
                try:
                    sock.sendto(datagram, target)
                except OSError as error:
                    logger.debug("beacon not sent", target=target, error=str(error))
            count = (count + 1) & 0xFFFFFFFF
            await asyncio.sleep(period)
            period = min(_LAST_BEACON_PERIOD_S, 2 * period)
