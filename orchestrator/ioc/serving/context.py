"""What is served, and the one queue from which every subscription is fed."""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections import defaultdict, deque
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from typing import Any

import caproto as ca
from caproto import SubscriptionType as Event
from caproto._utils import parse_channel_filter
from caproto.asyncio import server as caproto_server

from orchestrator.ioc.serving.admission import PutRoom
from orchestrator.ioc.serving.circuit import Circuit
from orchestrator.ioc.serving.complaints import Complaints
from orchestrator.ioc.serving.outbox import Feed, Post, Subscriptions
from orchestrator.ioc.serving.turns import Budget, Turns
from orchestrator.types import ClientLimits

_BACKLOG_LIMIT = 500
"""Updates that may wait for the clients before a publisher should."""

_MOST_SILENT = 100
"""Clients without a channel; with one more, the oldest goes. A library asks for one at once."""

_SPARE_DESCRIPTORS = 64
"""Files and connections of our own that are never wanting because of clients."""

_VALUES = int(Event.DBE_VALUE | Event.DBE_LOG)
_ALARM = int(Event.DBE_ALARM)
_PROPERTY = int(Event.DBE_PROPERTY)
_ALARM_BYTES = 4
"""Status and severity, at the beginning of all but the plain types (db_access.h)."""

_DETAILED = frozenset(ca.graphical_types | ca.control_types)
"""Types that tell units, limits or labels."""

_MUCH = 2000
"""Requests of one client that are worth it: they may have taken some MB."""


