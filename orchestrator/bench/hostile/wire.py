"""Channel Access, message by message, as no library would send it."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple, Self

LOOPBACK = "127.0.0.1"

VERSION, EVENT_ADD, EVENT_CANCEL, WRITE, SNAPSHOT, SEARCH = 0, 1, 2, 4, 5, 6
EVENTS_OFF, EVENTS_ON, READ, CLEAR, NOT_FOUND, READ_NOTIFY = 8, 9, 3, 12, 14, 15
CREATE_CHAN, WRITE_NOTIFY, CLIENT_NAME, HOST_NAME, ECHO = 18, 19, 20, 21, 23
STRING, DOUBLE, TIME_DOUBLE, CHAR = 0, 6, 20, 4

_HEADER = struct.Struct(">HHHHII")
_LONG = struct.Struct(">II")


class Message(NamedTuple):
    """One answer."""

    command: int
    kind: int
    elements: int
    one: int
    two: int
    payload: bytes


def message(
    command: int,
    kind: int = 0,
    count: int = 0,
    one: int = 0,
    two: int = 0,
    payload: bytes = b"",
    *,
    size: int | None = None,
) -> bytes:
    """A request; `size` is what its header claims where that is not what it has."""
    payload = payload.ljust(-(-len(payload) // 8) * 8, b"\0")
    size = len(payload) if size is None else size
    if size < 0xFFFF and count < 0xFFFF:
        return _HEADER.pack(command, size, kind, count, one, two) + payload
    return _HEADER.pack(command, 0xFFFF, kind, 0, one, two) + _LONG.pack(size, count) + payload


def hello(user: str = "hostile", host: str = "localhost") -> bytes:
    """What a client says first."""
    names = (
        message(HOST_NAME, payload=host.encode() + b"\0"),
        message(CLIENT_NAME, payload=user.encode() + b"\0"),
    )
    return message(VERSION, 0, 13) + b"".join(names)


def create(name: bytes | str, cid: int) -> bytes:
    """Ask for a channel."""
    raw = name.encode() if isinstance(name, str) else name
    return message(CREATE_CHAN, 0, 0, cid, 13, raw + b"\0")


def search(name: bytes | str, cid: int, reply: int = 5) -> bytes:
    """Search for a PV."""
    raw = name.encode() if isinstance(name, str) else name
    return message(SEARCH, reply, 13, cid, cid, raw + b"\0")


def subscribe(sid: int, number: int, kind: int = TIME_DOUBLE, count: int = 1) -> bytes:
    """Ask for the updates of a channel."""
    mask = struct.pack(">fffHH", 0.0, 0.0, 0.0, 5, 0)
    return message(EVENT_ADD, kind, count, sid, number, mask)


class Circuit:
    """One connection, blocking, with timeouts."""

    def __init__(self, port: int, *, silent: bool = False) -> None:
        """`silent`: connect and say nothing."""
        self.socket = socket.create_connection((LOOPBACK, port), timeout=5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        if not silent:
            self.socket.sendall(hello())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, seconds: float = 0.5) -> int:
        """Send as much as the server takes within the time; the bytes that it took.

        Raises:
            OSError: It has hung up.
        """
        until = time.monotonic() + seconds
        self.socket.setblocking(False)
        view, sent = memoryview(data), 0
        while sent < len(view) and (left := until - time.monotonic()) > 0:
            _, ready, _ = select.select([], [self.socket], [], left)
            if ready:
                sent += self.socket.send(view[sent : sent + 65_536])
        return sent

    def flood(self, data: bytes, until: float) -> int:
        """Send and read what comes, as fast as it goes; the bytes that were sent."""
        self.socket.setblocking(False)
        view, sent = memoryview(data), 0
        while sent < len(view) and (left := until - time.monotonic()) > 0:
            ready, room, _ = select.select([self.socket], [self.socket], [], left)
            if ready and not self.socket.recv(1 << 20):
                raise ConnectionResetError
            if room:
                sent += self.socket.send(view[sent : sent + 65_536])
        return sent

    def messages(self, seconds: float = 2.0) -> Iterator[Message]:
        """Answers as they come; ends after the time, or when the server hangs up."""
        until = time.monotonic() + seconds
        while True:
            yield from self._parsed()
            left = until - time.monotonic()
            if left <= 0:
                return
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(65_536)
            except OSError:
                return
            if not received:
                return
            self._buffer += received

    def _parsed(self) -> Iterator[Message]:
        while len(self._buffer) >= _HEADER.size:
            command, size, kind, count, one, two = _HEADER.unpack_from(self._buffer)
            start = _HEADER.size
            if size == 0xFFFF and count == 0:
                if len(self._buffer) < start + _LONG.size:
                    return
                size, count = _LONG.unpack_from(self._buffer, start)
                start += _LONG.size
            if len(self._buffer) < start + size:
                return
            payload = self._buffer[start : start + size]
            self._buffer = self._buffer[start + size :]
            yield Message(command, kind, count, one, two, payload)

    def answer(self, *commands: int, seconds: float = 5.0) -> Message:
        """The next answer with one of these commands.

        Raises:
            TimeoutError: None came.
        """
        for got in self.messages(seconds):
            if got.command in commands:
                return got
        raise TimeoutError(f"no answer of {commands} within {seconds} s")

    def channel(self, name: str, cid: int = 1) -> int:
        """Connect to a PV; its number at the server."""
        self.socket.settimeout(5.0)
        self.socket.sendall(create(name, cid))
        return self.answer(CREATE_CHAN).two
