"""One client's connection: caproto's circuit, without the ways in which it gets stuck."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from heapq import nlargest
from typing import Any

import caproto as ca
import structlog
from caproto._commands import read_from_bytestream
from caproto._dbr import _LongStringChannelType
from caproto._utils import apply_deadband_filter
from caproto.asyncio import server as caproto_server
from caproto.asyncio.utils import _TransportWrapper
from caproto.server.common import DisconnectedCircuit, Subscription, SubscriptionSpec

from orchestrator.ioc.pvs.command_pvs import Put, set_current_put
from orchestrator.ioc.serving.delay_line import DelayLine
from orchestrator.ioc.serving.outbox import (
    Feed,
    Outbox,
    Subscriptions,
    bytes_of,
    encoded,
    padded,
    wire,
)
from orchestrator.ioc.serving.turns import Budget, Pace
from orchestrator.types import ClientFigures, SubscriberFigures

MAX_REQUEST_BYTES = 20_000_000
"""The largest request that is taken in; a client that claims a larger one is disconnected."""

_MAX_NAME_BYTES = 8192
"""The largest that is no put: a name with its filters."""

_A_PUT_S = 0.0001
"""What a put takes, about, in a task of its own."""

_SLOW_CLIENT_S = 1.0

_PATIENCE = 50
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
_SPECIAL = (ca.ChannelType.STSACK_STRING, ca.ChannelType.CLASS_NAME)
"""Types of one value each, whatever is asked for."""
_MOST_FILLED_UP = 65_536
"""Bytes of an answer with more values than there are."""

_WITH_METADATA = (ca.ChannelType.PUT_ACKT, ca.ChannelType.PUT_ACKS)
_PUTS = (ca.WriteRequest.ID, ca.WriteNotifyRequest.ID)
_WORST = 5
"""PVs that are named of which updates were dropped."""

_NO_CHANNEL = 0xFFFF_FFFF
"""In an error that concerns no channel that the client would know (rsrv, camessage.c)."""

# caproto warns of its answer to a request that old clients make.
warnings.filterwarnings("ignore", "ReadResponse was deprecated", UserWarning)

logger = structlog.get_logger(__name__)


class _HungUpError(Exception):
    """The client is to be disconnected; told already."""


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
        self.subscriptions: defaultdict[Any, Subscriptions] = defaultdict(Subscriptions)
        self.outbox = Outbox(self)
        self._by_number: dict[int, tuple[Any, Any]] = {}
        self._numbers: defaultdict[int, set[int]] = defaultdict(set)
        self._received = bytearray()
        self._requests = 0
        self._sent = 0
        self._blocked = False
        self._behind = False
        self._updates = asyncio.Event()
        self._progress = asyncio.Event()

    async def serve(self) -> None:
        """Serve the client until it goes; its puts that are under way go on."""
        self.write_event.set()
        self.events_on.set()
        updates = self.tasks.create(self._until_hung_up(self._send_updates))
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
        return len(self._received) + self._unread

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
            subscriptions=len(self._by_number),
            lost=self._lost(),
            updates=self.outbox.figures,
            unread_bytes=self._unread,
        )

    def _lost(self) -> dict[str, int]:
        worst = nlargest(_WORST, self.outbox.lossy_feeds, key=lambda feed: feed.dropped)
        lost: dict[str, int] = {}
        for feed in worst:
            for sub in self.subscriptions_of(feed.spec):
                lost[sub.channel.name] = lost.get(sub.channel.name, 0) + feed.dropped
                break  # they differ in their numbers only
        return lost

    def subscriber_figures(self, pv: str) -> list[SubscriberFigures]:
        """What became of the updates of one PV, for each type that it takes it in."""
        return [
            feed.figures
            for feed in self.outbox.feeds
            if any(sub.channel.name == pv for sub in self.subscriptions_of(feed.spec))
        ]

    # Requests ---------------------------------------------------------------------------------

    async def _obey(self) -> None:
        most = self.context.limits.commands_per_second
        budget, pace = Budget(self.context.turns), Pace(most)
        async for command in self._commands(budget):
            self._requests += 1
            await self._take(command, budget)
            await budget.turn()
            if early_s := pace.count():
                self.told_limit(f"commands_per_second = {most}", "it is read no faster")
                await asyncio.sleep(early_s)

    async def _commands(self, budget: Budget) -> AsyncIterator[Any]:
        missing = 0
        while received := await self._read(missing, budget):
            self._received += received
            missing = 0
            while not missing:
                self._received, command, missing = self._parse()
                if not missing:
                    yield command
            self._refuse_too_large(missing)

    async def _read(self, missing: int, budget: Budget) -> bytes:
        waits = not self.client.reader._buffer  # noqa: SLF001 - no other way to be told
        try:
            received = bytes(await self.client.recv(min(max(missing, 4096), 65_536)))
        except (OSError, ca.CaprotoNetworkError):
            received = b""
        if waits:
            budget.renew()
        if not received:
            await budget.turn()  # a thousand may leave at once
        return received

    def _parse(self) -> tuple[bytearray, Any, int]:
        try:
            rest, command, missing = read_from_bytestream(self._received, ca.CLIENT)
        except Exception as error:
            self._complain("client sends what is no request", error=_first_line(error))
            raise _HungUpError from error
        return rest, command, missing

    def _refuse_too_large(self, missing: int) -> None:
        if missing <= _MAX_NAME_BYTES:
            return
        (kind,) = struct.unpack_from(">H", self._received)
        if kind not in _PUTS or missing > MAX_REQUEST_BYTES:
            self._complain("request too large", bytes=missing)
            raise _HungUpError
        self.context.check_held()

    async def _take(self, command: Any, budget: Budget) -> None:
        try:
            if isinstance(command, ca.CreateChanRequest):
                await self._create(command)
            elif isinstance(command, _WITH_SID) and command.sid not in self.circuit.channels_sid:
                await self._refuse_sid(command)
            elif not self._is_valid(command):
                await self._withdraw_for(command)
            elif isinstance(command, ca.WriteRequest | ca.WriteNotifyRequest):
                await self._start_put(command, budget)
            else:
                await self.send(*await self._process_command(command))
        except (_HungUpError, DisconnectedCircuit):
            raise
        except Exception as error:  # noqa: BLE001 - the client is told, the circuit goes on
            await self._refuse(command, error)

    def _is_valid(self, command: Any) -> bool:
        """Whether it is allowed in the state that the circuit and its channel are in."""
        try:
            self.circuit.process_command(command)
        except (ca.CaprotoError, KeyError) as error:
            self._complain("client breaks the protocol", error=_first_line(error))
            return False
        return True

    async def _withdraw_for(self, command: Any) -> None:
        """Have the client connect to the channel anew; where it concerns none, to us."""
        channel = self.circuit.channels_sid.get(getattr(command, "sid", None))
        if channel is None:
            raise _HungUpError
        await self._unsubscribe(channel.sid)
        await self.send(channel.disconnect())

    async def _refuse_sid(self, command: Any) -> None:
        if command.sid <= self.circuit._channel_id_counter.last:  # noqa: SLF001 - as above
            # Its channel was withdrawn, and the request crossed our telling so.
            logger.debug("request for a channel that is gone", request=type(command).__name__)
            return
        # As rsrv's logBadId: told, and disconnected.
        await self._answer(_error(command, _NO_CHANNEL, "ECA_INTERNAL", "Bad Resource ID"))
        self._complain("client asks for a channel that it has not", request=type(command).__name__)
        raise _HungUpError

    async def _refuse(self, command: Any, error: Exception) -> None:
        self.circuit._ioids.pop(getattr(command, "ioid", None), None)  # noqa: SLF001
        channel = self.circuit.channels_sid.get(getattr(command, "sid", None))
        if channel is None:
            self._complain("client breaks the protocol", error=_first_line(error))
            raise _HungUpError
        self.log.info("request for %s refused: %s", channel.name, _first_line(error))
        text = f"Python exception: {type(error).__name__} {error}"
        await self._answer(_error(command, channel.cid, "ECA_INTERNAL", text))

    async def _process_command(self, command: Any) -> Any:
        match command:
            case ca.EventAddRequest():
                return await self._subscribe(command)
            case ca.EventCancelRequest():
                return await self._cancel(command)
            case ca.ClearChannelRequest():
                await self._unsubscribe(command.sid)
                return [self.circuit.channels_sid[command.sid].clear()]
            case ca.ReadRequest() | ca.ReadNotifyRequest():
                _check_count(command, self.circuit.channels_sid[command.sid])
        replies = await super()._process_command(command)
        match command:
            case ca.HostNameRequest():
                self.client_hostname = _plain(self.client_hostname)
            case ca.ClientNameRequest():
                self.client_username = _plain(self.client_username)
            case ca.ReadNotifyRequest():
                return [_filled_up(reply, command.data_count) for reply in replies]
            case ca.EventsOffRequest():
                self.outbox.hold(True)
                self._progress.set()
            case ca.EventsOnRequest():
                self.outbox.hold(False)
                self._updates.set()
        return replies

    # Channels ---------------------------------------------------------------------------------

    async def _create(self, command: Any) -> None:
        most = self.context.most(self.context.limits.channels)
        if len(self.circuit.channels) >= most:
            self.told_limit(f"channels = {most}", "more are refused")
        elif self.context.serves(command.name):
            if not self._is_valid(command):
                raise _HungUpError
            replies = await super()._process_command(command)
            if self.context.writes_refused:
                replies = [_read_only(reply) for reply in replies]
            await self.send(*replies)
            self.context.speaks(self)
            return
        await self._answer(ca.CreateChFailResponse(cid=command.cid))

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

    async def withdraw(self, sid: int) -> None:
        """Tell the client that one of its channels is gone, so that it searches for it anew."""
        channel = self.circuit.channels_sid[sid]
        await self._unsubscribe(sid)
        # A task: a client that does not read must not hold up who withdraws it.
        self.tasks.create(self._write(lambda: self.send(channel.disconnect())))

    # Puts -------------------------------------------------------------------------------------

    async def _start_put(self, command: Any, budget: Budget) -> None:
        if self.context.writes_refused:
            await self._answer(self._no_access(command))
            return
        if bytes_of(command.data_type, command.data_count - 1) > command.header.payload_size:
            # caproto makes a list of so many empty texts. libca sends the last only as far as it
            # goes.
            raise ValueError(f"{command.data_count} values are claimed that were not sent")
        room = self.context.puts
        if limit := room.full(self):
            self.told_limit(limit, "it is not read on until one of its puts has ended")
        # It is not read on, and so its own echo is not seen: libca would give us up.
        await room.enter(self, lambda: self._answer(ca.EchoResponse()))
        await self.context.room_for_puts()
        put = Put(
            user=self.client_username or "",
            host=self.client_hostname or "",
            waiting=isinstance(command, ca.WriteNotifyRequest),
            updates_sent=self.updates_sent,
        )
        channel, pv = self._get_db_entry_from_command(command)
        self.write_event.clear()
        self.tasks.create(self._write(lambda: self._put(command, put, channel, pv), room.leave))
        budget.charge(_A_PUT_S)

    async def _put(self, command: Any, put: Put, channel: Any, pv: Any) -> None:
        set_current_put(put)
        answer = None
        try:
            status = await pv.auth_write(
                self.client_hostname,
                self.client_username,
                command.data,
                command.data_type,
                # Of others a C IOC takes the value: a client can't set time, alarm and limits.
                command.metadata if command.data_type in _WITH_METADATA else None,
                user_address=self.circuit.address,
            )
            if put.waiting:
                status = True if status is None else status
                answer = ca.WriteNotifyResponse(
                    channel.native_data_type, pv.length, status, command.ioid
                )
        except Exception as error:  # noqa: BLE001 - the client is told
            # The client is told: a line for -v.
            self.log.info(
                "put of %s by %s refused: %s", channel.name, put.owner, _first_line(error)
            )
            text = f"Python exception: {type(error).__name__} {error}"
            answer = _error(command, channel.cid, "ECA_PUTFAIL", text)
        finally:
            self.write_event.set()
            if put.waiting:
                self.circuit._ioids.pop(command.ioid, None)  # noqa: SLF001 - its own are kept
        if answer is not None:
            if put.waiting:
                # A client that reads next would be given the old value by its own monitor.
                await self.updates_sent()
            await self._answer(answer)

    def _no_access(self, command: Any) -> Any:
        """As a C IOC answers a put without write access (rsrv, camessage.c)."""
        channel = self.circuit.channels_sid[command.sid]
        status = ca.CAStatus.ECA_NOWTACCESS
        if isinstance(command, ca.WriteNotifyRequest):
            return ca.WriteNotifyResponse(
                command.data_type, command.data_count, status, command.ioid
            )
        return _error(command, channel.cid, "ECA_NOWTACCESS", "write access denied")

    async def _write(
        self, work: Callable[[], Awaitable[None]], done: Callable[[object], None] | None = None
    ) -> None:
        try:
            await work()
        except (DisconnectedCircuit, ca.CaprotoError, OSError, KeyError) as error:
            # The channel or its client has gone while the put was under way.
            logger.debug("nobody left to tell of a put", error=repr(error))
        except Exception as error:  # noqa: BLE001 - top of a task
            # One that is closing: raised by uvloop's transport itself (MagicStack/uvloop#506).
            if not self.writer.is_closing():
                self._complain("circuit failed", error=repr(error))
                self.client.close()
        finally:
            if done is not None:
                done(self)

    # Subscriptions ----------------------------------------------------------------------------

    async def _subscribe(self, command: Any) -> list[Any]:
        channel = self.circuit.channels_sid[command.sid]
        if command.data_count > channel.native_data_count:
            # As in libca (ECA_BADCOUNT): each update would be filled up to any size.
            self.circuit.event_add_commands.pop(command.subscriptionid, None)
            text = f"{command.data_count} values of {channel.native_data_count}"
            await self._answer(_error(command, channel.cid, "ECA_BADCOUNT", text))
            return []
        most = self.context.most(self.context.limits.subscriptions)
        if len(self._by_number) >= most:
            self.told_limit(f"subscriptions = {most}", "more are refused")
            refusal = _error(command, channel.cid, "ECA_ALLOCMEM", "too many subscriptions")
            self.circuit.event_add_commands.pop(command.subscriptionid, None)
            await self._answer(refusal)
            return []
        await self._forget(command.subscriptionid)  # it uses a number again
        spec, sub = self._subscription(command)
        self._by_number[sub.subscriptionid] = spec, sub
        self._numbers[command.sid].add(sub.subscriptionid)
        self.subscriptions[spec].append(sub)
        self.context.subscriptions[spec].append(sub)
        try:
            await sub.db_entry.subscribe(self.context.subscription_queue, spec, sub)
        except Exception:
            # caproto keeps it, and the PV can't be posted any more.
            await self._forget(sub.subscriptionid)
            self.circuit.event_add_commands.pop(sub.subscriptionid, None)
            raise
        return []

    def _subscription(self, command: Any) -> tuple[Any, Any]:
        channel, pv = self._get_db_entry_from_command(command)
        data_type = command.data_type
        if channel.name.endswith("$"):
            with contextlib.suppress(ValueError):  # not a type that a long string has
                data_type = _LongStringChannelType(data_type)
        sub = Subscription(
            mask=command.mask,
            channel_filter=channel.channel_filter,
            channel=channel,
            circuit=self,
            data_type=data_type,
            data_count=command.data_count,
            subscriptionid=command.subscriptionid,
            db_entry=pv,
        )
        return SubscriptionSpec(pv, data_type.name, command.mask, channel.channel_filter), sub

    async def _cancel(self, command: Any) -> list[Any]:
        channel, pv = self._get_db_entry_from_command(command)
        _, sub = self._by_number.get(command.subscriptionid, (None, None))
        count = pv.length if sub is None else sub.data_count
        await self._forget(command.subscriptionid)
        return [
            channel.unsubscribe(
                command.subscriptionid, data_type=command.data_type, data_count=count
            )
        ]

    async def _unsubscribe(self, sid: int) -> None:
        """End all subscriptions of one channel.

        caproto compares a channel with its number there, and so never finds any; the next
        update for one that was cleared with its channel then ends the circuit's updates.
        """
        for number in self._numbers.pop(sid, ()):
            await self._forget(number)
            self.circuit.event_add_commands.pop(number, None)

    async def _forget(self, number: int) -> None:
        """End a subscription, if there is one of this number."""
        if number not in self._by_number:
            return
        spec, sub = self._by_number.pop(number)
        self._numbers.get(sub.channel.sid, set()).discard(number)
        self.subscriptions[spec].remove(sub)
        last = not self.subscriptions[spec]
        if last:
            del self.subscriptions[spec]
        self.outbox.end(spec, sub, last=last)
        await self.context.forget(spec, sub, last=last)

    def subscribes(self, subscription: Any) -> bool:
        """Whether it has not ended it."""
        return self._by_number.get(subscription.subscriptionid, ("", None))[1] is subscription

    def subscriptions_of(self, spec: Any) -> Iterable[Any]:
        """Its subscriptions of a SubscriptionSpec, at the moment."""
        return self.subscriptions.get(spec, Subscriptions())

    def passes(self, subscription: Any, metadata: Any, values: Any, flags: int) -> bool:
        """Whether an update passes the filter (dead band, sync) of one, as caproto has it."""
        band, sync = subscription.channel_filter.dbnd, subscription.channel_filter.sync
        if band is not None:
            last = self.context.last_dead_band
            tracked = apply_deadband_filter(
                previous_value=last.get(subscription),
                new_value=values,
                sub=subscription,
                flags=flags,
                host_endian=">" if sys.byteorder == "big" else "<",
            )
            if tracked is None:
                return False
            last[subscription] = tracked
        if sync is not None:
            # Of "before", "after", "first" and "last" only the first update is sent.
            edges = self.context.last_sync_edge_update[subscription][sync.s]
            message = encoded(subscription, metadata, values)
            if edges.get(sync.m) == message:
                return False
            edges[sync.m] = message
        return True

    def update_dropped(self) -> None:
        """One was dropped."""
        self.context.dropped += 1

    def update_failed(self, subscription: Any, error: Exception) -> None:
        """One can't be sent as the subscription wants it."""
        self._complain("update not sent", pv=subscription.channel.name, error=repr(error))

    def updates_wait(self) -> None:
        """There is something in the outbox."""
        self._updates.set()

    async def _send_updates(self) -> None:
        budget = Budget(self.context.turns)
        while True:
            if not self.outbox.is_ready:
                self._updates.clear()
                self._behind = False
                await self._updates.wait()
                budget.renew()
                await budget.turn()
            if messages := self.outbox.encode(budget):
                self._blocked = True
                await self.delay.put(messages)
                self._blocked = False
            self._sent += 1
            self._progress.set()
            await budget.turn()

    async def make_room(self, feed: Feed) -> None:
        """Let the client have its turns before one of its updates is dropped; bounded.

        Not while it is its reading that is waited for, while it wants none (EventsOff), nor once it
        has stayed behind.
        """
        patience = _PATIENCE
        while (
            self.outbox.is_full(feed)
            and patience
            and self.outbox.is_ready
            and not (self._blocked or self._behind)
        ):
            patience -= 1
            await asyncio.sleep(0)
        self._behind = self._behind or not patience

    async def caught_up(self) -> None:
        """Return when it has taken all updates that wait for it, or is stuck: bounded."""
        seen, patience = self._sent, _PATIENCE
        while patience and self.outbox.is_ready:
            await asyncio.sleep(0)
            patience = _PATIENCE if self._sent != seen else patience - 1
            seen = self._sent

    async def updates_sent(self) -> None:
        """Return when what was posted before is on its way, or its client too slow for it."""
        try:
            async with asyncio.timeout(_SLOW_CLIENT_S):
                await self.context.handed_out()
                behind = self.outbox.put_so_far
                # A client that wants none for now (EventsOff) is not waited for.
                while self._owes(behind):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            self._complain("client reads too slowly to see the updates before the completion")

    def _owes(self, updates: int) -> bool:
        """Whether some of its first so many updates are still to be sent."""
        sent = self.outbox.put_so_far - len(self.outbox)
        return self.connected and self.outbox.is_ready and sent < updates

    # Its end ----------------------------------------------------------------------------------

    async def _until_hung_up(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()  # made here: one that is cancelled before it begins was never made
        except (_HungUpError, DisconnectedCircuit):
            pass
        except Exception as error:  # noqa: BLE001 - top of a task
            if not self.writer.is_closing():  # else it is we who hung up
                self._complain("circuit failed", error=repr(error))
        finally:
            self.client.close()  # wakes _obey

    async def _on_disconnect(self) -> None:
        # caproto's own ends all subscriptions in one go, at a price that grows with the square
        # of their number, and waits for its own tasks.
        if not self.connected:
            return
        self.connected = False
        self._progress.set()
        self.client.close()
        self.context.speaks(self)
        await self.context.circuit_disconnected(self)
        budget = Budget(self.context.turns)
        for number in list(self._by_number):
            await self._forget(number)
            await budget.turn()
        for kept in (self.circuit.channels, self.circuit.channels_sid):
            while kept:
                kept.popitem()
                await budget.turn()
        self.circuit.event_add_commands.clear()
        self._received = bytearray()
        self.context.memory.left(self._requests)

    # Sending ----------------------------------------------------------------------------------

    async def _answer(self, *replies: Any) -> None:
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

    def told_limit(self, limit: str, consequence: str) -> None:
        """Log that a limit has acted."""
        self._complain(f"limit reached: {limit}: {consequence}")

    def _complain(self, event: str, **values: object) -> None:
        self.context.complaints.tell(event, self.circuit.address, **values)


def _filled_up(reply: Any, count: int) -> Any:
    """An answer with as many values as were asked for; rsrv (camessage.c) fills up with zeros."""
    if count <= reply.data_count or reply.data_type in _SPECIAL:
        return reply
    values = padded(reply.data, count)
    return ca.ReadNotifyResponse(
        values, reply.data_type, count, 1, reply.ioid, metadata=reply.metadata
    )


def _check_count(command: Any, channel: Any) -> None:
    """Refuse many more values than there are: a client may claim four thousand millions."""
    count, there_are = command.data_count, channel.native_data_count
    if count > there_are and bytes_of(command.data_type, count) > _MOST_FILLED_UP:
        raise ValueError(f"{count} values of {there_are} are too many")


def _error(command: Any, cid: int, status: str, text: str) -> Any:
    return ca.ErrorResponse(command, cid, status=ca.CAStatus[status], error_message=text)


def _plain(name: str | None) -> str:
    """A client's name as it can be shown: it may claim anything."""
    text = (name or "").partition("\0")[0][:100]
    return "".join(c if c.isprintable() else "?" for c in text)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.200}"


def _read_only(reply: Any) -> Any:
    """An answer that tells of access rights, without the right to write."""
    if not isinstance(reply, ca.AccessRightsResponse):
        return reply
    rights = ca.AccessRights(reply.access_rights) & ca.AccessRights.READ
    return ca.AccessRightsResponse(cid=reply.cid, access_rights=rights)
