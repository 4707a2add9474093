"""Being found: answers to searches over UDP, and beacons."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import caproto as ca
import structlog

from orchestrator.ioc.serving.turns import Budget, Turns

_FIRST_BEACON_PERIOD_S = 0.02
"""Beacons start quickly and slow down by doubling (CA protocol specification, beacons)."""

_HEADER = struct.Struct(">HHHHII")
"""Command, payload size, data type, data count, parameters 1 and 2 (CA specification)."""

_VERSION, _SEARCH = 0, 6
_SENDERS_ADDRESS = 0xFFFF_FFFF
_VERSION_PAYLOAD = struct.pack(">H6x", ca.DEFAULT_PROTOCOL_VERSION)
_IN_A_DATAGRAM = 40
_LONGEST_NAME = 4096

_A_CLIENTS_BYTES = 2048
"""Of a datagram of searches: libca sends at most 1024, caproto 1472."""

_OTHERS_SHARE = 4
_BURST_S = 0.02
"""Searches may take a quarter of the time, and so long at once; what is beyond waits for turns."""

_SENDERS = 500
_KEPT_OF_EACH = 16
"""Datagrams that wait."""

logger = structlog.get_logger(__name__)


class SearchResponder(asyncio.DatagramProtocol):
    """Answers searches in the datagram's own callback: no queue, no task, while they are few.

    Unlike caproto's, an answer echoes the sequence number of the request, by which libca tells
    that its searches arrive, and goes on at full speed (5000 channels: 0.4 s, not 3.8 s). It is
    read and written without caproto's classes, which take some 20 µs a name.

    In a flood the datagrams wait, a few of each sender, and are answered in turns.
    """

    def __init__(
        self,
        port: int,
        serves: Callable[[str], bool],
        turns: Turns | None = None,
        ignored: Collection[str] = (),
        answering: asyncio.DatagramTransport | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Make one; `run` is to run beside it.

        Args:
            port: Where circuits are accepted.
            serves: Tells whether a name is ours.
            turns: Of the event loop; shared with all else that serves clients.
            ignored: Addresses of hosts that get no answer.
            answering: Sends the answers, where the socket that hears has the address of no host;
                else that one does.
            clock: Measures what the answers take.
        """
        self._port = port
        self._serves = serves
        self._turns = turns or Turns()
        self._clock = clock
        self._ignored = ignored
        self._answering = answering
        self._transport: asyncio.DatagramTransport | None = None
        self._free_at = 0.0
        self._waiting: OrderedDict[tuple[str, int], deque[bytes]] = OrderedDict()
        self._more = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        """The socket is ready."""
        self._transport = self._answering or transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer the searches of one datagram that are for us, now or in their turn."""
        if addr[0] in self._ignored:
            return
        begun = self._clock()
        if self._waiting or begun < self._free_at or len(data) > _A_CLIENTS_BYTES:
            self._keep(data, addr)
            return
        self._send([reply for reply in self._replies(data) if reply], addr)
        # As long again as they take, thrice, is for others; a burst is none.
        took = self._clock() - begun
        self._free_at = max(self._free_at, begun - _BURST_S) + _OTHERS_SHARE * took

    def error_received(self, exc: Exception) -> None:
        """An earlier answer did not arrive: its client is gone."""
        logger.debug("search answer did not arrive", error=str(exc))

    async def run(self) -> None:
        """Answer what has had to wait, for ever."""
        budget = Budget(self._turns)
        while True:
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
                budget.renew()
            sender, data = self._next()
            found = []
            for reply in self._replies(data):
                if reply:
                    found.append(reply)
                await budget.turn()
            self._send(found, sender)

    def _keep(self, data: bytes, sender: tuple[str, int]) -> None:
        if sender not in self._waiting and len(self._waiting) >= _SENDERS:
            return  # clients search again
        kept = self._waiting.setdefault(sender, deque(maxlen=_KEPT_OF_EACH))
        kept.append(data)
        self._more.set()

    def _next(self) -> tuple[tuple[str, int], bytes]:
        """The oldest datagram of the sender whose turn it is."""
        sender, kept = self._waiting.popitem(last=False)
        data = kept.popleft()
        if kept:
            self._waiting[sender] = kept  # at the end
        return sender, data

    def _send(self, replies: list[bytes], addr: tuple[str, int]) -> None:
        """As many datagrams as it takes: a large one is lost on the way (rsrv: 1024 bytes)."""
        if self._transport is None or not replies:
            return
        version, *found = replies
        for first in range(0, len(found), _IN_A_DATAGRAM):
            datagram = b"".join((version, *found[first : first + _IN_A_DATAGRAM]))
            self._transport.sendto(datagram, addr)

    def _replies(self, data: bytes) -> Iterator[bytes]:
        """The version, and an answer for each name that is ours; nothing for what is not.

        What follows something malformed is not looked at.
        """
        version = _HEADER.pack(_VERSION, 0, 0, ca.DEFAULT_PROTOCOL_VERSION, 0, 0)
        told, at = False, 0
        while at + _HEADER.size <= len(data):
            command, size, kind, _, first, second = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            reply = b""
            if command == _VERSION:
                # Flag and sequence number, as in rsrv's udp_version_action.
                version = _HEADER.pack(_VERSION, 0, kind, ca.DEFAULT_PROTOCOL_VERSION, first, 0)
            elif at + size > len(data):
                logger.debug("malformed search")
                return
            elif command == _SEARCH and self._is_ours(data[at : at + size]):
                if not told:
                    told = True
                    yield version
                # No address: the client takes the sender's.
                reply = _HEADER.pack(_SEARCH, 8, self._port, 0, _SENDERS_ADDRESS, second)
                reply += _VERSION_PAYLOAD
            at += size
            yield reply

    def _is_ours(self, payload: bytes) -> bool:
        name = payload.partition(b"\0")[0]
        return 0 < len(name) <= _LONGEST_NAME and self._serves(name.decode("latin-1"))


async def send_beacons(port: int, addresses: Iterable[tuple[str, int]], longest: float) -> None:
    """Tell clients that we are here, for ever; they then search at once for what they miss.

    `longest` is the time between two of them in the end, in s.
    """
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
            # rsrv doubles while it is shorter, and never makes it shorter (online_notify.c).
            period = max(period, min(longest, 2 * period))
