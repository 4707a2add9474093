"""Free ports on loopback for servers that are about to be started."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import sys

LOOPBACK = "127.0.0.1"

PORTS = range(20_000, 30_000)
"""Below the range from which systems draw ports for outgoing connections (Linux: 32768 up),
so that no client takes one in the time in which its IOC is down."""


class PortHold:
    """A free port, held for one server until closed.

    On Linux a bound TCP socket that does not listen keeps others from choosing the port, yet lets
    a server in that sets SO_REUSEADDR, as IOCs do. Elsewhere the port is only known to be free
    now.
    """

    def __init__(self) -> None:
        """Hold a port on which neither TCP nor UDP is in use.

        Raises:
            OSError: there is none.
        """
        for self.port in random.sample(PORTS, len(PORTS)):
            with contextlib.suppress(OSError):
                self._socket = _bind_both(self.port)
                return
        raise OSError(errno.EADDRINUSE, f"no free port in {PORTS.start}…{PORTS.stop - 1}")

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()


def is_free(port: int) -> bool:
    """Whether nobody serves at a port, held as it may be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _bind_both(port: int) -> socket.socket:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((LOOPBACK, port))
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        tcp.bind((LOOPBACK, port))
    except OSError:
        tcp.close()
        raise
    if sys.platform == "linux":
        # Only now: with the option set before, two holders could bind the same port.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        tcp.close()
    return tcp
