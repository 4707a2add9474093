"""One client's subscriptions: begun, ended, and which updates pass their filters."""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Iterable
from heapq import nlargest
from typing import Any
from weakref import proxy

from caproto._dbr import _LongStringChannelType
from caproto._utils import apply_deadband_filter
from caproto.server.common import Subscription, SubscriptionSpec

from orchestrator.ioc.serving.answers import error_answer
from orchestrator.ioc.serving.outbox import Outbox, Subscriptions, encoded
from orchestrator.ioc.serving.turns import Budget
from orchestrator.types import SubscriberFigures

_WORST = 5
"""PVs that are named of which updates were dropped."""


class ClientSubscriptions:
    """The subscriptions of one client, by their numbers, channels and SubscriptionSpecs."""

    def __init__(self, circuit: Any) -> None:
        """`circuit` owns it; no more is kept of it than that it can be asked."""
        self._circuit = proxy(circuit)
        self.by_spec: defaultdict[Any, Subscriptions] = defaultdict(Subscriptions)
        self.outbox = Outbox(self)
        self._by_number: dict[int, tuple[Any, Any]] = {}
        self._numbers: defaultdict[int, set[int]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._by_number)

    def lost(self) -> dict[str, int]:
        """How many updates were dropped of the PVs of which most were."""
        worst = nlargest(_WORST, self.outbox.lossy_feeds, key=lambda feed: feed.dropped)
        lost: dict[str, int] = {}
        for feed in worst:
            for sub in self.subscriptions_of(feed.spec):
                lost[sub.channel.name] = lost.get(sub.channel.name, 0) + feed.dropped
                break  # they differ in their numbers only
        return lost

    def figures_of(self, pv: str) -> list[SubscriberFigures]:
        """What became of the updates of one PV, for each type that it is taken in."""
        return [
            feed.figures
            for feed in self.outbox.feeds
            if any(sub.channel.name == pv for sub in self.subscriptions_of(feed.spec))
        ]

    async def begin(self, command: Any, owner: Any) -> None:
        """Begin one as it is asked for, or refuse it; `owner`: the circuit, which it names."""
        circuit = self._circuit
        if refusal := self._refusal(command):
            circuit.circuit.event_add_commands.pop(command.subscriptionid, None)
            await circuit.answer(refusal)
            return
        await self.forget(command.subscriptionid)  # it uses a number again
        spec, sub = self._subscription(command, owner)
        self._by_number[sub.subscriptionid] = spec, sub
        self._numbers[command.sid].add(sub.subscriptionid)
        self.by_spec[spec].append(sub)
        circuit.context.subscriptions[spec].append(sub)
        try:
            await sub.db_entry.subscribe(circuit.context.subscription_queue, spec, sub)
        except Exception:
            # caproto keeps it, and the PV can't be posted any more.
            await self.forget(sub.subscriptionid)
            circuit.circuit.event_add_commands.pop(sub.subscriptionid, None)
            raise

    def _refusal(self, command: Any) -> Any:
        circuit = self._circuit
        channel = circuit.circuit.channels_sid[command.sid]
        if command.data_count > channel.native_data_count:
            # As in libca (ECA_BADCOUNT): each update would be filled up to any size.
            text = f"{command.data_count} values of {channel.native_data_count}"
            return error_answer(command, channel.cid, "ECA_BADCOUNT", text)
        most = circuit.context.most(circuit.context.limits.subscriptions)
        if len(self._by_number) >= most:
            circuit.told_limit(f"subscriptions = {most}", "more are refused")
            return error_answer(command, channel.cid, "ECA_ALLOCMEM", "too many subscriptions")
        return None

    def _subscription(self, command: Any, owner: Any) -> tuple[Any, Any]:
        channel, pv = self._circuit.channel_and_pv(command)
        data_type = command.data_type
        if channel.name.endswith("$"):
            with contextlib.suppress(ValueError):  # not a type that a long string has
                data_type = _LongStringChannelType(data_type)
        sub = Subscription(
            mask=command.mask,
            channel_filter=channel.channel_filter,
            channel=channel,
            circuit=owner,
            data_type=data_type,
            data_count=command.data_count,
            subscriptionid=command.subscriptionid,
            db_entry=pv,
        )
        return SubscriptionSpec(pv, data_type.name, command.mask, channel.channel_filter), sub

    async def cancel(self, command: Any) -> list[Any]:
        """End one as it is asked for.

        Returns:
            The answers to the client.
        """
        channel, pv = self._circuit.channel_and_pv(command)
        _, sub = self._by_number.get(command.subscriptionid, (None, None))
        count = pv.length if sub is None else sub.data_count
        await self.forget(command.subscriptionid)
        return [
            channel.unsubscribe(
                command.subscriptionid, data_type=command.data_type, data_count=count
            )
        ]

    async def end_of_channel(self, sid: int) -> None:
        """End all of one channel.

        caproto compares a channel with its number there, and so never finds any; the next
        update for one that was cleared with its channel then ends the circuit's updates.
        """
        for number in self._numbers.pop(sid, ()):
            await self.forget(number)
            self._circuit.circuit.event_add_commands.pop(number, None)

    async def end_all(self, budget: Budget) -> None:
        """End all, in turns."""
        for number in list(self._by_number):
            await self.forget(number)
            await budget.turn()

    async def forget(self, number: int) -> None:
        """End a subscription, if there is one of this number."""
        if number not in self._by_number:
            return
        spec, sub = self._by_number.pop(number)
        self._numbers.get(sub.channel.sid, set()).discard(number)
        self.by_spec[spec].remove(sub)
        last = not self.by_spec[spec]
        if last:
            del self.by_spec[spec]
        self.outbox.end(spec, sub, last=last)
        await self._circuit.context.forget(spec, sub, last=last)

    def has(self, subscription: Any) -> bool:
        """Whether it has not ended it."""
        return self._by_number.get(subscription.subscriptionid, ("", None))[1] is subscription

    def subscriptions_of(self, spec: Any) -> Iterable[Any]:
        """Those of a SubscriptionSpec, at the moment."""
        return self.by_spec.get(spec, Subscriptions())

    def passes(self, subscription: Any, metadata: Any, values: Any, flags: int) -> bool:
        """Whether an update passes the filter (dead band, sync) of one, as caproto has it."""
        context = self._circuit.context
        band, sync = subscription.channel_filter.dbnd, subscription.channel_filter.sync
        if band is not None:
            last = context.last_dead_band
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
            edges = context.last_sync_edge_update[subscription][sync.s]
            message = encoded(subscription, metadata, values)
            if edges.get(sync.m) == message:
                return False
            edges[sync.m] = message
        return True

    def update_dropped(self) -> None:
        """One was dropped."""
        self._circuit.context.dropped += 1

    def update_failed(self, subscription: Any, error: Exception) -> None:
        """One can't be sent as the subscription wants it."""
        self._circuit.complain("update not sent", pv=subscription.channel.name, error=repr(error))
