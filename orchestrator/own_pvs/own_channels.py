"""Channels whose values live in this process, beside those that the client reaches."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import structlog

from orchestrator.config import OwnConfig
from orchestrator.errors import (
    InputError,
    NotConnectedError,
    OrchestratorError,
    PutError,
    StepTimeoutError,
)
from orchestrator.language.names import suggestion
from orchestrator.language.values.conversion import as_channel_value
from orchestrator.language.values.limits import check_limits
from orchestrator.own_pvs.kept_values import KeptValues
from orchestrator.ports import Channels, ChannelView, Offer, View, always
from orchestrator.timers import spelt
from orchestrator.types import (
    Alarm,
    LinkChange,
    Metadata,
    NativeType,
    Reading,
    Severity,
    Value,
)

log = structlog.get_logger(__name__)

_WITHIN = 10.0
"""s that the disk has to keep what a client puts."""

_NO_ALARM = (Severity.NO_ALARM, Alarm.NO_ALARM)


class OwnChannels:
    """Implements `ports.Channels` and `ports.OwnValues` for own PVs.

    They are always connected. A put is kept first, where it is to be, then offered to the pull
    queue like an IOC's update; it completes once the device has examined that, so that whoever
    waits for it sees the world with it.
    """

    def __init__(
        self,
        own: Mapping[str, OwnConfig],
        pull: Offer[Reading | LinkChange],
        view: View,
        kept: KeptValues,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Nothing happens before `async with`.

        Args:
            own: By channel, `own.best`.
            pull: Where their updates go.
            view: The world as the device has examined it.
            kept: Where values stay over a restart.
            wall_ns: Our own clock, ns since 1970.
        """
        self._own = own
        self._pull = pull
        self._view = view
        self._kept = kept
        self._wall_ns = wall_ns
        self._last: dict[str, Reading] = {}
        self._unseen: dict[str, deque[tuple[Reading, asyncio.Future[None]]]] = {}
        self._unwatch: Callable[[], None] = always

    async def __aenter__(self) -> OwnChannels:
        """Connect them all, with their kept values or their first."""
        former = await asyncio.to_thread(self._kept.read) if self._own else {}
        self._unwatch = self._view.watch(self._own, self._seen)
        for name, own in self._own.items():
            self._pull.offer(LinkChange(name, True, own.metadata))
            self._post(name, self._first(own, former))
        return self

    async def __aexit__(self, *_error: object) -> None:
        """All that was put is kept; puts that still wait fail."""
        self._unwatch()
        await self._kept.close()
        for waiting in self._unseen.values():
            for _, done in waiting:
                done.cancel()

    def _first(self, own: OwnConfig, former: Mapping[str, object]) -> Value:
        if not own.keep or own.name not in former:
            return own.value
        try:
            value = as_channel_value(former[own.name], own.metadata, own.name)
            check_limits(value, own.metadata, own.name)
        except OrchestratorError as error:
            log.warning("a kept value fits no more: the configured one holds", why=str(error))
            return own.value
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._own

    # For clients --------------------------------------------------------------------------------

    async def write(self, name: str, value: object) -> None:
        """See `ports.OwnValues.write`."""
        own = self._own.get(name)
        if own is None:
            raise InputError(f"there is no own PV {name!r}{suggestion(name, self._own)}")
        if not own.write:
            raise PutError(f"{name}: [{name}] of the configuration does not say write = true")
        taken = as_channel_value(value, own.metadata, name)
        check_limits(taken, own.metadata, name)
        try:
            await self.put(name, taken, completion=True, timeout=_WITHIN)
        except StepTimeoutError as error:
            raise PutError(str(error)) from error

    # The engine's port --------------------------------------------------------------------------

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        """See `ports.Channels.connect`: they are."""
        del timeout
        return [name for name in names if name not in self._last]

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """See `ports.Channels.put`."""
        permit()
        own = self._own[name]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        take = partial(self._post, name, value, done)
        if own.keep:
            self._kept.keep(name, _lasting(value, own.metadata), take)
        else:
            take()
        if not completion:
            return
        await asyncio.wait({done}, timeout=timeout)
        if done.cancelled():
            raise NotConnectedError(f"{name}: the service ended during a put")
        if not done.done():
            why = f": {self._kept.path} does not take it" if own.keep else ""
            raise StepTimeoutError(
                f"{name}: the put did not complete within {spelt(timeout)} s{why}"
            )

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        """See `ports.Channels.get`."""
        del timeout, beside
        now = asyncio.get_running_loop().time()
        return {name: replace(self._last[name], received=now) for name in names}

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """See `ports.Channels.doubled`: no other server is asked for them."""
        del names
        return {}

    def outstanding(self, name: str) -> float | None:
        """See `ports.Channels.outstanding`: nothing that a later put would have to wait for."""
        del name
        return None

    # Updates ------------------------------------------------------------------------------------

    def _post(self, name: str, value: Value, done: asyncio.Future[None] | None = None) -> None:
        stamp = self._wall_ns()
        alarm = alarm_of(value, self._own[name].metadata)
        reading = Reading(
            name,
            value,
            stamp / 1e9,
            *alarm,
            received=asyncio.get_running_loop().time(),
            nanoseconds=stamp % 10**9,
        )
        self._last[name] = reading
        if done is not None:
            self._unseen.setdefault(name, deque()).append((reading, done))
        self._pull.offer(reading)

    def _seen(self, channel: ChannelView) -> None:
        """Called when the device has examined an update: of one channel none overtakes another."""
        waiting = self._unseen.get(channel.name)
        while waiting and waiting[0][0] is channel.reading:
            _, done = waiting.popleft()
            if not done.done():
                done.set_result(None)


