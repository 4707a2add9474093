"""A client that speaks Channel Access byte by byte, to do what no library does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

import caproto as ca


class RawClient:
    """One circuit and its channels; caproto's state machine composes and parses the messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.circuit = ca.VirtualCircuit(ca.CLIENT, writer.get_extra_info("peername"), 0)
        self._received: list[Any] = []

    @classmethod
    async def connect(cls, port: int) -> Self:
        client = await cls.connect_unanswered(port)
        await client.receive(ca.VersionResponse)
        return client

    @classmethod
    async def connect_unanswered(cls, port: int) -> Self:
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        await client.send(
            ca.VersionRequest(0, 13), ca.HostNameRequest("h"), ca.ClientNameRequest("u")
        )
        return client

    async def channel(self, name: str) -> Any:
        channel = ca.ClientChannel(name, self.circuit)
        await self.send(channel.create())
        await self.receive(ca.CreateChanResponse)
        return channel

    async def send(self, *commands: Any) -> None:
        self.writer.write(b"".join(bytes(b) for b in self.circuit.send(*commands)))
        await self.writer.drain()

    async def receive(self, kind: Any, timeout: float = 5.0) -> Any:
        """The next message of this class (or of these); others before it are dropped."""
        async with asyncio.timeout(timeout):
            while True:
                while self._received:
                    command = self._received.pop(0)
                    if isinstance(command, kind):
                        return command
                data = await self.reader.read(4096)
                assert data, f"disconnected while waiting for {kind}"
                commands, _ = self.circuit.recv(data)
                for command in commands:
                    self.circuit.process_command(command)
                self._received += commands

    async def receive_any(self, *kinds: Any, timeout: float = 5.0) -> Any:
        """The next message of these classes, whatever the circuit's state machine says to it."""
        async with asyncio.timeout(timeout):
            while True:
                while self._received:
                    command = self._received.pop(0)
                    if isinstance(command, kinds):
                        return command
                data = await self.reader.read(4096)
                assert data, f"disconnected while waiting for {kinds}"
                self._received += self.circuit.recv(data)[0]

    async def count(self, kind: Any, number: int) -> None:
        """Receive so many of a class."""
        for _ in range(number):
            await self.receive_any(kind, timeout=30.0)

    async def is_disconnected(self, timeout: float = 5.0) -> bool:
        async with asyncio.timeout(timeout):
            try:
                while await self.reader.read(4096):
                    pass
            except ConnectionError:
                pass
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
