"""EPICS_CAS_*: what each means for an IOC of the kit is what it means for a C IOC, on loopback."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sim_helpers import until

from sim_iocs.free_ports import LOOPBACK, PortHold
from sim_iocs.process import Process

OTHER = "127.0.0.2"
"""On Linux all of 127.0.0.0/8 is ours."""
GROUP = "239.255.83.7"
_BEACON, _SEARCH, _VERSION = 13, 6, 0
_HEADER = struct.Struct(">HHHHII")

IOCS = {
    "kit": [sys.executable, "-m", "sim_iocs.plain", "--prefix", "T:"],
    "service": [sys.executable, "-m", "orchestrator", "serve", "--prefix", "T:"],
    "records": [sys.executable, "-m", "sim_iocs.records", "--prefix", "T:"],
    "c": [sys.executable, "-m", "epicscorelibs.ioc", "-d", "t.db"],
}
NAMES = {"kit": "T:Double", "service": "T:HEARTBEAT", "records": "T:Ao", "c": "T:x"}


@contextmanager
def ioc(kind: str, folder: Path, env: Mapping[str, object]) -> Iterator[Process]:
    """One that is served where its environment says."""
    (folder / "t.db").write_text('record(ai, "T:x") {}\n')
    with closing(Process(kind, IOCS[kind], clean(env), cwd=folder)) as process:
        yield process


def clean(env: Mapping[str, object]) -> dict[str, str]:
    """These variables and none else of EPICS; as a client nobody is spoken to."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("EPICS_")}
    nobody = {"EPICS_CA_ADDR_LIST": LOOPBACK, "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    return own | nobody | {name: str(value) for name, value in env.items()}


@contextmanager
def listening(address: str = LOOPBACK, port: int = 0) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind((address, port))
        udp.settimeout(0.05)
        yield udp


def port_of(udp: socket.socket) -> int:
    return int(udp.getsockname()[1])


def search(name: str) -> bytes:
    text = name.encode() + b"\0" * (8 - len(name) % 8)
    return (
        _HEADER.pack(_VERSION, 0, 1, 13, 1, 0)
        + _HEADER.pack(_SEARCH, len(text), 5, 13, 1, 1)
        + text
    )


def answered(udp: socket.socket, where: tuple[str, int], name: str) -> bool:
    """Whether a search is answered, in a moment."""
    udp.sendto(search(name), where)
    try:
        return name == "" or bool(udp.recv(1000))
    except (TimeoutError, ConnectionRefusedError):
        return False


def beacons(udp: socket.socket) -> list[int]:
    """The ports that came in beacons so far."""
    found = []
    try:
        while True:
            command, _, _, port, _, _ = _HEADER.unpack(udp.recv(1000)[:16])
            if command == _BEACON:
                found.append(port)
    except TimeoutError:
        return found


def accepts(address: str, port: int) -> bool:
    with closing(socket.socket()) as tcp:
        tcp.settimeout(1)
        return tcp.connect_ex((address, port)) == 0


@pytest.mark.parametrize("kind", IOCS)
def test_each_variable_means_what_it_means_for_a_c_ioc(kind: str, tmp_path: Path) -> None:
    with ExitStack() as parts:
        port = parts.enter_context(closing(PortHold())).port
        automatic, listed, third = (parts.enter_context(listening()) for _ in range(3))
        other, ignored, fine = (
            parts.enter_context(listening(a)) for a in (OTHER, "127.0.0.3", LOOPBACK)
        )
        targets = f"{LOOPBACK}:{port_of(listed)} localhost:{port_of(third)}"
        env = {
            "EPICS_CAS_SERVER_PORT": port,
            "EPICS_CA_SERVER_PORT": 5999,
            "EPICS_CAS_INTF_ADDR_LIST": f"{LOOPBACK} {OTHER} {GROUP}",
            "EPICS_CAS_BEACON_PORT": port_of(automatic),
            "EPICS_CAS_BEACON_ADDR_LIST": targets,
            "EPICS_CAS_BEACON_PERIOD": 0.1,
            "EPICS_CAS_IGNORE_ADDR_LIST": "127.0.0.3 127.0.0.4:17",
        }
        process = parts.enter_context(ioc(kind, tmp_path, env))
        name = NAMES[kind]
        until(lambda: answered(fine, (LOOPBACK, port), name), 20, f"found: {process.log}")
        assert answered(other, (OTHER, port), name)
        assert not answered(ignored, (LOOPBACK, port), name)
        assert accepts(LOOPBACK, port)
        assert accepts(OTHER, port)
        assert not accepts("127.0.0.5", port), "it listens there alone"
        fine.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
        if kind not in (
            "c",
            "records",
        ):  # a C IOC joins by a socket that Linux gives no datagrams of the group
            assert answered(fine, (GROUP, port), name)
        seen: dict[str, int] = {"automatic": 0, "listed": 0, "third": 0}

        def all_regular() -> bool:
            for what, udp in (("automatic", automatic), ("listed", listed), ("third", third)):
                came = beacons(udp)
                assert set(came) <= {port}
                seen[what] += len(came)
            return min(seen.values()) > 10

        until(all_regular, 5, "beacons every 0.1 s")


@pytest.mark.parametrize("kind", IOCS)
def test_beacons_go_to_the_list_alone_where_none_are_automatic(kind: str, tmp_path: Path) -> None:
    """And to the repeater's port; CA_SERVER_PORT moves a server that has no port of its own."""
    with ExitStack() as parts:
        port = parts.enter_context(closing(PortHold())).port
        automatic = parts.enter_context(listening())
        with listening(OTHER, port_of(automatic)) as listed, listening() as fine:
            env = {
                "EPICS_CA_SERVER_PORT": port,
                "EPICS_CAS_SERVER_PORT": "",
                "EPICS_CAS_INTF_ADDR_LIST": LOOPBACK,
                "EPICS_CA_REPEATER_PORT": port_of(automatic),
                "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
                "EPICS_CAS_BEACON_ADDR_LIST": OTHER,
            }
            process = parts.enter_context(ioc(kind, tmp_path, env))
            found = (LOOPBACK, port)
            until(lambda: answered(fine, found, NAMES[kind]), 20, f"found: {process.log}")
            until(lambda: beacons(listed), 10, "beacons")
            assert beacons(automatic) == []
            assert not accepts(OTHER, port)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("EPICS_CAS_SERVER_PORT", "many", "expected a port, 5001 to 65535"),
        ("EPICS_CAS_SERVER_PORT", "80", "expected a port, 5001 to 65535"),
        ("EPICS_CAS_INTF_ADDR_LIST", "0.0.0.0 127.0.0.1", "0.0.0.0 is all interfaces"),
        ("EPICS_CAS_BEACON_PERIOD", "0", "expected seconds, more than 0"),
        ("EPICS_CAS_AUTO_BEACON_ADDR_LIST", "maybe", "expected YES or NO"),
        ("EPICS_CA_CONN_TMO", "soon", "EPICS_CA_CONN_TMO misconfigured"),
        ("EPICS_CAS_BEACON_ADDR_LIST", "127.0.0.1:x", "'127.0.0.1:x' is no address"),
    ],
)
def test_a_value_that_makes_no_sense_is_a_clear_line(
    name: str, value: str, why: str, tmp_path: Path
) -> None:
    env = {"EPICS_CAS_INTF_ADDR_LIST": LOOPBACK, name: value}
    with ioc("kit", tmp_path, env) as process:
        assert process.end() == 1
        (line,) = process.errors.splitlines()
    assert name in line
    assert why in line


def test_what_is_in_force_is_told_and_options_stand_above_it(tmp_path: Path) -> None:
    with ExitStack() as parts:
        port = parts.enter_context(closing(PortHold())).port
        env = {
            "EPICS_CAS_SERVER_PORT": "5999",
            "EPICS_CAS_INTF_ADDR_LIST": OTHER,
            "EPICS_CAS_IGNORE_ADDR_LIST": "127.0.0.9",
        }
        options = ["--port", str(port), "--interfaces", LOOPBACK]
        command = [*IOCS["kit"], *options]
        process = parts.enter_context(closing(Process("kit", command, clean(env))))
        until(lambda: f"READY port={port}" in process.output, 20, f"it serves: {process.log}")
        # Another stream than READY, read by another thread.
        until(
            lambda: "EPICS_CAS_IGNORE_ADDR_LIST" in process.errors, 20, "it tells what it ignores"
        )
        assert "127.0.0.9" in process.errors
        assert "5999" not in process.errors
        assert accepts(LOOPBACK, port)
        assert not accepts(OTHER, port)