class RoutedChannels:
    """Implements `ports.Channels`: own PVs stay in the process, all others go to the client."""

    def __init__(self, own: OwnChannels, others: Channels) -> None:
        """See above; names of a chained IOC that is called `own` are not ours."""
        self._own = own
        self._others = others

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        """See `ports.Channels.connect`."""
        own, others = self._parted(names)
        missing = await self._own.connect(own, timeout)
        return missing + await self._others.connect(others, timeout)

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """See `ports.Channels.put`."""
        of: Channels = self._own if name in self._own else self._others
        await of.put(name, value, completion=completion, timeout=timeout, permit=permit)

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        """See `ports.Channels.get`."""
        own, others = self._parted(names)
        if not own:
            return await self._others.get(names, timeout, beside=beside)
        # Last: what another IOC takes to answer must not make ours old.
        answers = await self._others.get(others, timeout, beside=beside) if others else {}
        answers = answers | await self._own.get(own, timeout, beside=beside)
        return {name: answers[name] for name in names}

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """See `ports.Channels.doubled`."""
        return await self._others.doubled(self._parted(names)[1])

    def outstanding(self, name: str) -> float | None:
        """See `ports.Channels.outstanding`."""
        return None if name in self._own else self._others.outstanding(name)

    def _parted(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        own: list[str] = []
        others: list[str] = []
        for name in names:
            (own if name in self._own else others).append(name)
        return own, others


def alarm_of(value: Value, metadata: Metadata) -> tuple[Severity, int]:
    """The alarm that a number has by its limits, as in an EPICS analog record; NaN is undefined.

    Limits that are not set are NaN, beyond which nothing is, or alike.
    """
    if metadata.count > 1 or not isinstance(value, int | float) or metadata.labels:
        return _NO_ALARM
    if math.isnan(value):
        return Severity.INVALID, Alarm.UDF
    for limits, high, low, severity in (
        (metadata.alarm, Alarm.HIHI, Alarm.LOLO, Severity.MAJOR),
        (metadata.warning, Alarm.HIGH, Alarm.LOW, Severity.MINOR),
    ):
        if limits.low == limits.high:
            continue
        if value >= limits.high:
            return severity, high
        if value <= limits.low:
            return severity, low
    return _NO_ALARM


def _lasting(value: Value, metadata: Metadata) -> object:
    """A value as it is kept: what it means, should the configuration change meanwhile."""
    if metadata.native is NativeType.ENUM and isinstance(value, int):
        return metadata.label(value)
    return value.tolist() if isinstance(value, np.ndarray) else value
