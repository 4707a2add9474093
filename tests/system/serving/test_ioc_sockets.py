import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from orchestrator.errors import InputError
from orchestrator.ioc import PortTakenError
from orchestrator.ioc.serving.sockets import BoundSockets, bind


@contextmanager
def bound(port: int, interfaces: list[str]) -> Iterator[BoundSockets]:
    with closing(bind(port, interfaces)) as sockets:
        yield sockets


def test_a_free_port_is_free_on_all_interfaces_for_circuits_and_searches() -> None:
    with bound(0, ["127.0.0.1", "127.0.0.2"]) as sockets:
        everyone = [s.getsockname() for s in (*sockets.tcp, *sockets.udp)]
        assert everyone == [("127.0.0.1", sockets.port), ("127.0.0.2", sockets.port)] * 2


def test_a_port_taken_on_one_interface_names_it_and_leaves_nothing_bound() -> None:
    with bound(0, ["127.0.0.2"]) as former:
        with pytest.raises(PortTakenError, match=rf"{former.port} is in use on 127.0.0.2"):
            bind(former.port, ["127.0.0.1", "127.0.0.2"])
        with bound(former.port, ["127.0.0.1"]):
            pass


def test_an_address_that_is_not_ours_is_an_error_that_names_it() -> None:
    with pytest.raises(InputError, match=r"192\.0\.2\.1"):
        bind(0, ["192.0.2.1"])


def test_iocs_of_one_host_share_the_search_port_on_the_network_as_epics_iocs_do() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        everywhere = "0.0.0.0"  # noqa: S104 - as an IOC on the network does
        other.bind((everywhere, 0))
        with bound(other.getsockname()[1], [everywhere]):
            pass
