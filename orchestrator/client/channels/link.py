"""One monitored channel: from what libca reports to readings and link changes, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import structlog
from aioca._catools import get_channel  # the channel itself has no public door
from epicscorelibs.ca import cadef

from orchestrator.client.channels.access_rights import AccessRights
from orchestrator.client.channels.gets import ask
from orchestrator.client.channels.menus import Menu, is_menu
from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.ca_subscription import CaSubscription, Flusher, Sample, kind_of
from orchestrator.client.libca.ctrl_metadata import Details
from orchestrator.client.libca.dbr import bad_reading, metadata_of, with_rights
from orchestrator.client.libca.decode import record_type
from orchestrator.client.libca.error_mapping import FAULTS
from orchestrator.config import ChannelConfig
from orchestrator.ports import Offer
from orchestrator.types import LinkChange, Metadata, Reading

_MOST_TRIES = 10
"""Beyond it the pause grows no more."""

log = structlog.get_logger(__name__)

Report: TypeAlias = Reading | LinkChange

MOST_HELD = 1000
"""Values that wait for the metadata of a new connection before it is announced without."""
MUTE_AFTER = 8
"""Property events in a row without a change, after which the server is taken to ignore masks."""
RETRY_AFTER = 0.5
"""s until a broken subscription is made anew; twice as long each time that it breaks at once."""
RETRY_AT_MOST = 60.0
"""s between two such tries."""


def _nobody(_link: Link) -> None:
    pass


class Link:
    """One monitored channel.

    Two subscriptions, asked for together when it connects: one of metadata, whose first event
    announces the connection, and one of values. After a reconnection libca renews both by itself.
    They answer in any order: values are held back until the metadata have come. Both are made anew
    when the type or length has changed.

    A server that ignores event masks (caproto does) sends metadata with every value. That
    subscription is then closed (`muted`), and somebody calls `refresh` from time to time.
    """

    __slots__ = (
        "_arrivals",
        "_awaited",
        "_channel",
        "_closed",
        "_connected",
        "_flusher",
        "_followed",
        "_held",
        "_learning",
        "_loop",
        "_menu",
        "_menu_of",
        "_metadata",
        "_muted",
        "_offer",
        "_properties",
        "_record",
        "_renewing",
        "_rights",
        "_tell_lost",
        "_text_from",
        "_tries",
        "_unchanged",
        "_unconfirmed",
        "_values",
        "_wants_record",
        "_was_connected",
        "config",
        "ready",
        "since",
    )

    def __init__(
        self,
        config: ChannelConfig,
        offer: Offer[Report],
        rights: AccessRights,
        muted: Callable[[Link], None],
        arrivals: Arrivals,
        flusher: Flusher,
        text_from: int,
        menu_of: Callable[[Any], Menu],
        *,
        record: bool = False,
        lost: Callable[[Link], None] = _nobody,
    ) -> None:
        """Make it; nothing happens before `open`.

        Args:
            config: Name and PV.
            offer: Where everything goes.
            rights: Tells when access rights change.
            muted: Called when the subscription of metadata was closed, as it told of every value.
            arrivals: The way of libca's reports into the loop.
            flusher: The way of subscriptions to their servers.
            text_from: As `dbr.is_text`.
            menu_of: Gives the menu of a channel that is one.
            record: Whether to ask for the type of its record.
            lost: Called when it is lost.
        """
        self.config = config
        self.ready = False
        """Whether it is connected and its first value was offered, or can't be read."""
        self.since = 0.0
        """When it was last connected, by the loop's clock."""
        self._awaited: asyncio.Event | None = None
        self._arrivals = arrivals
        self._flusher = flusher
        self._offer = offer.offer
        self._rights = rights
        self._muted = muted
        self._tell_lost = lost
        self._text_from = text_from
        self._menu: Menu | None = None
        self._menu_of = menu_of
        self._learning = False
        self._wants_record = record
        self._record = ""
        self._tries = 0
        self._loop = arrivals.loop
        self._channel: Any = None
        self._properties: CaSubscription | None = None
        self._values: CaSubscription | None = None
        self._metadata: Metadata | None = None
        self._connected = False
        self._followed = False
        self._was_connected = False
        self._unconfirmed = False
        self._renewing: asyncio.TimerHandle | None = None
        self._held: list[Sample] = []
        self._unchanged = 0
        self._closed = False

    @property
    def metadata(self) -> Metadata | None:
        """The last known; None before the first connection."""
        return self._metadata

    @property
    def channel(self) -> Any:
        """The channel of aioca."""
        return self._channel

    @property
    def is_lost(self) -> bool:
        """Whether it is disconnected, and somebody waits for it."""
        return not self._closed and not self._connected and not self._channel.connected()

    @property
    def menu(self) -> Menu | None:
        """What is known of its choices, where not all of them are listed."""
        return self._menu

    def open(self) -> None:
        """Begin: search the channel and subscribe to it, now and after each loss."""
        self._channel = get_channel(self.config.pv)
        self._channel._add_subscription(self)  # noqa: SLF001 - it calls `_on_connect` and `close`
        self._make_feeds()
        if self._channel.connected():
            self._on_connect(True)

    def _on_connect(self, connected: bool) -> None:
        """Called by aioca's channel, in the loop, when libca reports a connection or a loss."""
        if connected and not self._followed:
            # Not before: libca would call us once more, from its thread.
            self._followed = True
            self._rights.follow(self._channel, self._rights_changed)
        if connected and self._wants_record:
            self._ask_record()
        for subscription in (self._properties, self._values):
            if subscription is None:
                continue
            if connected:
                subscription.subscribe()
            else:
                subscription.lost()

    def _ask_record(self) -> None:
        """Ask before all else: it is answered before the first value, and told with it."""
        with suppress(*FAULTS):  # lost again, or no server of records
            code, decode = record_type()
            ask(self._channel, code, 1, decode, self._arrivals, self._take_record)

    def _take_record(self, record: Any) -> None:
        if self._closed or not isinstance(record, str):
            return
        self._record = record
        if self._connected and self._metadata is not None:
            self._describe(replace(self._metadata, record=record))

    async def until_ready(self) -> None:
        """Return once it is `ready`."""
        if not self.ready:
            self._awaited = self._awaited or asyncio.Event()
            await self._awaited.wait()

    def close(self) -> None:
        """End; nothing is offered from here on."""
        if self._closed:
            return
        self._closed = True
        self.detach()

    def detach(self) -> None:
        """Let go of the channel; `open` takes the one that is there then."""
        self._channel._remove_subscription(self)  # noqa: SLF001 - as above
        if self._followed:
            self._followed = False
            self._rights.forget(self._channel, self._rights_changed)
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        self._menu = None
        self._close_feeds()

    def refresh(self) -> None:
        """Read the metadata again, where nobody tells us of their changes."""
        if self._properties is None and self._connected and not self._closed:
            self._unchanged = MUTE_AFTER - 1
            self._open_properties()

    def _make_feeds(self) -> None:
        self._properties = self._subscription(self._take_properties, properties=True)
        self._values = self._subscription(self._take_value)

    def _open_properties(self) -> None:
        self._properties = self._subscription(self._take_properties, properties=True)
        self._properties.subscribe()

    def _open_values(self) -> None:
        self._values = self._subscription(self._take_value)
        self._values.subscribe()

    def _subscription(
        self, take: Callable[[Any], None], *, properties: bool = False
    ) -> CaSubscription:
        return CaSubscription(
            self._channel,
            self._arrivals,
            self._flusher,
            take,
            self._broken,
            properties=properties,
            text_from=self._text_from,
        )

    # What the subscriptions bring; None when the channel is lost. They let nothing of a channel's
    # trouble reach the other channels.

    def _take_properties(self, details: Details | None) -> None:
        try:
            if details is not None:
                self._arrived(details)
            elif self._values is None or not self._values.is_open:
                # Otherwise the other subscription tells, behind the values that came before.
                self._lost()
        except Exception:
            log.exception("An update could not be taken", pv=self.config.pv)
            self._offer(bad_reading(self.config.name, self._loop.time()))

    def _take_value(self, value: Sample | None) -> None:
        try:
            if value is None:
                self._lost()
            elif self._connected:
                self._take_in_turn(value)
            elif self._renewing is None:
                self._hold(value)
        except Exception:
            log.exception("An update could not be taken", pv=self.config.pv)
            self._offer(bad_reading(self.config.name, self._loop.time()))

    def _rights_changed(self) -> None:
        here = cadef.ca_state(self._channel) == cadef.cs_conn
        if here and self._connected and self._metadata is not None:
            self._describe(with_rights(self._metadata, self._channel))
            wanting = self._metadata.readable and self._values is None
        else:
            wanting = self._properties is None and self._values is None  # nobody else tells
            if wanting and not here:
                self._lost()
        if here and wanting and self._renewing is None:
            self._renew_soon()

    # Steps of a channel's life.

    def _arrived(self, details: Details) -> None:
        try:
            if self._is_another():
                self._renew_soon()
                return
            metadata = metadata_of(self._channel, details, text_from=self._text_from)
        except cadef.Disconnected:
            return  # lost again: libca's report of that is on its way
        metadata = self._with_menu(replace(metadata, record=self._record))
        if self._connected and metadata == self._metadata:
            self._count_unchanged()
        else:
            self._describe(metadata)
        if metadata.readable and self._values is None:
            self._open_values()

    def _is_another(self) -> bool:
        """Whether the subscriptions that libca renewed are of a type or length that is no more."""
        if self._connected or self._values is None or not self._values.is_open:
            return False
        return self._values.kind != kind_of(self._channel)

    def _describe(self, metadata: Metadata) -> None:
        """Tell that it is connected, or of new metadata; then of the values held back."""
        if self._connected and metadata == self._metadata:
            return
        back = self._was_connected and not self._connected
        self._unconfirmed = self._unconfirmed or back
        if not self._connected:
            self.since = self._loop.time()
        self._connected = self._was_connected = True
        self._metadata = metadata
        self._unchanged = 0
        self._offer(LinkChange(self.config.name, True, metadata, back))
        if not metadata.readable:
            self._is_ready()
        self._let_go()

    # A menu's choice that is not listed waits for its text, as do the values behind it.

    def _with_menu(self, metadata: Metadata) -> Metadata:
        self._menu = self._menu_of(self._channel) if is_menu(self.config.pv, metadata) else None
        return metadata if self._menu is None else self._menu.describe(metadata)

    def _take_in_turn(self, sample: Sample) -> None:
        if self._menu is None:
            self._deliver(sample)
            return
        self._held.append(sample)
        if len(self._held) >= MOST_HELD:
            self._deliver(self._held.pop(0))
        self._let_go()

    def _let_go(self) -> None:
        while self._held and not self._learning:
            index = self._held[0][0]
            if self._menu is None or not isinstance(index, int) or self._menu.knows(index):
                sample = self._held.pop(0)
                self.tell_labels()
                self._deliver(sample)
            else:
                self._learning = True
                self._menu.learn(index, partial(self._learned, self._menu, index))

    def _learned(self, menu: Menu, index: int) -> None:
        waits = self._learning and menu is self._menu
        if not waits or not self._held or self._held[0][0] != index:
            return  # it was lost meanwhile
        sample = self._held.pop(0)
        self.tell_labels()
        self._deliver(sample)
        self._learning = False
        self._let_go()

    def tell_labels(self) -> None:
        """Tell of the labels of a menu that have been learned since, if it is connected."""
        if self._menu is not None and self._metadata is not None and self._connected:
            told, self._learning = self._learning, True  # no value before it
            self._describe(self._menu.describe(self._metadata))
            self._learning = told

    def _forget_held(self) -> None:
        self._held.clear()
        self._learning = False

    def _deliver(self, sample: Sample) -> None:
        unconfirmed, self._unconfirmed = self._unconfirmed, False
        self._tries = 0
        now = self._loop.time()
        self._offer(Reading(self.config.name, *sample[:4], unconfirmed, now, sample[4]))
        if not self.ready:
            self._is_ready()

    def _is_ready(self) -> None:
        self.ready = True
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None

    def _hold(self, value: Sample) -> None:
        """Keep a value that came before the metadata of its connection."""
        try:
            if not self._held and self._is_another():
                self._renew_soon()
                return
        except cadef.Disconnected:
            return
        self._held.append(value)
        if self._properties is None:
            self._open_properties()
        elif len(self._held) >= MOST_HELD:
            self._hold_no_more()

    def _hold_no_more(self) -> None:
        """Announce it with the metadata it had; or ask for values once the first have come."""
        if self._metadata is not None:
            self._describe(self._metadata)
        elif self._values is not None:
            self._values.close()
            self._values = None
            self._held.clear()

    def _lost(self) -> None:
        self._forget_held()
        if self._menu is not None:
            self._menu.forget()
        self._unconfirmed = False
        self.ready = False
        self._tries = 0
        if self._connected:
            self._connected = False
            self._offer(LinkChange(self.config.name, False))
            self._tell_lost(self)
        if cadef.ca_state(self._channel) == cadef.cs_conn:
            # It is back already, and its first value may have overtaken this: ask again.
            self._renew_soon()

    # Making subscriptions anew.

    def _count_unchanged(self) -> None:
        self._unchanged += 1
        if self._unchanged == MUTE_AFTER:
            self._loop.call_soon(self._mute)

    def _mute(self) -> None:
        if self._properties is not None and not self._closed:
            self._properties.close()
            self._properties = None
            self._muted(self)

    def _renew_soon(self, delay: float = 0.0) -> None:
        if self._renewing is None:
            self._renewing = self._loop.call_later(delay, self._renew)

    def _renew(self) -> None:
        self._renewing = None
        self._close_feeds()
        self._make_feeds()
        if self._channel.connected():
            self._on_connect(True)

    def _close_feeds(self) -> None:
        subscriptions = [own for own in (self._properties, self._values) if own is not None]
        self._properties = self._values = None
        self._unchanged = 0
        self._forget_held()
        for subscription in subscriptions:
            subscription.close()

    def _broken(self, subscription: CaSubscription, reason: BaseException | None) -> None:
        if self._closed or subscription not in (self._properties, self._values):
            return
        log.debug("A subscription broke", pv=self.config.pv, reason=str(reason))
        if subscription is self._properties:
            self._properties = None
        else:
            self._values = None
            if self._connected:
                self._offer(bad_reading(self.config.name, self._loop.time()))
        here = cadef.ca_state(self._channel) == cadef.cs_conn
        if here and not cadef.ca_read_access(self._channel):
            self._settle_unreadable()
        else:
            self._renew_soon(min(RETRY_AFTER * 2**self._tries, RETRY_AT_MOST))
            self._tries = min(self._tries + 1, _MOST_TRIES)

    def _settle_unreadable(self) -> None:
        """Be connected without a value; the access rights tell when that ends."""
        self._close_feeds()
        if self._connected and self._metadata is not None:
            self._describe(with_rights(self._metadata, self._channel))
        else:
            self._describe(metadata_of(self._channel, None, text_from=self._text_from))
