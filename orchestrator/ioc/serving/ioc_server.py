"""Serving PVs inside an event loop: `async with serve(pvdb, port=…) as server:`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    MutableMapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

import caproto as ca
import structlog
from caproto.asyncio.server import AsyncioAsyncLayer

from orchestrator.cas import ANY, Serving, broadcasts, serving
from orchestrator.errors import InputError
from orchestrator.ioc.caproto_settings import forget_empty_variables
from orchestrator.ioc.serving.circuit import Circuit, tune
from orchestrator.ioc.serving.context import Context
from orchestrator.ioc.serving.fault_injection import Faults
from orchestrator.ioc.serving.search import SearchResponder, send_beacons
from orchestrator.ioc.serving.sockets import BoundSockets, PortTakenError, bind
from orchestrator.types import ClientFigures, ClientLimits, SubscriberFigures

__all__ = ["IocServer", "PortTakenError", "current_server", "serve"]

_GRACE_S = 0.3
"""How long clients have, on stopping, to take what was published."""

_AT_ONCE = 8
"""Clients let in in one pass of the event loop; 100 µs each."""

_ANYBODY = ("anybody", 0)

_INPUT_BYTES = 32_768
"""Read ahead of what a client asks; asyncio takes up to twice as much."""

_WATCH_S = 1.0
"""How often it is looked at what is kept for the clients."""

_CIRCUITS = logging.getLogger("caproto.circ")

_CLIENTS_MATTERS = (
    "Invalid write request",  # the client is told
    "High load",  # it reads more slowly than its PVs change; a C IOC says nothing either
    "Critically high",
)
"""Messages that begin so are for -v."""

logger = structlog.get_logger(__name__)


_current: ContextVar[IocServer | None] = ContextVar("ioc server", default=None)


def current_server() -> IocServer | None:
    """The server in whose startup hook this is called; None elsewhere, and in caproto's own."""
    return _current.get()


