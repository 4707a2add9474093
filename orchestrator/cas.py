"""Where a Channel Access server serves: what EPICS_CAS_* say, read as by a C IOC.

The rules are those of EPICS base: rsrv_init and rsrv_build_addr_lists (caservertask.c), and
rsrv_online_notify_task (online_notify.c). A C IOC prints a line for a value that it can't use,
and takes another one; here such a value is an error, so that nobody looks for an IOC in vain.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from orchestrator.errors import InputError

ANY = "0.0.0.0"  # noqa: S104 - all interfaces, as an IOC does unless it is told otherwise
SERVER_PORT = 5064
BEACON_PORT = 5065
BEACON_PERIOD = 15.0
"""s between two beacons of a server that has been up for some time."""

_LOWEST = 5_001
"""A C IOC takes no port below (IPPORT_USERRESERVED)."""
_HIGHEST = 65_535
_BROADCAST = "255.255.255.255"

Target = tuple[str, int]
"""Address and port."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a server listens, whom it tells of itself, and whom it does not answer."""

    port: int
    """For circuits and searches; 0 finds a free one."""
    interfaces: tuple[str, ...]
    groups: tuple[str, ...] = ()
    """Multicast groups in which searches are heard as well."""
    beacons: tuple[Target, ...] = ()
    beacon_period: float = BEACON_PERIOD
    ignored: frozenset[str] = frozenset()
    """Addresses whose searches are not answered."""
    said: Mapping[str, str] | None = None
    """The variables that had a say, as they are set."""
    warnings: tuple[str, ...] = ()
    """What is probably not meant."""

    @property
    def told(self) -> dict[str, object]:
        """All of it but port and interfaces, as far as it is not as ever; for a log."""
        told: dict[str, object] = {}
        if self.said:
            told["environment"] = dict(self.said)
            told["beacons"] = [f"{host}:{port}" for host, port in self.beacons]
        if self.beacon_period != BEACON_PERIOD:
            told["beacon_period"] = self.beacon_period
        if self.ignored:
            told["ignored"] = sorted(self.ignored)
        return told

    def line(self, port: int) -> str:
        """The same in a line, for an IOC's terminal; empty where the environment says nothing."""
        if not self.said:
            return ""
        said = " ".join(f"{name}={value}" for name, value in self.said.items())
        beacons = " ".join(f"{host}:{number}" for host, number in self.beacons) or "nobody"
        listens = " ".join((*self.interfaces, *self.groups))
        return (
            f"serving at port {port} of {listens}, beacons to {beacons} "
            f"every {self.beacon_period:g} s; in force: {said}"
        )


