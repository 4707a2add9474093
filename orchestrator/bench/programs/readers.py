"""Clients that read at different speeds, each on a circuit of its own, and count what they get.

Settings: none. All that comes after a subscription is updates of a double with its time
(DBR_TIME_DOUBLE): 40 bytes each.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

from orchestrator.bench.hostile import wire
from orchestrator.bench.programs.answering import answer_all

_UPDATE = 40
_HEADER = struct.Struct(">HHHHII")
_LIMIT = 65_536
_TICK_S = 0.05


class Reader:
    """One client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """It is connected."""
        self._reader, self._writer = reader, writer
        self._bytes = 0
        self.per_s = 0.0
        """Bytes that it reads a second: 0 = none at all, inf = as they come."""

    async def subscribe(self, user: str, pvs: list[str]) -> None:
        """Say who it is, and subscribe to doubles."""
        self._writer.write(wire.hello(user))
        self._writer.write(b"".join(wire.create(pv, number) for number, pv in enumerate(pvs)))
        sids: list[int] = []
        while len(sids) < len(pvs):
            command, size, _, _, _, sid = _HEADER.unpack(
                await self._reader.readexactly(_HEADER.size)
            )
            await self._reader.readexactly(size)
            if command == wire.CREATE_CHAN:
                sids.append(sid)
        self._writer.write(b"".join(wire.subscribe(sid, n) for n, sid in enumerate(sids)))

    async def run(self) -> None:
        """Read, as fast as it does."""
        try:
            while True:
                some = _LIMIT if self.per_s == float("inf") else int(self.per_s * _TICK_S)
                if some == 0:
                    await asyncio.sleep(_TICK_S)
                elif received := await self._reader.read(some):
                    self._bytes += len(received)
                    if some < _LIMIT:
                        await asyncio.sleep(_TICK_S)
                else:
                    return
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    @property
    def updates(self) -> float:
        """Those that came; not whole where one has come in part."""
        return self._bytes / _UPDATE


class Readers:
    """All of them, by name."""

    def __init__(self) -> None:
        """None yet."""
        self._readers: dict[str, Reader] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def subscribe(self, name: str, pvs: list[str], port: int, per_s: float) -> dict[str, Any]:
        """One more: its user's name is `name`; see `Reader.per_s`, where -1 is infinite."""
        streams = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
        reader = self._readers[name] = Reader(*streams)
        await reader.subscribe(name, pvs)
        reader.per_s = float("inf") if per_s < 0 else per_s
        self._tasks.append(asyncio.create_task(reader.run(), name=name))
        return {}

    async def hurry(self) -> dict[str, Any]:
        """All read as it comes from now on."""
        for reader in self._readers.values():
            reader.per_s = float("inf")
        return {}

    async def updates(self) -> dict[str, Any]:
        """What each has got so far."""
        return {name: reader.updates for name, reader in self._readers.items()}

    async def leave(self) -> None:
        """Disconnect all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def main() -> None:
    """Answer until the benchmark has no more questions."""
    readers = Readers()
    await answer_all(
        {
            "subscribe": readers.subscribe,
            "hurry": readers.hurry,
            "updates": readers.updates,
        }
    )
    await readers.leave()


if __name__ == "__main__":
    asyncio.run(main())
