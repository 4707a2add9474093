from typing import Any

import caproto as ca
from caproto._commands import read_datagram

from orchestrator.ioc.serving.search import SearchResponder


class Transport:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent.append((data, address))


def search(*names: str, sequence: int = 77) -> bytes:
    version = ca.VersionRequest(0, 13)
    version.header.data_type = 1  # the sequence number is valid
    version.header.parameter1 = sequence
    searches = [ca.SearchRequest(name, cid, 13) for cid, name in enumerate(names)]
    return b"".join(bytes(command) for command in (version, *searches))


def answer(datagram: bytes) -> list[Any]:
    transport = Transport()
    responder = SearchResponder(4242, lambda name: name.startswith("OURS"))
    responder.connection_made(transport)
    responder.datagram_received(datagram, ("127.0.0.1", 9))
    if not transport.sent:
        return []
    ((sent, address),) = transport.sent
    assert address == ("127.0.0.1", 9)
    return read_datagram(sent, address, ca.SERVER)


def test_an_answer_names_the_port_and_echoes_the_sequence_number() -> None:
    # libca goes on searching at full speed only if it sees its number come back.
    version, first, second = answer(search("OURS:a", "THEIRS:b", "OURS:c"))
    assert (version.header.data_type, version.header.parameter1) == (1, 77)
    assert [(found.cid, found.port) for found in (first, second)] == [(0, 4242), (2, 4242)]


def test_searches_for_others_are_not_answered() -> None:
    assert answer(search("THEIRS:b")) == []


def test_a_malformed_datagram_is_not_answered() -> None:
    assert answer(b"GET / HTTP/1.1\r\n") == []
    assert answer(b"\0") == []
