"""Faults at moments of a run, from the program that has them all: a few cells, and its parts."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from orchestrator.bench.hostile import wire
from orchestrator.bench.matrix.__main__ import chosen, line, main
from orchestrator.bench.matrix.cells import Result, all_cells
from orchestrator.bench.matrix.expected import expected
from orchestrator.bench.matrix.injections import INJECTIONS
from orchestrator.bench.matrix.moments import MOMENTS
from orchestrator.bench.matrix.proxy import Proxy
from orchestrator.bench.matrix.workers import tried
from sim_iocs.fleet import Fleet

CELLS = (
    "records/killed/put",
    "records/restarted/held",
    "records/retyped/delay",
    "records/slow_wire/python_scan",
    "caproto/frozen/readback",
    "caproto/thawed/sample",
    "caproto/killed/settle",
    "caproto/restarted/machine",
    "caproto/killed/finally",
    "caproto/hangs/parallel",
    "caproto/refuses/paused",
    "caproto/invalid/watched",
    "caproto/cut/run",
    "caproto/black_hole_shortly/get",
    "server/restarted/moving",
)


@pytest.mark.parametrize("name", CELLS)
def test_a_run_that_is_struck_ends_as_it_should(name: str) -> None:
    (result,) = tried(chosen([name]), seed=5, workers=1)
    assert not result.findings, f"{line(result)}\n{result.message}"


def test_every_cell_has_an_expectation_and_words() -> None:
    for cell in all_cells():
        assert expected(cell.fault, MOMENTS[cell.moment].need)
    assert all(each.doc for each in (*INJECTIONS.values(), *MOMENTS.values()))


def test_cells_are_chosen_by_patterns_and_one_that_is_none_is_refused(capsys) -> None:
    assert main(["--list", "--only", "*/killed/put", "server/frozen/*"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "records/killed/put",
        "caproto/killed/put",
        "server/frozen/loading",
        "server/frozen/moving",
        "server/frozen/between",
    ]
    with pytest.raises(SystemExit) as ended:
        main(["--only", "no/such/cell"])
    assert ended.value.code == 2


def test_what_is_not_as_it_should_be_stands_in_the_line() -> None:
    result = Result("records", "killed", "put", "Success", 0.5, "", ("Success where …",))
    assert line(result).split() == [
        "records/killed/put",
        "Success",
        "0.5",
        "s",
        "Success",
        "where",
        "…",
    ]


# The wire -------------------------------------------------------------------------------------


@pytest.fixture
def plain() -> Iterator[int]:
    with Fleet(["plain"]) as fleet:
        yield fleet["plain"].port


@pytest.fixture
def proxy(plain: int) -> Iterator[Proxy]:
    with Proxy(plain) as proxy:
        yield proxy


CIDS = itertools.count(1)


def search(port: int) -> int | None:
    """The port that the answer names; None where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        asked = wire.message(wire.VERSION, 0, 13) + wire.search("SIM:PLAIN:Double", 1)
        client.sendto(asked, (wire.LOOPBACK, port))
        try:
            answer = client.recv(1024)
        except TimeoutError:
            return None
    return next(
        kind
        for command, kind in ((m[0], m[2]) for m in struct.iter_unpack(">HHHHII", answer[:32]))
        if command == wire.SEARCH
    )


def get(circuit: wire.Circuit) -> float:
    """Read a PV; the s that it took."""
    begun = time.monotonic()
    sid = circuit.channel("SIM:PLAIN:Double", next(CIDS))
    circuit.send(wire.message(wire.READ_NOTIFY, wire.DOUBLE, 1, sid, 1))
    circuit.answer(wire.READ_NOTIFY)
    return time.monotonic() - begun


def test_a_proxy_carries_circuits_and_searches(proxy: Proxy) -> None:
    assert search(proxy.port) == proxy.port
    with wire.Circuit(proxy.port) as circuit:
        get(circuit)


def test_a_slow_wire_delays_each_way(proxy: Proxy) -> None:
    proxy.latency_s = 0.2
    with wire.Circuit(proxy.port) as circuit:
        assert get(circuit) >= 0.8  # there and back, twice


def test_a_deaf_one_drops_searches_alone(proxy: Proxy) -> None:
    proxy.deaf = True
    assert search(proxy.port) is None
    with wire.Circuit(proxy.port) as circuit:
        get(circuit)
    proxy.heal()
    assert search(proxy.port) == proxy.port


def test_a_stalled_wire_loses_nothing_that_came_meanwhile(proxy: Proxy) -> None:
    with wire.Circuit(proxy.port) as circuit:
        get(circuit)
        proxy.stalled = True
        threading.Timer(0.5, proxy.heal).start()
        assert get(circuit) >= 0.4


def is_cut(circuit: wire.Circuit) -> bool:
    circuit.socket.settimeout(2)
    try:
        while circuit.socket.recv(1000):
            pass
    except ConnectionResetError:
        pass
    return True


def test_connections_are_reset_and_new_ones_refused_until_it_opens(proxy: Proxy) -> None:
    with wire.Circuit(proxy.port) as circuit:
        get(circuit)
        proxy.shut()
        assert is_cut(circuit)
    with pytest.raises(ConnectionRefusedError):
        wire.Circuit(proxy.port)
    proxy.open()
    with wire.Circuit(proxy.port) as circuit:
        get(circuit)


def test_where_the_ioc_is_gone_its_clients_are_too() -> None:
    with (
        Fleet(["plain"]) as fleet,
        Proxy(fleet["plain"].port) as proxy,
        wire.Circuit(proxy.port) as circuit,
    ):
        get(circuit)
        fleet["plain"].kill()
        assert is_cut(circuit)
