"""The wire between the service and an IOC: a proxy that slows it, cuts it, stalls it.

It carries Channel Access by TCP and the searches by UDP; the answers to these name the IOC's port,
which is replaced by the proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, cast

from sim_iocs.free_ports import LOOPBACK, PortHold

_SEARCH_REPLY = 6
_HEADER = struct.Struct(">HHHHII")
_PIECE = 4096
"""Bytes that are passed on at once."""
_LOOK_S = 0.02


class Proxy:
    """A proxy before one port of loopback, in a thread of its own.

    Attributes may be set at any time:

        latency_s: what comes is passed on so much later, each way.
        bytes_per_s: not faster than this, each way; 0 = as fast as it goes.
        stalled: nothing is passed on and nobody is told; what has come goes on after it, as TCP
            repeats what was lost, searches do not.
        deaf: searches are dropped.
    """

    def __init__(self, upstream: int) -> None:
        """Nothing is carried before `with`."""
        self._upstream = upstream
        self._hold = PortHold()
        self.port = self._hold.port
        self.address = f"{LOOPBACK}:{self.port}"
        self.latency_s = 0.0
        self.bytes_per_s = 0.0
        self.stalled = False
        self.deaf = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._hold.close()

    def heal(self) -> None:
        """Carry everything at once again, and let everybody in."""
        self.latency_s = self.bytes_per_s = 0.0
        self.stalled = self.deaf = False
        self.open()

    def reset(self) -> None:
        """Cut all connections, as a router does that has forgotten them."""
        self._do(self._reset)

    def shut(self) -> None:
        """Cut all connections and let nobody in until `open`."""
        self._do(self._shut)

    def open(self) -> None:
        """Let connections in."""
        self._do(self._open)

    # In the thread ------------------------------------------------------------------------------

    def _do(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(what(), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._begin())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _begin(self) -> None:
        self._datagrams, _ = await self._loop.create_datagram_endpoint(
            lambda: _Searches(self), local_addr=(LOOPBACK, self.port)
        )
        await self._open()

    async def _end(self) -> None:
        await self._shut()
        self._datagrams.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # until all that is closed has been told so
            await asyncio.sleep(0)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._carry, LOOPBACK, self.port, reuse_address=True, limit=_PIECE
            )

    async def _reset(self) -> None:
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Carry one connection both ways until either side is gone."""
        self._writers.add(to_client)
        try:
            server, to_server = await asyncio.open_connection(LOOPBACK, self._upstream)
        except OSError:
            to_client.transport.abort()
            self._writers.discard(to_client)
            return
        self._writers.add(to_server)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(client, to_server), name="to the server")
                both.create_task(self._pass(server, to_client), name="to the client")
        except* OSError:
            pass  # one side is gone: so is the other
        finally:
            for writer in (to_client, to_server):
                writer.transport.abort()
                self._writers.discard(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Raises ConnectionResetError at the end of the stream: the other way ends with it."""
        pending: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1000)

        async def later() -> None:
            while True:
                due, data = await pending.get()
                await asyncio.sleep(max(due - self._loop.time(), 0.0))
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                while self.stalled:  # noqa: ASYNC110 - it is set in another thread
                    await asyncio.sleep(_LOOK_S)
                writer.write(data)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(later(), name="later")
            while data := await reader.read(_PIECE):
                await pending.put((self._loop.time() + self.latency_s, data))
            raise ConnectionResetError


class _Searches(asyncio.DatagramProtocol):
    """Passes searches on, each client by a socket of its own, and their answers back."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.DatagramTransport | None = None
        self._upstream: dict[Any, asyncio.DatagramTransport] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(
            asyncio.DatagramTransport, transport
        )  # of asyncio's own, no subclass

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Called by asyncio: pass it on, later where the wire is slow."""
        if not (self._proxy.deaf or self._proxy.stalled):
            asyncio.get_running_loop().create_task(self._ask(data, addr), name="search")

    async def _ask(self, data: bytes, addr: Any) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(2 * self._proxy.latency_s)
        if addr not in self._upstream:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Answers(self, addr),
                remote_addr=(LOOPBACK, self._proxy._upstream),  # noqa: SLF001 - its own other half
            )
            self._upstream[addr] = transport
        self._upstream[addr].sendto(data)

    def answer(self, data: bytes, addr: Any) -> None:
        """Called with an answer of the IOC."""
        if self._transport is not None and not (self._proxy.deaf or self._proxy.stalled):
            self._transport.sendto(_with_port(data, self._proxy.port), addr)

    def forget(self, addr: Any) -> None:
        """Called when the socket for a client is closed."""
        self._upstream.pop(addr, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        del exc
        for transport in list(self._upstream.values()):
            transport.close()


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, searches: _Searches, client: Any) -> None:
        self._searches, self._client = searches, client

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Called by asyncio."""
        del addr
        self._searches.answer(data, self._client)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        del exc
        self._searches.forget(self._client)


def _with_port(data: bytes, port: int) -> bytes:
    """The same answers, with another port (CA protocol, CA_PROTO_SEARCH: in the type's place)."""
    changed, at = bytearray(data), 0
    while at + _HEADER.size <= len(changed):
        command, size, *_ = _HEADER.unpack_from(changed, at)
        if command == _SEARCH_REPLY:
            struct.pack_into(">H", changed, at + 4, port)
        at += _HEADER.size + size
    return bytes(changed)
