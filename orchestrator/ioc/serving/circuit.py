"""One client's connection: caproto's circuit, without the ways in which it gets stuck."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import caproto as ca
import structlog
from caproto.asyncio import server as caproto_server
from caproto.asyncio.utils import _TransportWrapper
from caproto.server.common import DisconnectedCircuit

from orchestrator.ioc.serving.answers import (
    NO_CHANNEL,
    check_count,
    error_answer,
    filled_up,
    first_line,
    plain_name,
    read_only,
)
from orchestrator.ioc.serving.client_puts import start_put
from orchestrator.ioc.serving.client_subscriptions import ClientSubscriptions
from orchestrator.ioc.serving.delay_line import DelayLine
from orchestrator.ioc.serving.outbox import wire
from orchestrator.ioc.serving.request_reader import HungUpError, RequestReader
from orchestrator.ioc.serving.turns import Budget, Pace
from orchestrator.ioc.serving.update_sender import UpdateSender
from orchestrator.types import ClientFigures

_WITH_SID = (
    ca.ReadRequest,
    ca.ReadNotifyRequest,
    ca.WriteRequest,
    ca.WriteNotifyRequest,
    ca.EventAddRequest,
    ca.EventCancelRequest,
    ca.ClearChannelRequest,
)

# caproto warns of its answer to a request that old clients make.
warnings.filterwarnings("ignore", "ReadResponse was deprecated", UserWarning)

logger = structlog.get_logger(__name__)


class _SidCounter:
    """Gives numbers of channels.

    caproto's has 16 bits: it looks for a free one for ever when all are taken.
    """

    def __init__(self, taken: dict[int, Any]) -> None:
        self._taken = taken
        self.last = -1

    def __call__(self) -> int:
        self.last = (self.last + 1) % 2**32
        while self.last in self._taken:
            self.last = (self.last + 1) % 2**32
        return self.last


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

    Requests are obeyed as they are read, in turns; what is not obeyed is not read, so that the
    client waits and not our memory fills.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: caproto_server.Context,
        address: tuple[str, int],
    ) -> None:
        """`context` is ours, which knows its circuits."""
        client = _TransportWrapper(reader, writer)
        super().__init__(ca.VirtualCircuit(ca.SERVER, address, None), client, context)
        self.circuit._channel_id_counter = _SidCounter(self.circuit.channels_sid)  # noqa: SLF001
        self.client_hostname: str | None = None
        self.client_username: str | None = None
        self.connected = True
        self.writer = writer
        self.since = time.time()
        self.delay = DelayLine(client.send, context.delay_s)
        self.monitored = ClientSubscriptions(self)
        self.subscriptions = self.monitored.by_spec  # caproto's name for them
        self.outbox = self.monitored.outbox
        self.updates = UpdateSender(self, self.outbox)
        self._reader = RequestReader(self)
        self._requests = 0

    async def serve(self) -> None:
        """Serve the client until it goes; its puts that are under way go on."""
        self.write_event.set()
        self.events_on.set()
        updates = self.tasks.create(self._until_hung_up(self.updates.run))
        delayed = self.tasks.create(self._until_hung_up(self._send_delayed))
        try:
            await self._until_hung_up(self._obey)
        finally:
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

    @property
    def held_bytes(self) -> int:
        """What is kept for it: answers that it does not read, a request that is not complete."""
        return self._reader.held_bytes + self._unread

    @property
    def _unread(self) -> int:
        try:
            return int(self.writer.transport.get_write_buffer_size())
        except (AttributeError, RuntimeError):  # its transport is closed
            return 0

    @property
    def figures(self) -> ClientFigures:
        """Who it is, and what became of its requests and updates."""
        user, host = self.client_username, self.client_hostname
        return ClientFigures(
            who=f"{user or ''}@{host or ''}" if user or host else "",
            address="{}:{}".format(*self.circuit.address),
            since=self.since,
            channels=len(self.circuit.channels),
            puts=self.context.puts.unanswered(self),
            subscriptions=len(self.monitored),
            lost=self.monitored.lost(),
            updates=self.outbox.figures,
            unread_bytes=self._unread,
        )

    # Requests ---------------------------------------------------------------------------------

    async def _obey(self) -> None:
        most = self.context.limits.commands_per_second
        budget, pace = Budget(self.context.turns), Pace(most)
        async for command in self._reader.requests(budget):
            self._requests += 1
            await self._take(command, budget)
            await budget.turn()
            if early_s := pace.count():
                self.told_limit(f"commands_per_second = {most}", "it is read no faster")
                await asyncio.sleep(early_s)

    async def _take(self, command: Any, budget: Budget) -> None:
        try:
            if isinstance(command, ca.CreateChanRequest):
                await self._create(command)
            elif isinstance(command, _WITH_SID) and command.sid not in self.circuit.channels_sid:
                await self._refuse_sid(command)
            elif not self._is_valid(command):
                await self._withdraw_for(command)
            elif isinstance(command, ca.WriteRequest | ca.WriteNotifyRequest):
                await start_put(self, command, budget)
            else:
                await self.send(*await self._process_command(command))
        except (HungUpError, DisconnectedCircuit):
            raise
        except Exception as error:  # noqa: BLE001 - the client is told, the circuit goes on
            await self._refuse(command, error)

    def _is_valid(self, command: Any) -> bool:
        """Whether it is allowed in the state that the circuit and its channel are in."""
        try:
            self.circuit.process_command(command)
        except (ca.CaprotoError, KeyError) as error:
            self.complain("client breaks the protocol", error=first_line(error))
            return False
        return True

    async def _withdraw_for(self, command: Any) -> None:
        """Have the client connect to the channel anew; where it concerns none, to us."""
        channel = self.circuit.channels_sid.get(getattr(command, "sid", None))
        if channel is None:
            raise HungUpError
        await self.monitored.end_of_channel(channel.sid)
        await self.send(channel.disconnect())

    async def _refuse_sid(self, command: Any) -> None:
        if command.sid <= self.circuit._channel_id_counter.last:  # noqa: SLF001 - as above
            # Its channel was withdrawn, and the request crossed our telling so.
            logger.debug("request for a channel that is gone", request=type(command).__name__)
            return
        # As rsrv's logBadId: told, and disconnected.
        await self.answer(error_answer(command, NO_CHANNEL, "ECA_INTERNAL", "Bad Resource ID"))
        self.complain("client asks for a channel that it has not", request=type(command).__name__)
        raise HungUpError

    async def _refuse(self, command: Any, error: Exception) -> None:
        self.circuit._ioids.pop(getattr(command, "ioid", None), None)  # noqa: SLF001
        channel = self.circuit.channels_sid.get(getattr(command, "sid", None))
        if channel is None:
            self.complain("client breaks the protocol", error=first_line(error))
            raise HungUpError
        self.log.info("request for %s refused: %s", channel.name, first_line(error))
        text = f"Python exception: {type(error).__name__} {error}"
        await self.answer(error_answer(command, channel.cid, "ECA_INTERNAL", text))

    async def _process_command(self, command: Any) -> Any:
        match command:
            case ca.EventAddRequest():
                await self.monitored.begin(command, self)
                return []
            case ca.EventCancelRequest():
                return await self.monitored.cancel(command)
            case ca.ClearChannelRequest():
                await self.monitored.end_of_channel(command.sid)
                return [self.circuit.channels_sid[command.sid].clear()]
            case ca.ReadRequest() | ca.ReadNotifyRequest():
                check_count(command, self.circuit.channels_sid[command.sid])
        replies = await super()._process_command(command)
        match command:
            case ca.HostNameRequest():
                self.client_hostname = plain_name(self.client_hostname)
            case ca.ClientNameRequest():
                self.client_username = plain_name(self.client_username)
            case ca.ReadNotifyRequest():
                return [filled_up(reply, command.data_count) for reply in replies]
            case ca.EventsOffRequest():
                self.updates.hold(True)
            case ca.EventsOnRequest():
                self.updates.hold(False)
        return replies

    # Channels ---------------------------------------------------------------------------------

    async def _create(self, command: Any) -> None:
        most = self.context.most(self.context.limits.channels)
        if len(self.circuit.channels) >= most:
            self.told_limit(f"channels = {most}", "more are refused")
        elif self.context.serves(command.name):
            if not self._is_valid(command):
                raise HungUpError
            replies = await super()._process_command(command)
            if self.context.writes_refused:
                replies = [read_only(reply) for reply in replies]
            await self.send(*replies)
            self.context.speaks(self)
            return
        await self.answer(ca.CreateChFailResponse(cid=command.cid))

    def tell_access(self) -> None:
        """Tell the client what it may do with each of its channels, now that it has changed."""
        # A task: a client that does not read must not hold up who changes it.
        self.tasks.create(self.guarded(lambda: self.send(*self._access())))

    def _access(self) -> list[Any]:
        rights = []
        for channel in self.circuit.channels_sid.values():
            if channel.states[ca.SERVER] is ca.CONNECTED:
                pv = self.context[channel.name]
                access = pv.check_access(self.client_hostname, self.client_username)
                told = ca.AccessRightsResponse(cid=channel.cid, access_rights=access)
                rights.append(read_only(told) if self.context.writes_refused else told)
        return rights

    async def withdraw(self, sid: int) -> None:
        """Tell the client that one of its channels is gone, so that it searches for it anew."""
        channel = self.circuit.channels_sid[sid]
        await self.monitored.end_of_channel(sid)
        # A task: a client that does not read must not hold up who withdraws it.
        self.tasks.create(self.guarded(lambda: self.send(channel.disconnect())))

    async def guarded(
        self, work: Callable[[], Awaitable[None]], done: Callable[[object], None] | None = None
    ) -> None:
        """Do what a task is for; what it raises is told, and ends it or the circuit."""
        try:
            await work()
        except (DisconnectedCircuit, ca.CaprotoError, OSError, KeyError) as error:
            # The channel or its client has gone while the put was under way.
            logger.debug("nobody left to tell of a put", error=repr(error))
        except Exception as error:  # noqa: BLE001 - top of a task
            # One that is closing: raised by uvloop's transport itself (MagicStack/uvloop#506).
            if not self.writer.is_closing():
                self.complain("circuit failed", error=repr(error))
                self.client.close()
        finally:
            if done is not None:
                done(self)

    # Its end ----------------------------------------------------------------------------------

    async def _until_hung_up(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()  # made here: one that is cancelled before it begins was never made
        except (HungUpError, DisconnectedCircuit):
            pass
        except Exception as error:  # noqa: BLE001 - top of a task
            if not self.writer.is_closing():  # else it is we who hung up
                self.complain("circuit failed", error=repr(error))
        finally:
            self.client.close()  # wakes _obey

    async def _on_disconnect(self) -> None:
        # caproto's own ends all subscriptions in one go, at a price that grows with the square
        # of their number, and waits for its own tasks.
        if not self.connected:
            return
        self.connected = False
        self.updates.tell_waiting()
        self.client.close()
        self.context.speaks(self)
        await self.context.circuit_disconnected(self)
        budget = Budget(self.context.turns)
        await self.monitored.end_all(budget)
        for kept in (self.circuit.channels, self.circuit.channels_sid):
            while kept:
                kept.popitem()
                await budget.turn()
        self.circuit.event_add_commands.clear()
        self._reader.clear()
        self.context.memory.left(self._requests)

    # Sending ----------------------------------------------------------------------------------

    async def answer(self, *replies: Any) -> None:
        """Send what changes no state of a channel: caproto would look for its request."""
        if self.connected:
            try:
                await self.delay.put(b"".join(wire(reply) for reply in replies))
            except (OSError, ca.CaprotoNetworkError) as error:
                raise DisconnectedCircuit(f"circuit disconnected: {error}") from error

    async def _send_buffers(self, *buffers: bytes) -> None:
        await self.delay.put(b"".join(buffers))

    async def _send_delayed(self) -> None:
        with contextlib.suppress(OSError, ca.CaprotoNetworkError):  # the client has gone
            await self.delay.run()

    def channel_and_pv(self, command: Any) -> tuple[Any, Any]:
        """The channel that a request concerns, and its PV."""
        channel, pv = self._get_db_entry_from_command(command)
        return channel, pv

    def told_limit(self, limit: str, consequence: str) -> None:
        """Log that a limit has acted."""
        self.complain(f"limit reached: {limit}: {consequence}")

    def complain(self, event: str, **values: object) -> None:
        """Log what is wrong with this client; not a line for each of a flood."""
        self.context.complaints.tell(event, self.circuit.address, **values)