def serving(
    port: int | None = None,
    interfaces: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Serving:
    """Where to serve; what is given here stands above the environment.

    Args:
        port: 0 finds a free one; None: as EPICS_CAS_SERVER_PORT, else EPICS_CA_SERVER_PORT says.
        interfaces: None: as EPICS_CAS_INTF_ADDR_LIST says, else all. A server that is to listen on
            loopback alone sends no beacon beyond.
        environ: That of the process unless given.

    Raises:
        InputError: A variable that counts has a value that makes no sense: one line.
    """
    read = _Environment(os.environ if environ is None else environ)
    port = _port(read) if port is None else port
    listed, groups = _interfaces(read) if interfaces is None else (tuple(interfaces), ())
    beacons = _beacons(read, listed)
    if interfaces is not None and all(map(is_loopback, listed)):
        beacons = tuple(target for target in beacons if is_loopback(target[0]))
    period = read.seconds(("EPICS_CAS_BEACON_PERIOD", "EPICS_CA_BEACON_PERIOD"), BEACON_PERIOD)
    ignored = frozenset(host for host, _ in read.targets("EPICS_CAS_IGNORE_ADDR_LIST", 0))
    read.used.pop("EPICS_CA_REPEATER_PORT", None)  # that of all clients: nothing to be told
    return Serving(port, listed, groups, beacons, period, ignored, read.used, tuple(read.warnings))


def server_port(port: int | None = None) -> int:
    """The port at which a server of this host serves that was started as we were.

    Raises:
        InputError: The variable that counts is no port.
    """
    return _port(_Environment(os.environ)) if port is None else port


def server_interfaces(interfaces: Sequence[str] | None = None) -> tuple[str, ...]:
    """The same of the addresses that it listens on.

    Raises:
        InputError: EPICS_CAS_INTF_ADDR_LIST makes no sense.
    """
    return _interfaces(_Environment(os.environ))[0] if interfaces is None else tuple(interfaces)


class _Environment:
    """Reads variables, and notes which have had a say. One that is empty is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str] = {}
        self.warnings: list[str] = []

    def says(self, name: str) -> bool:
        return bool(self._environ.get(name, "").strip())

    def first(self, names: Iterable[str]) -> tuple[str, str] | None:
        """The first of these that is set, and its value."""
        for name in names:
            if self.says(name):
                self.used[name] = value = self._environ[name].strip()
                return name, value
        return None

    def port(self, names: Iterable[str], otherwise: int) -> int:
        found = self.first(names)
        if found is None:
            return otherwise
        name, text = found
        if not _LOWEST <= (port := _number(text)) <= _HIGHEST:
            raise InputError(f"{name}={text}: expected a port, {_LOWEST} to {_HIGHEST}")
        return port

    def seconds(self, names: Iterable[str], otherwise: float) -> float:
        found = self.first(names)
        if found is None:
            return otherwise
        name, text = found
        with suppress(ValueError):
            if (value := float(text)) > 0 and math.isfinite(value):
                return value
        raise InputError(f"{name}={text}: expected seconds, more than 0")

    def yes(self, name: str, otherwise: bool) -> bool:
        found = self.first([name])
        if found is None:
            return otherwise
        if found[1].casefold() not in ("yes", "no"):
            raise InputError(f"{name}={found[1]}: expected YES or NO")
        return found[1].casefold() == "yes"

    def targets(self, name: str, port: int) -> list[Target]:
        """Addresses, host[:port] between blanks; each once."""
        found = self.first([name])
        words = found[1].split() if found else []
        return list(dict.fromkeys(_target(name, word, port) for word in words))


def _target(name: str, word: str, port: int) -> Target:
    host, colon, number = word.partition(":")
    if not host or (colon and not 0 < _number(number) <= _HIGHEST):
        raise InputError(f"{name}: {word!r} is no address, which is host or host:port")
    try:
        # Before anything is served: a name server that does not answer delays the start alone.
        address = socket.gethostbyname(host)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{name}: {word!r} is no address, and no host of this name known") from (
            error
        )
    return address, int(number) if colon else port


def _number(text: str) -> int:
    """A port's number; 0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0


def _port(read: _Environment) -> int:
    return read.port(("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"), SERVER_PORT)


def _interfaces(read: _Environment) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses to listen on, and the multicast groups among what is listed."""
    name = "EPICS_CAS_INTF_ADDR_LIST"
    hosts = list(dict.fromkeys(host for host, _ in read.targets(name, 0)))
    groups = tuple(host for host in hosts if IPv4Address(host).is_multicast)
    listed = [host for host in hosts if host not in groups]
    if ANY in listed and len(listed) > 1:
        raise InputError(f"{name}: {ANY} is all interfaces; no other can stand beside it")
    there = [host for host in listed if _is_ours(host)]
    for host in listed:
        if host not in there:
            read.warnings.append(f"{name}: {host} is no address of this host, and passed over")
    if listed and not there:
        raise InputError(f"{name}: none is an address of this host: {' '.join(listed)}")
    return tuple(there) or (ANY,), groups


def _beacons(read: _Environment, interfaces: Sequence[str]) -> tuple[Target, ...]:
    """Where beacons go: to what is listed, and, unless that is all, where the interfaces lead."""
    port = read.port(("EPICS_CAS_BEACON_PORT", "EPICS_CA_REPEATER_PORT"), BEACON_PORT)
    automatic = read.yes("EPICS_CAS_AUTO_BEACON_ADDR_LIST", True)
    hosts = [b for each in interfaces for b in broadcasts(each)] if automatic else []
    listed = read.targets("EPICS_CAS_BEACON_ADDR_LIST", port)
    targets = tuple(dict.fromkeys([*((host, port) for host in hosts), *listed]))
    if not targets:
        read.warnings.append(
            "no beacons are sent (EPICS_CAS_AUTO_BEACON_ADDR_LIST is NO, and "
            "EPICS_CAS_BEACON_ADDR_LIST empty): clients find a restarted IOC late"
        )
    return targets


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this host alone."""
    if host == "localhost":
        return True
    try:
        return IPv4Address(host).is_loopback
    except ValueError:
        return False


def _is_ours(host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


# Broadcast addresses ----------------------------------------------------------------------------

# From Linux's sockios.h and if.h; Python knows none of them.
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFBRDADDR = 0x8913, 0x8915, 0x8919
_IFF_UP, _IFF_BROADCAST = 0x1, 0x2


def broadcasts(interface: str) -> tuple[str, ...]:
    """The addresses that reach all hosts at an interface, as its beacons do.

    Those of all interfaces for 0.0.0.0; a loopback address is its own. Where the system does not
    tell (Linux does): the one of this network, whichever that is.
    """
    if is_loopback(interface):
        return (interface,)
    found = [b for own, b in _known_broadcasts() if interface in (ANY, own)]
    return tuple(dict.fromkeys(found)) or (_BROADCAST,)


def _known_broadcasts() -> Iterator[tuple[str, str]]:
    """Address and broadcast address of each interface that has one."""
    if sys.platform != "linux":
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has no IPv4 address
                (flags,) = struct.unpack("H", _ask(sock, name, _SIOCGIFFLAGS)[:2])
                if flags & _IFF_UP and flags & _IFF_BROADCAST:
                    own = socket.inet_ntoa(_ask(sock, name, _SIOCGIFADDR)[4:8])
                    yield own, socket.inet_ntoa(_ask(sock, name, _SIOCGIFBRDADDR)[4:8])


def _ask(sock: socket.socket, name: str, request: int) -> bytes:
    import fcntl  # there is none on Windows

    return fcntl.ioctl(sock.fileno(), request, struct.pack("256s", name.encode()[:15]))[16:]
