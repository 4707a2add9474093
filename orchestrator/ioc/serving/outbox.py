"""One client's updates: kept until it takes them, bounded, and each accounted for."""

from __future__ import annotations

import ctypes
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from weakref import proxy

import caproto as ca
import numpy as np
from caproto import apply_arr_filter

from orchestrator.ioc.serving.turns import Budget
from orchestrator.types import SubscriberFigures

_MOST_WAITING = 50_000
"""Updates kept for one client; beyond, one of each subscription."""

_MOST_HELD = 1000
"""Updates of a PV that is no array kept for one that has its updates off, if its PV says less."""

_BATCH_BYTES = 65_536
"""Encoded at once: about what the kernel takes."""

_SPARE = 1000
"""Places of dropped updates that are not worth a clean-up."""

_NUMBER_AT = 12
"""Where a message has its subscription's number: parameter 2, in long headers too."""


class Post(NamedTuple):
    """One update of a PV in one type, as caproto has converted it."""

    number: int
    metadata: Any
    values: Any
    flags: int
    only: Any
    """The one new subscription that it is for, with its first value; None: for all there are."""


class Subscriptions:
    """Subscriptions in their order; as a deque to caproto, but one is removed at once.

    caproto's deque compares with all before it: two clients with 20,000 of one PV need a minute
    to end theirs.
    """

    def __init__(self) -> None:
        self._by_identity: dict[int, Any] = {}

    def append(self, subscription: Any) -> None:
        """Add one."""
        self._by_identity[id(subscription)] = subscription

    def remove(self, subscription: Any) -> None:
        """Take one out."""
        del self._by_identity[id(subscription)]

    def __len__(self) -> int:
        return len(self._by_identity)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._by_identity.values()))


class Owner(Protocol):
    """Whose updates they are: a client's circuit."""

    def subscriptions_of(self, spec: Any) -> Iterable[Any]:
        """Its subscriptions of a SubscriptionSpec, at the moment."""

    def passes(self, subscription: Any, metadata: Any, values: Any, flags: int) -> bool:
        """Whether an update passes the filter (dead band, sync) of one; once for each update."""

    def update_dropped(self) -> None:
        """One was dropped."""

    def update_failed(self, subscription: Any, error: Exception) -> None:
        """One can't be sent as the subscription wants it."""


@dataclass(slots=True, eq=False)
class Feed:
    """The updates of one PV in one type (a SubscriptionSpec) to one client."""

    spec: Any
    waiting: deque[Post] = field(default_factory=deque)
    stale: int = 0
    """Places in the line whose update was dropped: the next so many of this feed."""
    was_held: bool = False
    """Whether some that wait came while the client had its updates off."""
    posts: int = 0
    delivered: int = 0
    merged: int = 0
    dropped: int = 0

    @property
    def figures(self) -> SubscriberFigures:
        """What became of its updates."""
        return SubscriberFigures(
            self.posts, self.delivered, self.merged, self.dropped, len(self.waiting)
        )