class Context(caproto_server.Context):  # type: ignore[misc] # caproto is untyped
    """caproto's context: PVs by name, circuits, subscriptions; sockets are `serve`'s."""

    circuits: set[Circuit]

    def __init__(
        self,
        pvdb: MutableMapping[str, Any],
        port: int,
        interfaces: Sequence[str],
        limits: ClientLimits | None = None,
    ) -> None:
        super().__init__(pvdb, list(interfaces))
        self.limits = limits or ClientLimits()
        self.turns = Turns()
        self.complaints = Complaints()
        self.puts = PutRoom(self.limits)
        self.memory = Returns()
        self.dropped = 0
        """Updates dropped so far because a client did not read, of all clients."""
        self.subscriptions: defaultdict[Any, Subscriptions] = defaultdict(Subscriptions)
        self._masks = Masks()
        self._takers: defaultdict[Any, dict[Circuit, Feed]] = defaultdict(dict)
        self._silent: dict[Circuit, None] = {}
        self._posts = 0
        self._handed_out = 0
        self._to_be_told: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.ca_server_port = port  # caproto takes it from EPICS_CA_SERVER_PORT, as libca does
        self.port = port
        self.delay_s = 0.0
        self.writes_refused = False

    def set_delay(self, seconds: float) -> None:
        """Let each client have whatever is sent to it this much later; 0: at once, as ever."""
        self.delay_s = seconds
        for circuit in self.circuits:
            circuit.delay.seconds = seconds

    def refuse_writes(self, refused: bool) -> None:
        """Take write access from all clients, those to come too, or give it back."""
        if refused != self.writes_refused:
            self.writes_refused = refused
            for circuit in self.circuits:
                circuit.tell_access()

    def serves(self, name: str) -> bool:
        """Whether this is the name of a PV of ours, or of a field of one; with a filter perhaps.

        caproto answers a search for a PV with a filter that it can't have, and is silent when the
        channel is to be created.
        """
        try:
            return self[name] is not None and ("." not in name or _has_valid_filter(name))
        except KeyError:
            return False

    def most(self, limit: int) -> int:
        """A limit of PVs: clients may ask for all there are, and once more."""
        return max(limit, 2 * len(self.pvdb))

    def refusal(self, descriptor: int) -> str:
        """Why a client that has just connected can't be served; empty if it can.

        Args:
            descriptor: Its socket's. The lowest that is free is given: above those are free.
        """
        least = min(_SPARE_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - least
        if descriptor >= most:
            return f"open files (ulimit -n) less {least} that are kept for our own: {most}"
        full = len(self.circuits) >= self.limits.circuits
        if full and not self._silent:
            return f"circuits = {self.limits.circuits}"
        if full or len(self._silent) >= _MOST_SILENT:
            oldest = next(iter(self._silent))
            self.speaks(oldest)
            oldest.writer.transport.abort()
        return ""

    def let_in(self, circuit: Circuit) -> None:
        """A client is connected; it has no channel yet."""
        self.circuits.add(circuit)
        self._silent[circuit] = None

    def speaks(self, circuit: Circuit) -> None:
        """It has a channel, or is gone."""
        self._silent.pop(circuit, None)

    def check_held(self) -> None:
        """Disconnect the clients for which most is kept, where too much is."""
        held = {circuit: circuit.held_bytes for circuit in self.circuits}
        most, total = self.limits.unread_bytes, sum(held.values())
        for circuit in sorted(held, key=lambda circuit: held[circuit], reverse=True):
            if total <= most:
                return
            total -= held[circuit]
            circuit.told_limit(f"unread_bytes = {most}", "it is disconnected")
            circuit.writer.transport.abort()

    async def room_for_puts(self) -> None:
        """Return when what earlier puts have posted is handed out, but for a few."""
        while self.backlog > _BACKLOG_LIMIT:  # noqa: ASYNC110 - the queue tells only its length
            await asyncio.sleep(0)

    @property
    def backlog(self) -> int:
        """Updates that wait to be handed to the circuits."""
        size: int = self.subscription_queue.qsize()
        return size

    async def room(self) -> None:
        """Return when there is room for more updates; suspends at least once.

        Writing a PV never suspends: whoever writes many must wait for this in between.
        """
        await asyncio.sleep(0)
        while self.backlog > _BACKLOG_LIMIT:  # noqa: ASYNC110 - the queue tells only its length
            await asyncio.sleep(0)

    async def handed_out(self) -> None:
        """Return when all that was posted before has been handed to the circuits."""
        due = self._posts + self.backlog
        if self._handed_out < due:
            told = asyncio.get_running_loop().create_future()
            self._to_be_told.append((due, told))
            await told

    async def taken(self) -> None:
        """Return when every client that reads has all updates so far in front of it.

        With more than `CAPROTO_MAX_SUBSCRIPTION_BACKLOG` of a PV behind them, a client loses the
        oldest: who may lose none waits for this after fewer.
        """
        await self.room()
        while self.backlog:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        for circuit in list(self.circuits):
            await circuit.updates.caught_up()

    async def subscription_queue_loop(self) -> None:
        """Hand the updates to the circuits."""
        budget = Budget(self.turns)
        while True:
            update = await self.subscription_queue.get()
            await self._hand_out(*update)
            self._handed_out += 1
            self._tell_handed_out()
            del update  # a PV that was replaced meanwhile is not kept
            if budget.is_spent:
                # No turn is waited for: all wait for this task.
                await asyncio.sleep(0)
                budget = Budget(self.turns)

    def _tell_handed_out(self) -> None:
        while self._to_be_told and self._to_be_told[0][0] <= self._handed_out:
            _, told = self._to_be_told.popleft()
            if not told.done():
                told.set_result(None)

    async def _hand_out(
        self, specs: Any, metadata: Any, values: Any, flags: int, only: Any
    ) -> None:
        """Give one update to each circuit that takes it, however many subscriptions it has."""
        self._posts += 1
        post = Post(self._posts, metadata, values, flags, only)
        if only is None:
            for spec in specs:
                if not self._masks.passes(spec, metadata, flags, first=False):
                    continue
                takers = self._takers.get(spec, {})
                for circuit, feed in list(takers.items()):
                    if circuit.outbox.is_full(feed):
                        await circuit.updates.make_room(feed)
                    if circuit in takers:
                        circuit.outbox.put(feed, post)
                        circuit.updates.wake()
        elif only.circuit.monitored.has(only):
            (spec,) = specs
            self._masks.passes(spec, metadata, flags, first=True)
            feed = only.circuit.outbox.feed(spec)
            self._takers[spec][only.circuit] = feed
            only.circuit.outbox.put(feed, post)
            only.circuit.updates.wake()

    async def forget(self, spec: Any, subscription: Any, *, last: bool) -> None:
        """A circuit has ended a subscription; `last`: it has no other of this SubscriptionSpec."""
        self.last_dead_band.pop(subscription, None)
        self.last_sync_edge_update.pop(subscription, None)
        self.subscriptions[spec].remove(subscription)
        if last and spec in self._takers:
            self._takers[spec].pop(subscription.circuit, None)
        if not self.subscriptions[spec]:
            del self.subscriptions[spec]
            self._takers.pop(spec, None)
            self._masks.forget(spec)
            await spec.db_entry.unsubscribe(self.subscription_queue, spec)

    async def replace(self, name: str, channel: Any) -> None:
        """Serve `channel` as `name` from now on; clients of the former are disconnected."""
        former = self.pvdb.get(name)
        for cached in [n for n, pv in self.pvdb.items() if pv is former]:
            del self.pvdb[cached]  # caproto keeps `name.VAL` beside `name`
        self.pvdb[name] = channel
        for circuit in list(self.circuits):
            names = {sid: c.name for sid, c in circuit.circuit.channels_sid.items()}
            for sid, channel_name in names.items():
                if channel_name.partition(".")[0] == name:
                    await circuit.withdraw(sid)


def _has_valid_filter(name: str) -> bool:
    try:
        modifiers = ca.parse_record_field(name).modifiers
        chosen = parse_channel_filter(modifiers.filter_) if modifiers else None
    except Exception:  # noqa: BLE001 - whatever caproto stumbles over in a client's text
        return False
    array = chosen.arr if chosen else None
    return array is None or array.i is None or array.i > 0


class Masks:
    """Decides which posts a subscription wants, as db_post_events of a C IOC does.

    caproto's server ignores the event masks of subscriptions (caproto/caproto#97).

    A post says what has changed (`flags`); caproto's own say nothing, or VALUE: then its alarm and
    metadata are compared with those that subscriptions to nothing else were told last.
    """

    def __init__(self) -> None:
        self._told: dict[Any, tuple[bytes, bytes]] = {}

    def passes(self, spec: Any, metadata: Any, flags: int, *, first: bool) -> bool:
        """Whether a post is for the subscriptions of a SubscriptionSpec; asked once for each.

        Args:
            spec: caproto's: the PV, the type, the mask.
            metadata: As it is sent before the value in this type.
            flags: What has changed; 0 = not told.
            first: Whether it is the first of a subscription, which comes in any case.
        """
        mask, events = spec.mask, flags or _VALUES
        if mask & _VALUES:
            return first or bool(mask & events)
        before, now = self._told.get(spec, (b"", b"")), _facts(spec, metadata)
        self._told[spec] = now
        changed = (_ALARM if before[0] != now[0] else 0) | (_PROPERTY if before[1] != now[1] else 0)
        return first or bool(mask & (events | changed))

    def forget(self, spec: Any) -> None:
        """Nobody subscribes to it any more."""
        self._told.pop(spec, None)


def _facts(spec: Any, metadata: Any) -> tuple[bytes, bytes]:
    """Its alarm, and what else is told of it beside value and time."""
    told = bytes(metadata)
    if not told:
        alarm = spec.db_entry.alarm
        return bytes((int(alarm.status), int(alarm.severity))), b""
    details = told[_ALARM_BYTES:] if metadata.DBR_ID in _DETAILED else b""
    return told[:_ALARM_BYTES], details


class Returns:
    """Asks the C library to return what is free, after clients that had much.

    glibc keeps it: what one client's 20,000 subscriptions took (50 MB) would stay ours for ever,
    free but scattered. Other libraries have no such call, and need none.
    """

    def __init__(self) -> None:
        self._due = False

    def left(self, requests: int) -> None:
        """A client has left that had made so many requests."""
        self._due = self._due or requests >= _MUCH

    def tick(self) -> None:
        """Return what is free, if it is worth it: up to some 20 ms."""
        if self._due:
            self._due = False
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)
