"""One client's connection: caproto's circuit, without the ways in which it gets stuck."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import caproto as ca
import structlog
from caproto.asyncio import server as caproto_server
from caproto.asyncio.utils import _TransportWrapper
from caproto.server.common import DisconnectedCircuit
from caproto.server.common import VirtualCircuit as CommonCircuit

from orchestrator.ioc.delay import DelayLine
from orchestrator.ioc.puts import Put, set_current_put

if TYPE_CHECKING:
    from orchestrator.ioc.context import Context

MAX_REQUEST_BYTES = 20_000_000
"""The largest request that is taken in; a client that claims a larger one is disconnected."""

_UPDATES_A_TURN = 32
"""Updates taken from a queue before other tasks have their turn."""

_SLOW_CLIENT_S = 1.0

_PATIENCE = 20
"""Turns of the event loop without an update taken that make a circuit stuck."""

_WITH_SID = (
    ca.ReadRequest,
    ca.ReadNotifyRequest,
    ca.WriteRequest,
    ca.WriteNotifyRequest,
    ca.EventAddRequest,
    ca.EventCancelRequest,
    ca.ClearChannelRequest,
)

logger = structlog.get_logger(__name__)


class CircuitQueue(asyncio.Queue[Any]):
    """A circuit's queue of updates: a put never waits, a full queue raises.

    caproto's waits, in the one task that feeds all circuits, so that one client that stops
    reading stalls every other; and where it expects QueueFull, it calls a `clear` that
    asyncio's queue has not.
    """

    async def put(self, item: Any) -> None:
        """Take an item at once.

        Raises:
            asyncio.QueueFull: It is full; caproto then drops what is queued on the circuit.
        """
        self.put_nowait(item)

    def clear(self) -> None:
        """Drop all that waits."""
        while not self.empty():
            self.get_nowait()


def tune(sock: socket.socket) -> None:
    """Set what caproto leaves off: no delay of small answers, and a watch on silent peers."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, option):  # not on every platform
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Circuit(caproto_server.VirtualCircuit):  # type: ignore[misc] # caproto is untyped
    """One client's connection.

    It ends as a whole: when one of its loops ends, for whatever reason, the client is
    disconnected and connects anew. caproto leaves it connected and silent.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: Context
    ) -> None:
        client = _TransportWrapper(reader, writer)
        super().__init__(ca.VirtualCircuit(ca.SERVER, client.getpeername(), None), client, context)
        self.writer = writer
        self.delay = DelayLine(client.send, context.delay_s)
        self.subscription_queue = CircuitQueue(ca.MAX_TOTAL_SUBSCRIPTION_BACKLOG)
        self._taken = 0
        self._sent_all = asyncio.Event()
        self._sent_all.set()

    async def serve(self) -> None:
        """Serve the client until it goes; its puts that are under way go on."""
        commands = self.tasks.create(self._guarded(self._obey))
        updates = self.tasks.create(self._guarded(self.subscription_queue_loop))
        delayed = self.tasks.create(self._guarded(self._send_delayed))
        try:
            await self._receive()
            await self._on_disconnect()
            # A client may put and leave at once: what it asked for is still done.
            await asyncio.wait([commands], timeout=1.0)
        finally:
            commands.cancel()
            updates.cancel()
            delayed.cancel()
            await self._on_disconnect()

    async def stop(self, grace_s: float) -> None:
        """Disconnect the client, let it have what was sent within `grace_s`, cancel its puts."""
        self.writer.close()
        await self.tasks.cancel_all(wait=True)
        try:
            async with asyncio.timeout(grace_s):
                await self.writer.wait_closed()
        except (OSError, TimeoutError):
            self.writer.transport.abort()  # it does not read

    async def _receive(self) -> None:
        received = b"-"
        while received:
            received = await self._read()
            commands, missing = self.circuit.recv(received)
            if missing > MAX_REQUEST_BYTES:
                self._complain("request too large", bytes=missing)
                received = b""
                commands, _ = self.circuit.recv(b"")
            for command in commands:
                await self.command_queue.put(command)

    async def _read(self) -> bytes:
        try:
            return bytes(await self.client.recv(4096))
        except (OSError, ca.CaprotoNetworkError):
            return b""

    async def _obey(self) -> None:
        try:
            await self.command_queue_loop()
        finally:
            while not self.command_queue.empty():  # _receive may wait for room in it
                self.command_queue.get_nowait()

    async def _guarded(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()  # made here: one that is cancelled before it begins was never made
        except Exception as error:  # noqa: BLE001 - top of a task
            if not self.writer.is_closing():  # else it is we who hung up
                self._complain("circuit failed", error=repr(error))
        finally:
            self.client.close()  # wakes _receive

    async def _on_disconnect(self) -> None:
        # caproto.asyncio's own also awaits its tasks, from within one of them, and lets their
        # CancelledError escape.
        specs = list(self.subscriptions)
        await CommonCircuit._on_disconnect(self)  # noqa: SLF001 - it is ours to override
        for spec in specs:
            if not self.context.subscriptions[spec]:
                del self.context.subscriptions[spec]
        self.client.close()
        await self.context.circuit_disconnected(self)

    async def _send_buffers(self, *buffers: bytes) -> None:
        await self.delay.put(b"".join(buffers))

    async def _send_delayed(self) -> None:
        with suppress(OSError, ca.CaprotoNetworkError):  # the client has gone
            await self.delay.run()

    async def get_from_sub_queue(self, timeout: float | None = None) -> Any:
        """The next update; None if there is none now and a `timeout` is given.

        asyncio.wait_for, which caproto uses, loses updates on Python 3.11 when it times out
        as one arrives.
        """
        self._taken += 1
        if self.subscription_queue.empty() or self._taken % _UPDATES_A_TURN == 0:
            await asyncio.sleep(0)
        if self.subscription_queue.empty():
            if timeout is not None:
                return None
            self._sent_all.set()  # only then does caproto hold none back to send them together
        update = await self.subscription_queue.get()
        self._sent_all.clear()
        return update

    async def caught_up(self) -> None:
        """Return when it has taken all updates that wait for it, or is stuck: bounded."""
        seen, patience = self._taken, _PATIENCE
        while patience and not self.subscription_queue.empty():
            await asyncio.sleep(0)
            patience = _PATIENCE if self._taken != seen else patience - 1
            seen = self._taken

    async def updates_sent(self) -> None:
        """Return when what was posted before is on its way, or its client too slow for it."""
        try:
            async with asyncio.timeout(_SLOW_CLIENT_S):
                while self.context.backlog:  # noqa: ASYNC110 - the queue tells only its length
                    await asyncio.sleep(0)
                if not self.subscription_queue.empty():
                    self._sent_all.clear()
                await self._sent_all.wait()
        except TimeoutError:
            self._complain("client reads too slowly to see the updates before the completion")

    async def _command_queue_iteration(self, command: Any) -> Any:
        if isinstance(command, _WITH_SID) and command.sid not in self.circuit.channels_sid:
            # Its channel was withdrawn, and the request crossed our telling so.
            logger.debug("request for a channel that is gone", request=repr(command))
            return None
        return await super()._command_queue_iteration(command)

    async def _process_command(self, command: Any) -> Any:
        if isinstance(command, ca.WriteRequest | ca.WriteNotifyRequest):
            if self.context.writes_refused:
                return [self._refusal(command)]
            set_current_put(  # inherited by the task that caproto starts for it
                Put(
                    user=self.client_username or "",
                    host=self.client_hostname or "",
                    waiting=isinstance(command, ca.WriteNotifyRequest),
                    updates_sent=self.updates_sent,
                )
            )
        elif isinstance(command, ca.ClearChannelRequest):
            await self.unsubscribe(command.sid)
        try:
            replies = await super()._process_command(command)
            if isinstance(command, ca.CreateChanRequest) and self.context.writes_refused:
                replies = [_read_only(reply) for reply in replies]
            return replies
        except Exception:
            if isinstance(command, ca.EventAddRequest):
                # caproto keeps it, and the PV can't be posted any more.
                number = command.subscriptionid
                await self._cull_subscriptions(None, lambda sub: sub.subscriptionid == number)
            raise

    def tell_access(self) -> None:
        """Tell the client what it may do with each of its channels, now that it has changed."""
        # A task: a client that does not read must not hold up who changes it.
        self.tasks.create(self._write(lambda: self.send(*self._access())))

    def _access(self) -> list[Any]:
        rights = []
        for channel in self.circuit.channels_sid.values():
            if channel.states[ca.SERVER] is ca.CONNECTED:
                pv = self.context[channel.name]
                access = pv.check_access(self.client_hostname, self.client_username)
                told = ca.AccessRightsResponse(cid=channel.cid, access_rights=access)
                rights.append(_read_only(told) if self.context.writes_refused else told)
        return rights

    def _refusal(self, command: Any) -> Any:
        """As a C IOC answers a put without write access (rsrv, camessage.c)."""
        channel = self.circuit.channels_sid[command.sid]
        status = ca.CAStatus.ECA_NOWTACCESS
        if isinstance(command, ca.WriteNotifyRequest):
            return ca.WriteNotifyResponse(
                command.data_type, command.data_count, status, command.ioid
            )
        return ca.ErrorResponse(command, channel.cid, status, "write access denied")

    async def unsubscribe(self, sid: int) -> None:
        """End all subscriptions of one channel.

        caproto compares a channel with its number there, and so never finds any; the next
        update for one that was cleared with its channel then ends the circuit's updates.
        """
        removed = await self._cull_subscriptions(None, lambda sub: sub.channel.sid == sid)
        for _, subscription in removed:
            self.circuit.event_add_commands.pop(subscription.subscriptionid, None)

    async def _cull_subscriptions(self, db_entry: Any, func: Callable[[Any], bool]) -> Any:
        removed = await super()._cull_subscriptions(db_entry, func)
        for spec, subscription in removed:
            # caproto keeps the last updates of each, and its PV, for as long as the client stays.
            self.unexpired_updates.pop(subscription.subscriptionid, None)
            for subscriptions in (self.subscriptions, self.context.subscriptions):
                if not subscriptions[spec]:
                    del subscriptions[spec]
        return removed

    async def withdraw(self, sid: int) -> None:
        """Tell the client that one of its channels is gone, so that it searches for it anew."""
        channel = self.circuit.channels_sid[sid]
        await self.unsubscribe(sid)
        # A task: a client that does not read must not hold up who withdraws it.
        self.tasks.create(self._write(lambda: self.send(channel.disconnect())))

    async def _start_write_task(self, handle_write: Callable[[], Awaitable[None]]) -> None:
        self.tasks.create(self._write(handle_write))

    async def _write(self, handle_write: Callable[[], Awaitable[None]]) -> None:
        try:
            await handle_write()
        except (DisconnectedCircuit, ca.CaprotoError, KeyError) as error:
            # The channel or its client has gone while the put was under way.
            logger.debug("nobody left to tell of a put", error=repr(error))

    def _complain(self, event: str, **values: object) -> None:
        host, port = self.circuit.address
        logger.warning(event, client=f"{host}:{port}", **values)


def _read_only(reply: Any) -> Any:
    """An answer that tells of access rights, without the right to write."""
    if not isinstance(reply, ca.AccessRightsResponse):
        return reply
    rights = ca.AccessRights(reply.access_rights) & ca.AccessRights.READ
    return ca.AccessRightsResponse(cid=reply.cid, access_rights=rights)
