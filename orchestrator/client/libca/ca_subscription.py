"""Subscriptions of libca that tell their owner of a loss, and when they break."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Any, TypeAlias

from epicscorelibs.ca import cadef

from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.ctrl_metadata import describer
from orchestrator.client.libca.decode import Sample, decoder
from orchestrator.client.libca.thread_states import keep_state

Convert: TypeAlias = Callable[[int, int, int], Any]


class Broken(Exception):  # noqa: N818 - it is the word for what came in place of a value
    """An update with a bad status, or one that could not be converted."""


@cadef.event_handler  # type: ignore[untyped-decorator]  # epicscorelibs has no types
def _updated(arguments: Any) -> None:
    """Called for each update, in a thread of libca."""
    keep_state()
    subscription: CaSubscription = arguments.usr
    try:
        if arguments.status != cadef.ECA_NORMAL:
            raise Broken(cadef.ca_message(arguments.status))
        value = subscription.convert(arguments.raw_dbr, arguments.type, arguments.count)
    except Exception as error:  # noqa: BLE001 - told to the subscription's owner
        value = error
    subscription.arrivals.report(subscription.arrived, value)


class Flusher:
    """Sends what was asked of libca, all of one turn of the loop together.

    Each flush by itself is a packet of its own, and a thread of libca that wants the interpreter.
    """

    __slots__ = ("_due", "_loop")

    def __init__(self) -> None:
        """For the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._due = False

    def send_soon(self) -> None:
        """Send what libca holds, and what is asked until then."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._due = False
        cadef.ca_flush_io()


class CaSubscription:
    """A subscription that takes every update, and the word that its channel was lost.

    libca is called here as aioca's camonitor does it, without its task, lock and queue for each
    (12 kB a subscription). Where an update carries a bad status (no read access any more, a type
    that no longer converts) aioca closes a subscription for good, with a traceback on stderr; here
    `broken` is called instead, and its owner decides.
    """

    __slots__ = (
        "_as_parameter_",
        "_broken",
        "_channel",
        "_closed",
        "_flusher",
        "_kind",
        "_open",
        "_take",
        "_text_from",
        "arrivals",
        "convert",
        "properties",
    )

    def __init__(
        self,
        channel: Any,
        arrivals: Arrivals,
        flusher: Flusher,
        take: Callable[[Any], None],
        broken: Callable[[CaSubscription, BaseException | None], None],
        *,
        properties: bool = False,
        text_from: int = 0,
    ) -> None:
        """Nothing happens before `subscribe`.

        Args:
            channel: aioca's.
            arrivals: The way into the loop.
            flusher: The way to the server.
            take: Gets each `Sample` (each `Details`, with `properties`); None when the
                channel is lost.
            broken: Gets this subscription, closed, and what broke it.
            properties: `Details` (FORMAT_CTRL) when they change, instead of values (FORMAT_TIME).
            text_from: As `dbr.is_text`.
        """
        self.arrivals = arrivals
        self.properties = properties
        self.convert: Convert
        self._take = take
        self._broken = broken
        self._text_from = text_from
        self._open = self._closed = False
        self._channel = channel
        self._flusher = flusher
        self._kind = (-1, 0)

    @property
    def is_open(self) -> bool:
        """Whether libca has this subscription."""
        return self._open

    @property
    def kind(self) -> tuple[int, int]:
        """The channel's type and length when it was subscribed to."""
        return self._kind

    def close(self) -> None:
        """End it; nothing more is taken, not even what waits already."""
        if self._closed:
            return
        self._closed = True
        if self._open:
            self._open = False
            cadef.ca_clear_subscription(self)
            self._flusher.send_soon()

    def arrived(self, value: Any) -> None:
        """Take what libca reported; called in the loop."""
        if self._closed:
            return
        if isinstance(value, Exception):
            self.close()
            self._broken(self, value)
        else:
            self._take(value)

    def subscribe(self) -> None:
        """Subscribe, where it is connected; libca itself does so anew after each loss."""
        if self._open or self._closed or not self._channel.connected():
            return
        try:
            self._create()
        except Exception as error:  # noqa: BLE001 - the owner decides
            # Not now: the owner may have more to do before.
            self.arrivals.report(self.arrived, error)

    def lost(self) -> None:
        """Pass on that the channel is lost, behind the updates that came before."""
        if self._open:
            self.arrivals.report(self.arrived, None)

    def _create(self) -> None:
        self._kind = kind_of(self._channel)
        if self.properties:
            events, count = cadef.DBE_PROPERTY, 1  # metadata need no array behind them
            code, self.convert = describer(self._kind[0])
        else:
            events = cadef.DBE_VALUE | cadef.DBE_ALARM
            code, count, self.convert = decoder(self._channel, text_from=self._text_from)
        number = ctypes.c_void_p()
        cadef.ca_create_subscription(
            code,
            count,
            self._channel,
            events,
            _updated,
            ctypes.py_object(self),  # a bare pointer: the channel keeps us alive
            ctypes.byref(number),
        )
        self._as_parameter_ = number.value
        self._open = True
        self._flusher.send_soon()


def kind_of(channel: Any) -> tuple[int, int]:
    """The type and the length that a connected channel has now.

    Raises:
        cadef.Disconnected: It isn't connected any more.
    """
    return cadef.ca_field_type(channel), cadef.ca_element_count(channel)


__all__ = ["Broken", "CaSubscription", "Flusher", "Sample", "kind_of"]
