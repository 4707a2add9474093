"""A stand-in for libca: channels in memory that connect, answer, refuse and break as told.

It takes the place of the functions of epicscorelibs' `cadef` that the client calls, and of aioca's
`get_channel`; callbacks come through the same C callbacks, with the same structures. Nothing is
answered by itself: a test says when.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from epicscorelibs.ca import cadef, dbr

from orchestrator.client import client
from orchestrator.client.channels import gets, link, put_lane
from orchestrator.client.libca import ca_subscription as subscription
from orchestrator.types import NativeType

UP, DOWN = cadef.cs_conn, cadef.cs_prev_conn
_TIME, _CTRL = dbr.DBR_TIME_STRING, 28
_LAYOUTS = {0: "=40s", 1: "=h", 2: "=f", 3: "=H", 4: "=B", 5: "=i", 6: "=d"}


@dataclass(eq=False)
class FakeChannel:
    """One channel as aioca has it, and what libca knows of it."""

    name: str
    ca: FakeCa
    native: NativeType = NativeType.DOUBLE
    count: int = 1
    state: int = DOWN
    readable: bool = True
    writable: bool = True
    units: bytes = b"mm"
    labels: tuple[str, ...] = ()
    limits: tuple[float, float] = (0.0, 0.0)
    listeners: list[Any] = field(default_factory=list)
    told: bool = False
    """Whether aioca has heard that it is connected."""
    puts: list[tuple[int, int, bytes, bool]] = field(default_factory=list)
    """Type, count, bytes and whether with callback, of what was put."""
    auto: bool = False
    """Whether it answers by itself, as a server does."""
    value: Any = 0.0
    severity: int = 0
    status: int = 0
    refuses: int = 0
    """The status of put-callbacks; puts are not taken and leave an alarm. 0 = taken."""
    on_put: Callable[[], None] = lambda: None
    """Called when a put has arrived."""
    owed: list[tuple[Any, Any]] = field(default_factory=list)
    """Put-callbacks that are outstanding."""
    asked: list[tuple[int, int, Any, Any]] = field(default_factory=list)
    """Gets that are outstanding: type, count and who is to be called."""

    def __post_init__(self) -> None:
        self._as_parameter_ = next(self.ca.numbers)

    # As aioca's -------------------------------------------------------------------------------

    def connected(self) -> bool:
        return self.told

    def _add_subscription(self, listener: Any) -> None:
        self.listeners.append(listener)

    def _remove_subscription(self, listener: Any) -> None:
        self.listeners.remove(listener)

    # What a test has happen -------------------------------------------------------------------

    def connect(self, **changes: Any) -> None:
        """The server is there, perhaps another one."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.state, self.told = UP, True
        for listener in list(self.listeners):
            listener._on_connect(True)

    def lose(self) -> None:
        """The server is gone: libca fails what is outstanding."""
        self.state, self.told = DOWN, False
        for listener in list(self.listeners):
            listener._on_connect(False)
        while self.owed:
            self.complete(int(cadef.ECA_DISCONN))

    def complete(self, status: int = int(cadef.ECA_NORMAL)) -> None:
        """The oldest put-callback ends."""
        callback, context = self.owed.pop(0)
        callback(cadef.event_handler_args(context, None, 0, 1, None, status))

    def feeds(self, *, properties: bool) -> list[Any]:
        """The subscriptions that there are."""
        own = self.ca.subscriptions.values()
        wanted = int(cadef.DBE_PROPERTY) if properties else int(cadef.DBE_VALUE | cadef.DBE_ALARM)
        return [s for s in own if s.channel is self and s.events == wanted]

    def post(self, value: Any, severity: int = 0, status: int = 0) -> None:
        """An update to all who subscribed to values."""
        for own in self.feeds(properties=False):
            own.deliver(self.timed(own.code, value, severity, status))

    def tell(self, subscription: Subscription) -> None:
        """The first update of a subscription, if it is there still."""
        if subscription.events == int(cadef.DBE_PROPERTY):
            self.describe()
        else:
            self.post(self.value, self.severity, self.status)

    def describe(self) -> None:
        """An update to all who subscribed to metadata."""
        for own in self.feeds(properties=True):
            own.deliver(self.described(own.code))

    def fail(self, status: int, *, properties: bool = False) -> None:
        """An update with a bad status."""
        for own in self.feeds(properties=properties):
            own.deliver(None, status)

    def answer(self, value: Any = None, status: int = int(cadef.ECA_NORMAL)) -> None:
        """The oldest get is answered: with metadata where it asked for them."""
        code, _, callback, context = self.asked.pop(0)
        alarm = (self.severity, self.status)
        made = self.described(code) if code >= _CTRL else self.timed(code, value, *alarm)
        address = None if status != cadef.ECA_NORMAL else ctypes.addressof(made)
        callback(cadef.event_handler_args(context, None, code, 1, address, status))

    def serve(self) -> None:
        """Answer what is outstanding, as a server does."""
        while self.asked:
            self.answer(self.value)
        while self.owed:
            self.complete(self.refuses or int(cadef.ECA_NORMAL))

    def timed(self, code: int, value: Any, severity: int, status: int) -> Any:
        made = dbr.DbrCodeToType[code]()
        made.status, made.severity = status, severity
        if code == _TIME:
            text = value if isinstance(value, bytes) else str(value).encode()
            value = text.ljust(40, b"\0")[:40]
            ctypes.memmove(ctypes.addressof(made) + 12, value, 40)
        else:
            made.raw_value[0] = value
        return made

    def described(self, code: int) -> Any:
        made = dbr.DbrCodeToType[code]()
        if hasattr(made, "units"):
            made.units = self.units
        if hasattr(made, "upper_ctrl_limit"):
            made.lower_ctrl_limit, made.upper_ctrl_limit = map(
                type(made.lower_ctrl_limit), self.limits
            )
        if self.labels:
            made.no_str = len(self.labels)
            for index, label in enumerate(self.labels):
                made.raw_strs[index].value = label.encode()
        return made


