"""Many clients at once, as sockets: they subscribe to one PV and count bytes.

Settings: none. An update of a double with its time (DBR_TIME_DOUBLE) is 40 bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

from orchestrator.bench.programs.answering import Verb, answer_all

_UPDATE = 40
"""Bytes of a message with a DBR_TIME_DOUBLE (CA protocol, CA_PROTO_EVENT_ADD)."""


def _message(
    command: int, kind: int, count: int, one: int, two: int, payload: bytes = b""
) -> bytes:
    payload = payload.ljust(-(-len(payload) // 8) * 8, b"\0")
    return struct.pack(">HHHHII", command, len(payload), kind, count, one, two) + payload


class Sockets:
    """The subscribers that there are now."""

    def __init__(self) -> None:
        """None yet."""
        self._tasks: list[asyncio.Task[None]] = []
        self._received = 0

    async def subscribe(self, pv: str, port: int, count: int) -> dict[str, Any]:
        """Be this many clients, in place of those before."""
        await self.leave()
        readers = [await self._open(pv, port) for _ in range(count)]
        self._tasks = [asyncio.create_task(self._drain(*reader)) for reader in readers]
        return {}

    async def leave(self) -> dict[str, Any]:
        """Disconnect all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        return {}

    async def updates(self) -> dict[str, Any]:
        """Updates that came since the last question."""
        received, self._received = self._received, 0
        return {"updates": received / _UPDATE}

    async def _open(self, pv: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_message(0, 0, 13, 0, 0) + _message(20, 0, 0, 0, 0, b"bench\0"))
        writer.write(_message(21, 0, 0, 0, 0, b"localhost\0"))
        writer.write(_message(18, 0, 0, 1, 13, pv.encode() + b"\0"))
        while True:  # its answer brings the number of the channel
            header = struct.unpack(">HHHHII", await reader.readexactly(16))
            await reader.readexactly(header[1])
            if header[0] == 18:
                break
        mask = struct.pack(">fffHH", 0, 0, 0, 1, 0)
        writer.write(_message(1, 20, 1, header[5], 1, mask))
        await reader.readexactly(_UPDATE)
        return reader, writer

    async def _drain(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while received := await reader.read(65536):
                self._received += len(received)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def main() -> None:
    """Answer until the benchmark has no more questions."""
    sockets = Sockets()
    verbs: dict[str, Verb] = {
        "subscribe": sockets.subscribe,
        "leave": sockets.leave,
        "updates": sockets.updates,
    }
    await answer_all(verbs)
    await sockets.leave()


if __name__ == "__main__":
    asyncio.run(main())