class Outbox:
    """Keeps a client's updates in their order until there is room to send them.

    Of each subscription it keeps as many as its PV says (`max_subscription_backlog`); then the
    oldest is dropped, and counted. The newest is always kept. Updates are encoded only when they
    are sent: what is dropped costs next to nothing.

    caproto keeps the last ones encoded for each subscription also when they have been sent, drops
    all of a client's at 10,000, the newest too, and counts none.
    """

    def __init__(self, owner: Owner) -> None:
        # Not a circle: what a client had is free when it is gone, without the garbage collector.
        self._owner = proxy(owner)
        self._feeds: dict[Any, Feed] = {}
        self._line: deque[Feed] = deque()
        self._waiting = 0
        self.put_so_far = 0
        """Updates kept since it was made."""
        self._first: dict[Any, int] = {}
        self._held = False
        self._encoding: Iterator[bytes] | None = None
        self._all = Feed(None)
        self._lossy: set[Feed] = set()

    def __len__(self) -> int:
        """Updates that wait, the one that is being encoded included."""
        return self._waiting + (self._encoding is not None)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to encode."""
        return self._encoding is not None or (self._waiting > 0 and not self._held)

    @property
    def feeds(self) -> list[Feed]:
        """What there is of each PV and type."""
        return list(self._feeds.values())

    @property
    def lossy_feeds(self) -> list[Feed]:
        """Those of which updates were dropped."""
        return list(self._lossy)

    @property
    def figures(self) -> SubscriberFigures:
        """What became of all updates so far, those of ended subscriptions included."""
        of_all = self._all
        return SubscriberFigures(
            of_all.posts, of_all.delivered, of_all.merged, of_all.dropped, self._waiting
        )

    def feed(self, spec: Any) -> Feed:
        """The feed of a SubscriptionSpec; a new one at the first time."""
        feed = self._feeds.get(spec)
        if feed is None:
            feed = self._feeds[spec] = Feed(spec)
        return feed

    def put(self, feed: Feed, post: Post) -> None:
        """Keep an update; never waits. Drops the oldest of the same feed if there are too many."""
        feed.posts += 1
        self._all.posts += 1
        self.put_so_far += 1
        if post.only is not None:
            self._first[post.only.subscriptionid] = post.number
        self._waiting += 1
        feed.waiting.append(post)
        self._line.append(feed)
        feed.was_held = feed.was_held or self._held
        most = self._most(feed)
        while len(feed.waiting) > most:
            self._drop(feed, merged=False)

    def is_full(self, feed: Feed) -> bool:
        """Whether the next one costs the oldest that waits."""
        return len(feed.waiting) >= self._most(feed)

    def _most(self, feed: Feed) -> int:
        if self._waiting > _MOST_WAITING:
            return 1
        entry = feed.spec.db_entry
        most: int = entry.max_subscription_backlog
        return max(most, _MOST_HELD) if feed.was_held and entry.max_length == 1 else most

    def hold(self, held: bool) -> None:
        """The client wants no updates for now (EventsOff), or again.

        libca asks so when it falls behind, which in a burst is often. A C IOC merges meanwhile
        (EPICS base, dbEvent.c); here what a PV keeps for its clients is kept for this one too, and
        more of one that is no array: it can take none of them, however quick it is.
        """
        self._held = held

    def end(self, spec: Any, subscription: Any, *, last: bool) -> None:
        """A subscription has ended; `last`: the client has no other of its SubscriptionSpec."""
        self._first.pop(subscription.subscriptionid, None)
        feed = self._feeds.get(spec)
        if feed is not None and last:
            while feed.waiting:
                self._drop(feed, merged=True)  # the client wants them no more
            del self._feeds[spec]
            self._lossy.discard(feed)

    def encode(self, budget: Budget) -> bytes:
        """The next messages: as many as fit a batch, or its turn; at least one if it is ready."""
        messages: list[bytes] = []
        size = 0
        while self.is_ready and (not messages or (size < _BATCH_BYTES and not budget.is_spent)):
            if self._encoding is None:
                self._encoding = self._take()
            message = next(self._encoding, None)
            if message is None:
                self._encoding = None
            else:
                messages.append(message)
                size += len(message)
        return b"".join(messages)

    def _take(self) -> Iterator[bytes]:
        feed = self._line.popleft()
        while feed.stale:
            feed.stale -= 1
            feed = self._line.popleft()
        post = feed.waiting.popleft()
        self._waiting -= 1
        feed.was_held = feed.was_held and (self._held or bool(feed.waiting))
        feed.delivered += 1
        self._all.delivered += 1
        only = post.only
        targets = self._owner.subscriptions_of(feed.spec) if only is None else [only]
        return self._encoded(feed.spec, post, targets)

    def _encoded(self, spec: Any, post: Post, targets: Iterable[Any]) -> Iterator[bytes]:
        made: dict[int, bytes] = {}
        for sub in targets:
            # One that has not had its first value yet gets that next, and it is newer.
            first = self._first.get(sub.subscriptionid)
            if first is None or first > post.number:
                continue
            try:
                values = apply_arr_filter(spec.channel_filter.arr, post.values)
                if not self._owner.passes(sub, post.metadata, values, post.flags):
                    continue
                if sub.data_count not in made:
                    made[sub.data_count] = encoded(sub, post.metadata, values)
            except Exception as error:  # noqa: BLE001 - one subscription must not end all others
                self._owner.update_failed(sub, error)
                continue
            message = made[sub.data_count]
            number = struct.pack(">I", sub.subscriptionid)
            yield message[:_NUMBER_AT] + number + message[_NUMBER_AT + 4 :]

    def _drop(self, feed: Feed, *, merged: bool) -> None:
        feed.waiting.popleft()
        feed.stale += 1
        self._waiting -= 1
        if merged:
            feed.merged += 1
            self._all.merged += 1
        else:
            feed.dropped += 1
            self._all.dropped += 1
            self._lossy.add(feed)
            self._owner.update_dropped()
        if len(self._line) > 2 * self._waiting + _SPARE:
            self._tidy()

    def _tidy(self) -> None:
        """Take out the places of what was dropped: a client that does not read gathers them."""
        kept: deque[Feed] = deque()
        for feed in self._line:
            if feed.stale:
                feed.stale -= 1
            else:
                kept.append(feed)
        self._line = kept


def encoded(sub: Any, metadata: Any, values: Any) -> bytes:
    """The message that tells a subscription of an update."""
    count = sub.data_count or len(values)
    if count > len(values):
        # caproto would claim the count that was asked for, and send less.
        values = padded(values, count)
    response = sub.channel.subscribe(
        data=values[:count],
        metadata=metadata,
        data_type=sub.data_type,
        data_count=count,
        subscriptionid=sub.subscriptionid,
        status=1,
    )
    return wire(response)


def wire(message: Any) -> bytes:
    """A message as it is sent."""
    return b"".join((bytes(message.header), *(bytes(part) for part in message.buffers)))


def padded(values: Any, count: int) -> Any:
    """Values, filled up with nothing to so many."""
    if isinstance(values, np.ndarray):
        return np.concatenate([values, np.zeros(count - len(values), values.dtype)])
    if isinstance(values, bytes | bytearray):
        return bytes(values).ljust(count, b"\0")
    kind = type(values)
    blank = b"" if len(values) and isinstance(values[0], bytes | str) else 0
    return kind([*values, *([blank] * (count - len(values)))])


def bytes_of(data_type: Any, count: int) -> int:
    """What so many values of a type take."""
    return count * ctypes.sizeof(ca.DBR_TYPES[ca.native_type(data_type)])