class IocServer:
    """A running server of PVs; made by `serve`."""

    def __init__(
        self,
        pvdb: MutableMapping[str, Any],
        sockets: BoundSockets,
        where: Serving,
        limits: ClientLimits | None = None,
    ) -> None:
        self._context = Context(pvdb, sockets.port, where.interfaces, limits)
        self.faults = Faults(self._context)
        """What its clients are made to suffer from; nothing unless told."""
        self._sockets = sockets
        self.where = where
        """What is in force, of what was given and of the environment; its port may be 0."""
        self._tasks = asyncio.TaskGroup()
        self._background: set[asyncio.Task[None]] = set()
        self._listening: list[socket.socket] = []
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._transports: list[asyncio.DatagramTransport] = []
        self._stopping = False

    @property
    def port(self) -> int:
        """Where circuits are accepted and searches answered."""
        return self._sockets.port

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The addresses that it listens on."""
        return self.where.interfaces

    @property
    def backlog(self) -> int:
        """Updates that wait to be handed to the clients' circuits."""
        return self._context.backlog

    async def room(self) -> None:
        """Return when there is room for more updates; suspends at least once.

        `await pv.write(…)` never suspends: whoever writes many waits for this in between.
        """
        await self._context.room()

    async def taken(self) -> None:
        """Return when every client that reads has taken all updates so far; suspends.

        Who waits for it after each few updates of a PV loses none of them.
        """
        await self._context.taken()

    def add_pv(self, name: str, channel: Any) -> None:
        """Serve one more PV; clients that search for it find it.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._context.pvdb:
            raise ValueError(f"{name} is served already")
        self._context.pvdb[name] = channel

    async def replace_pv(self, name: str, channel: Any) -> None:
        """Serve `channel` as `name` from now on.

        Clients of the former PV are told that it is gone, and find the new one, of another
        type or length perhaps. What else they are connected to is not touched.
        """
        await self._context.replace(name, channel)

    def disconnect_clients(self) -> None:
        """Hang up on all clients; they find it again by themselves."""
        for circuit in list(self._context.circuits):
            circuit.client.close()

    @property
    def clients(self) -> int:
        """Clients connected now."""
        return len(self._context.circuits)

    @property
    def client_figures(self) -> list[ClientFigures]:
        """Who they are, and what became of their requests and updates."""
        return [circuit.figures for circuit in self._context.circuits]

    def subscribers(self, pv: str) -> list[SubscriberFigures]:
        """What became of the updates of a PV, for each client and type that it is taken in."""
        return [
            figures
            for circuit in self._context.circuits
            for figures in circuit.monitored.figures_of(pv)
        ]

    @property
    def dropped(self) -> int:
        """Updates dropped so far because a client did not read; of clients that are gone too."""
        return self._context.dropped

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._sockets.tcp:
            loop.add_reader(sock, self._accept_some, sock)
            self._listening.append(sock)
        for sock in self._sockets.udp:
            await self._answer(sock)
        for sock, index in self._sockets.heard:
            await self._answer(sock, self._transports[index])
        self.spawn(self._context.subscription_queue_loop(), "updates")
        self.spawn(self._watch(), "limits")
        beacons, period = self.where.beacons, self.where.beacon_period
        self.spawn(send_beacons(self.port, beacons, period), "beacons")
        for name, hook in self._context.startup_methods.items():
            self.spawn(self._hooked(hook), name)

    async def _answer(
        self, sock: socket.socket, by: asyncio.DatagramTransport | None = None
    ) -> None:
        """Answer the searches that a socket hears, by itself or by another one."""
        context, ignored = self._context, self.where.ignored
        make = partial(SearchResponder, self.port, context.serves, context.turns, ignored, by)
        loop = asyncio.get_running_loop()
        transport, responder = await loop.create_datagram_endpoint(make, sock=sock)
        self._transports.append(transport)
        self.spawn(responder.run(), "searches")

    async def _hooked(self, hook: Callable[[Any], Awaitable[None]]) -> None:
        _current.set(self)
        await hook(AsyncioAsyncLayer())

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run something beside the server until that stops; if it fails, the server does."""
        task = self._tasks.create_task(work, name=f"ioc:{self.port} {name}")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _accept_some(self, listener: socket.socket) -> None:
        """Let in who has connected: not more at once than others can wait for."""
        for _ in range(_AT_ONCE):
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor is left
                self._turn_away(listener, error)
                return
            limit = self._context.refusal(sock.fileno())
            if limit:
                self._context.complaints.tell(f"limit reached: {limit}: no client is let in", peer)
            if limit or self._stopping:
                sock.close()
                continue
            self.spawn(self._let_in(sock, peer), "client {}:{}".format(*peer))

    def _turn_away(self, listener: socket.socket, error: OSError) -> None:
        """Hang up on one client with the descriptor that is kept for this.

        Else it would go on waiting, and we be told of it without end.
        """
        self._context.complaints.tell("no client can be let in", _ANYBODY, error=error.strerror)
        self._close_spare()
        with suppress(OSError):
            listener.accept()[0].close()
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _close_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    async def _let_in(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_INPUT_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            # uvloop's own server leaves a descriptor open for ever where the client has reset the
            # connection before it is accepted: what is called then fails, as there is no peer name
            # (MagicStack/uvloop#560), and drops the transport.
            sock.setblocking(False)
            tune(sock)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError:  # reset meanwhile
            sock.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await self._serve(Circuit(reader, writer, self._context, peer))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client that is connected already."""
        peer = writer.get_extra_info("peername")
        circuit = Circuit(reader, writer, self._context, peer)
        self._context.let_in(circuit)
        self.spawn(self._serve(circuit), "client {}:{}".format(*peer))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            self._context.check_held()
            self._context.complaints.tick()
            self._context.memory.tick()

    async def _serve(self, circuit: Circuit) -> None:
        logger.debug("client connected", client=circuit.circuit.address)
        self._context.let_in(circuit)
        try:
            await circuit.serve()
        except Exception as error:  # noqa: BLE001 - top of a task: one client's fault only
            self._context.complaints.tell(
                "client dropped", circuit.circuit.address, error=repr(error)
            )

    async def _stop(self) -> None:
        self._stopping = True
        while self._listening:
            sock = self._listening.pop()
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        for transport in self._transports:
            transport.close()
        try:
            await self._flush()
            for name, hook in self._context.shutdown_methods.items():
                logger.debug("shutdown hook", hook=name)
                await hook(AsyncioAsyncLayer())
        finally:
            circuits = list(self._context.circuits)
            for task in list(self._background):
                task.cancel()
            await asyncio.gather(*(circuit.stop(_GRACE_S) for circuit in circuits))
            self._sockets.close()
            self._close_spare()

    async def _flush(self) -> None:
        """Wait, but not for long, until the clients have been sent what was published."""
        try:
            async with asyncio.timeout(_GRACE_S):
                while self.backlog or any(  # noqa: ASYNC110 - the queues tell only their lengths
                    circuit.outbox.is_ready for circuit in self._context.circuits
                ):
                    await asyncio.sleep(0.001)
        except TimeoutError:
            logger.debug("a client does not read; not waiting for it")


@asynccontextmanager
async def serve(
    pvdb: MutableMapping[str, Any],
    *,
    port: int | None = None,
    interfaces: Sequence[str] | None = None,
    limits: ClientLimits | None = None,
) -> AsyncIterator[IocServer]:
    """Serve PVs for the time of the `async with` block.

    Clients can connect once the block is entered; when it has been left, however that came,
    every socket is closed and every client knows.

    >>> import asyncio
    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import Group, serve
    >>> class Lamp(Group):
    ...     power = pvproperty(value=1.5)
    >>> async def main() -> None:
    ...     pvdb = Lamp(prefix="LAMP:").pvdb
    ...     async with serve(pvdb, port=0, interfaces=["127.0.0.1"]) as server:
    ...         print(server.port > 0)
    >>> asyncio.run(main())
    True

    Args:
        pvdb: The PVs by full name; a PVGroup's `pvdb`. Later additions are served as well.
        port: For circuits and searches alike; 0 finds a free one. None: as the environment says,
            EPICS_CAS_SERVER_PORT first, for which see `orchestrator.cas`.
        interfaces: Addresses to listen on; None: as EPICS_CAS_INTF_ADDR_LIST says, else all.
        limits: What clients may ask for.

    Raises:
        InputError: A variable EPICS_CAS_… has a value that makes no sense.
        PortTakenError: The port is in use.
        Exception: What a startup or scan hook of a PV raised; several are an ExceptionGroup.
    """
    _one_line_logs()
    forget_empty_variables()
    where = serving(port, interfaces)
    for warning in where.warnings:
        logger.warning(warning)
    bound = _bound(where)
    try:
        server = IocServer(pvdb, bound, where, limits)
    except ca.CaprotoError as error:  # it reads more variables than count here
        bound.close()
        raise InputError(str(error)) from error
    failure: Exception | None = None
    try:
        async with server._tasks:  # noqa: SLF001 - this function is the other half of the class
            try:
                await server._start()  # noqa: SLF001
                yield server
            except Exception as error:  # noqa: BLE001 - raised below, not in a group of one
                failure = error
            finally:
                await server._stop()  # noqa: SLF001
    except ExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        failure = group.exceptions[0]
    if failure is not None:
        raise failure


def _bound(where: Serving) -> BoundSockets:
    bound = bind(where.port, where.interfaces)
    try:
        for index, interface in enumerate(where.interfaces):
            for broadcast in broadcasts(interface) if interface != ANY else ():
                if broadcast != interface:
                    bound.hear(broadcast, index)
            for group in where.groups:
                bound.hear(group, index, interface)
    except InputError:
        bound.close()
        raise
    return bound


def _one_line_logs() -> None:
    """Make a refused put a line for -v, not a traceback; hide what is a client's own matter."""
    if _quieten not in _CIRCUITS.filters:
        _CIRCUITS.addFilter(_quieten)


def _quieten(record: logging.LogRecord) -> bool:
    if record.exc_info and not _CIRCUITS.isEnabledFor(logging.DEBUG):
        record.msg = f"{record.getMessage()}: {record.exc_info[1]}"
        record.args = ()
        record.exc_info = None
    if str(record.msg).startswith(_CLIENTS_MATTERS):
        record.levelno, record.levelname = logging.INFO, "INFO"
        return _CIRCUITS.isEnabledFor(logging.INFO)
    return True