@dataclass(eq=False)
class Subscription:
    """What libca keeps of one."""

    channel: FakeChannel
    code: int
    count: int
    events: int
    callback: Callable[[Any], None]
    feed: Any

    def deliver(self, made: Any, status: int = int(cadef.ECA_NORMAL)) -> None:
        address = None if made is None else ctypes.addressof(made)
        self.callback(cadef.event_handler_args(self.feed, None, self.code, 1, address, status))


class FakeCa:
    """All channels of one test."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.channels: dict[str, FakeChannel] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.flushed = 0
        self.refuses: int | None = None
        """The status with which libca refuses what is asked of it."""

    def channel(self, name: str, **about: Any) -> FakeChannel:
        """One channel; made at the first look."""
        if name not in self.channels:
            self.channels[name] = FakeChannel(name, self)
        channel = self.channels[name]
        for key, value in about.items():
            setattr(channel, key, value)
        return channel

    # What the client calls --------------------------------------------------------------------

    def _here(self, channel: FakeChannel) -> FakeChannel:
        if channel.state != UP:
            raise cadef.Disconnected(channel)
        if self.refuses is not None:
            raise cadef.CAException(self.refuses, None)
        return channel

    def ca_state(self, channel: FakeChannel) -> int:
        return channel.state

    def ca_field_type(self, channel: FakeChannel) -> int:
        if channel.state != UP:
            raise cadef.Disconnected(channel)
        return int(channel.native)

    def ca_element_count(self, channel: FakeChannel) -> int:
        if channel.state != UP:
            raise cadef.Disconnected(channel)
        return channel.count

    def ca_read_access(self, channel: FakeChannel) -> bool:
        return channel.readable

    def ca_write_access(self, channel: FakeChannel) -> bool:
        return channel.writable

    def ca_host_name(self, channel: FakeChannel) -> str:
        return "127.0.0.1:5064"

    def ca_name(self, channel: FakeChannel) -> str:
        return channel.name

    def ca_flush_io(self) -> None:
        self.flushed += 1

    def ca_create_subscription(
        self,
        code: int,
        count: int,
        channel: FakeChannel,
        events: int,
        callback: Any,
        user: Any,
        number: Any,
    ) -> None:
        own = next(self.numbers)
        subscription = Subscription(
            self._here(channel), code, count, int(events), callback, user.value
        )
        self.subscriptions[own] = subscription
        number._obj.value = own
        if channel.auto:
            asyncio.get_running_loop().call_soon(channel.tell, subscription)

    def ca_clear_subscription(self, own: Any) -> None:
        del self.subscriptions[own._as_parameter_]

    def ca_array_put(self, kind: int, count: int, channel: FakeChannel, data: Any) -> None:
        self._put(kind, count, channel, data, completion=False)

    def ca_array_put_callback(
        self, kind: int, count: int, channel: FakeChannel, data: Any, callback: Any, user: Any
    ) -> None:
        self._put(kind, count, channel, data, completion=True)
        channel.owed.append((callback, user.value))

    def _put(
        self, kind: int, count: int, channel: FakeChannel, data: Any, *, completion: bool
    ) -> None:
        self._here(channel)
        size = struct.calcsize(_LAYOUTS[int(kind)]) * count
        address = data if isinstance(data, int) else ctypes.addressof(data._obj)
        data_ = ctypes.string_at(address, size)
        channel.puts.append((int(kind), count, data_, completion))
        if channel.refuses:
            channel.severity, channel.status = 2, 2  # MAJOR, WRITE: as caproto's servers do
        elif channel.auto:
            channel.value = struct.unpack(_LAYOUTS[int(kind)], data_)[0]
        channel.on_put()
        self._serve_soon(channel)

    def ca_array_get_callback(
        self, code: int, count: int, channel: FakeChannel, callback: Any, user: Any
    ) -> None:
        self._here(channel).asked.append((code, count, callback, user.value))
        self._serve_soon(channel)

    def _serve_soon(self, channel: FakeChannel) -> None:
        if channel.auto:
            asyncio.get_running_loop().call_soon(channel.serve)


_FUNCTIONS = [name for name in vars(FakeCa) if name.startswith("ca_")]


def replace_libca(monkeypatch: pytest.MonkeyPatch) -> FakeCa:
    """Have the client call this, in this test."""
    ca = FakeCa()
    for name in _FUNCTIONS:
        monkeypatch.setattr(cadef, name, getattr(ca, name))
    for module in (client, link, put_lane):
        monkeypatch.setattr(module, "get_channel", ca.channel)
    assert subscription.cadef is gets.cadef is cadef  # they ask there
    return ca


def replace_context(monkeypatch: pytest.MonkeyPatch, ca: FakeCa) -> None:
    """Have a `Client` make and purge no context of libca: there is none."""

    async def connect(pv: str, timeout: float | None) -> None:
        await until(ca.channel(pv).connected)

    monkeypatch.setattr(client, "connect", connect)
    for name in ("get_channel_infos", "silence", "purge_channel_caches", "leave_in_time"):
        monkeypatch.setattr(client, name, lambda: None)
    monkeypatch.setattr(client, "AccessRights", lambda _arrivals: _NoRights())


class _NoRights:
    """Access rights that nobody changes."""

    def follow(self, channel: FakeChannel, changed: Any) -> None:
        pass

    def forget(self, channel: FakeChannel, changed: Any) -> None:
        pass


def served(ca: FakeCa, name: str = "A:X", **about: Any) -> FakeChannel:
    """A channel whose server is there and answers."""
    channel = ca.channel(name, auto=True, **about)
    channel.connect()
    return channel


async def until(met: Callable[[], object]) -> None:
    """Return once this is so; the stand-in tells nobody when it changes."""
    for _ in range(100_000):
        if met():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never was so")


async def settle() -> None:
    """Let all that is ready have its turn."""
    for _ in range(10):
        await asyncio.sleep(0)
