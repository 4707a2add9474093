"""The listening sockets of an IOC: one port number, TCP for circuits and UDP for searches."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.cas import is_loopback
from orchestrator.errors import InputError

_TRIES = 50
_HIGHEST = 65_535

_BACKLOG = 512
"""Clients that may wait to be let in; one beyond tries again after a second."""


class PortTakenError(InputError):
    """The port that was asked for is in use: name another, or stop what uses it."""


@dataclass(slots=True)
class BoundSockets:
    """One TCP and one UDP socket for each interface, all on one port."""

    port: int
    tcp: list[socket.socket] = field(default_factory=list)
    """Already listening, so that nobody else can take the port."""
    udp: list[socket.socket] = field(default_factory=list)
    heard: list[tuple[socket.socket, int]] = field(default_factory=list)
    """UDP at addresses that are no host's, and by which of `udp` what they hear is answered."""

    def close(self) -> None:
        """Close them all; those that an event loop has taken over are its to close."""
        for sock in (*self.tcp, *self.udp, *(sock for sock, _ in self.heard)):
            sock.close()

    def hear(self, address: str, index: int, interface: str = "") -> None:
        """Hear searches to a broadcast address as well, or to a multicast group at an interface.

        A socket that is bound to the address of an interface gets no broadcasts (caservertask.c
        of EPICS base tells of this oddness).

        Raises:
            InputError: It can't be heard.
        """
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.heard.append((sock, index))
        sock.setblocking(False)
        _share(sock)
        try:
            sock.bind((address, self.port))
            if interface:
                group = socket.inet_aton(address) + socket.inet_aton(interface)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError as error:
            raise InputError(
                f"can't hear searches to {address}:{self.port}: {error.strerror}"
            ) from error


def bind(port: int, interfaces: Sequence[str]) -> BoundSockets:
    """Bind `port` on all interfaces; 0 finds one that is free on all of them.

    Raises:
        PortTakenError: `port` is in use. caproto would take another in silence, on which
            nobody searches.
        InputError: There is no such port or interface.
    """
    if not 0 <= port <= _HIGHEST:
        raise InputError(f"port {port}: expected 0, for a free one, to {_HIGHEST}")
    if port:
        return _bind(port, interfaces)
    for _ in range(_TRIES):
        try:
            return _bind(0, interfaces)
        except PortTakenError:
            continue  # free for the first socket, not for all
    raise PortTakenError(f"no port is free on all of {', '.join(interfaces)}")


def _bind(port: int, interfaces: Sequence[str]) -> BoundSockets:
    bound = BoundSockets(port)
    try:
        for interface in interfaces:
            _add(bound, interface)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"port {bound.port} is in use on {interface}: give another one (0 finds a free "
                "one) and list it in the clients' EPICS_CA_ADDR_LIST as host:port"
            ) from error
        raise InputError(f"can't listen on {interface}:{port}: {error.strerror}") from error
    return bound


def _add(bound: BoundSockets, interface: str) -> None:
    chosen = bound.port == 0
    # proto=IPPROTO_TCP: only then does asyncio set TCP_NODELAY by itself (python/cpython#148783).
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.tcp.append(tcp)
    tcp.setblocking(False)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart finds TIME_WAIT
    tcp.bind((interface, bound.port))
    tcp.listen(_BACKLOG)
    bound.port = tcp.getsockname()[1]

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.udp.append(udp)
    udp.setblocking(False)
    if not chosen and not is_loopback(interface):
        # EPICS servers of one host share the search port; broadcasts reach all of them.
        # Unicast searches reach one of them only, so on loopback it is never shared.
        _share(udp)
    udp.bind((interface, bound.port))


def _share(udp: socket.socket) -> None:
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
