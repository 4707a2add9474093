"""The PVs in front of a device: wired by a table, drained from its push queue."""

# caproto's idiom is that a hook bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import structlog
from caproto import ChannelAlarm, SkipWrite
from caproto.server import expand_macros, pvproperty

from orchestrator.ioc.device.device import Device
from orchestrator.ioc.device.device_items import Done, Publication, PushItem, Recovery, Trouble
from orchestrator.ioc.device.following import Follower
from orchestrator.ioc.device.validity import PublishedPVs
from orchestrator.ioc.device.wiring import (
    Direct,
    Published,
    Queued,
    Read,
    Remote,
    Wiring,
    WiringError,
    call_or_set,
    check,
    entries,
)
from orchestrator.ioc.device.workers import described
from orchestrator.ioc.pv_group import Group
from orchestrator.ioc.pvs.command_pvs import current_put
from orchestrator.ioc.pvs.posting import (
    UNDEFINED,
    UNREADABLE,
    Alarm,
    fitting,
    limit_alarm,
    post,
)
from orchestrator.ioc.pvs.text import TextRO
from orchestrator.ioc.serving.ioc_server import IocServer, current_server
from orchestrator.queues import QueueFigures

_BATCH = 32
"""Items posted before the clients are served: posting never suspends, and of more than
`CAPROTO_MAX_SUBSCRIPTION_BACKLOG`, 50, of one PV at once, clients would miss the oldest."""

_FIGURES_PERIOD_S = 1.0

_STOP_S = 1.0
"""How long the threads of the device have to end."""

logger = structlog.get_logger(__name__)


class DeviceGroup(Group):
    """A PVGroup in front of a `Device`: starts and stops it, and wires its PVs by a table.

    A subclass names its device and the table, and declares the PVs:

    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import Device, DeviceGroup, Direct, Published, Queued, Read, Remote
    >>> class Meter(Device):
    ...     model = "M-5"
    ...     beam = 0.0
    ...
    ...     def acquire(self):
    ...         self.publish(power=1.5)
    ...
    ...     def set_range(self, value):
    ...         return min(value, 10.0)
    ...
    ...     def stop(self, value):
    ...         self.acquiring = False
    >>> class MeterIOC(DeviceGroup):
    ...     device_class = Meter
    ...     wiring = {
    ...         "range": Queued("set_range"),
    ...         "stop": Direct("stop"),
    ...         "model": Read("model"),
    ...         "power": Published(),
    ...         "ring": Remote("SR:Current", to="beam"),
    ...     }
    ...     range = pvproperty(value=1.0)
    ...     stop = pvproperty(value=0)
    ...     model = pvproperty(value="", dtype=str)
    ...     power = pvproperty(value=0.0, read_only=True)
    >>> MeterIOC(prefix="METER:").device.set_range(20.0)
    10.0

    A published PV is UDF/INVALID until its first value; carries the time and alarm that the
    device gave, else the alarm by its limits; and becomes COMM/INVALID when the method of the
    device that published it fails. A value that does not fit its PV is told in `message`, and
    makes it INVALID.
    """

    device_class: ClassVar[type[Device] | None] = None
    """Of the device, unless one is given."""
    wiring: ClassVar[Wiring] = {}
    """The table: attribute → `Queued`, `Direct`, `Read`, `Published`, `Remote`, or several in a
    tuple."""

    message = pvproperty(
        dtype=TextRO, value="", max_length=1000, doc="the last trouble of the device, and its end"
    )
    pull_len = pvproperty(name="PULL:LEN", value=0, read_only=True, doc="puts that wait")
    pull_max = pvproperty(name="PULL:MAX", value=0, read_only=True, doc="most that ever waited")
    pull_rate = pvproperty(
        name="PULL:RATE", value=0.0, units="1/s", precision=1, read_only=True, doc="puts a second"
    )
    push_len = pvproperty(name="PUSH:LEN", value=0, read_only=True, doc="values that wait")
    push_max = pvproperty(name="PUSH:MAX", value=0, read_only=True, doc="most that ever waited")
    push_merged = pvproperty(
        name="PUSH:MERGED", value=0, read_only=True, doc="replaced by a newer one while they waited"
    )
    push_rate = pvproperty(
        name="PUSH:RATE", value=0.0, units="1/s", precision=1, read_only=True, doc="values a second"
    )

    def __init__(self, prefix: str, *, device: Device | None = None, **kwargs: Any) -> None:
        """`device` takes the place of one that `device_class` makes.

        Raises:
            WiringError: A line of the table fits neither PVs nor device.
        """
        super().__init__(prefix, **kwargs)
        self.device = device or self._new_device()
        self._shown: dict[str, Any] = {}
        self._published = PublishedPVs(self._shown, self._tell)
        self._waiting = asyncio.Event()
        self._followers: list[Follower] = []
        self._wire()

    # Its life ---------------------------------------------------------------------------------

    @message.startup
    async def message(self, instance: Any, async_lib: Any) -> None:
        """Start the device, and show what it publishes, for ever."""
        del instance, async_lib
        server = current_server()
        self._attach()
        self.device.start()
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while items := self.device.io_push_queue.take(_BATCH):
                for item in items:
                    await self._take_safely(item)
                await _room(server)

    @message.shutdown
    async def message(self, instance: Any, async_lib: Any) -> None:
        """Stop the device."""
        del instance, async_lib
        ended = asyncio.Event()
        wake = self._wake(ended)

        def stop() -> None:
            self.device.stop(_STOP_S)
            wake()

        # A thread of its own, as `interrupt` may block; asyncio would wait for one of its own.
        threading.Thread(target=stop, name=f"{self.device.name} stop", daemon=True).start()
        try:
            async with asyncio.timeout(1.2 * _STOP_S):
                await ended.wait()
        except TimeoutError:
            logger.warning("the device does not stop", device=self.device.name)

    @pull_len.startup
    async def pull_len(self, instance: Any, async_lib: Any) -> None:
        """Show how the queues do, for ever."""
        del instance, async_lib
        pulled, pushed = self.device.io_pull_queue, self.device.io_push_queue
        clock = asyncio.get_running_loop().time
        at, before = clock(), (pulled.figures, pushed.figures)
        while True:
            await asyncio.sleep(_FIGURES_PERIOD_S)
            at, passed = clock(), clock() - at
            now = (pulled.figures, pushed.figures)
            await self._show_figures("pull", before[0], now[0], passed)
            await self._show_figures("push", before[1], now[1], passed)
            before = now

    @push_len.startup
    async def push_len(self, instance: Any, async_lib: Any) -> None:
        """Follow the PVs of other IOCs, for ever."""
        del instance, async_lib
        async with asyncio.TaskGroup() as tasks:
            for follower in self._followers:
                tasks.create_task(follower.run(), name=f"follow {follower.name}")

    def _attach(self) -> None:
        keep_all = {
            entry.key or attribute
            for attribute, entry in entries(self.wiring)
            if isinstance(entry, Published) and entry.keep_all
        }
        self.device.attach(self._shown, keep_all, self._wake(self._waiting))

    def _wake(self, event: asyncio.Event) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # the loop has ended, and a thread of the device has not
                logger.debug("nobody shows what a device publishes", device=self.device.name)

        return wake

    async def _show_figures(
        self, queue: str, before: QueueFigures, now: QueueFigures, seconds: float
    ) -> None:
        shown = {"len": now.waiting, "max": now.most, "rate": (now.total - before.total) / seconds}
        if queue == "push":
            shown["merged"] = now.merged
        for name, value in shown.items():
            pv = self.attr_pvdb[f"{queue}_{name}"]
            if pv.value != value:
                await post(pv, value)

    # The table --------------------------------------------------------------------------------

    def _new_device(self) -> Device:
        if self.device_class is None:
            raise WiringError(f"{type(self).__name__} names no device_class")
        return self.device_class()

    def _wire(self) -> None:
        if not hasattr(self.device, "io_pull_queue"):
            kind = type(self.device).__name__
            raise WiringError(f"{kind} is no Device, or its __init__ calls no super().__init__()")
        check(self.wiring, self.attr_pvdb, self.device)
        self._shown["message"] = self.message
        for attribute, entry in entries(self.wiring):
            if isinstance(entry, Remote):
                self._followers.append(self._follower(attribute, entry))
                continue
            pv = self.attr_pvdb[attribute]
            match entry:
                case Queued():
                    handle = partial(self._queued, attribute, self._work(attribute, entry))
                    pv.putter = partial(self._put, handle)
                case Direct():
                    handle = partial(self._direct, attribute, call_or_set(self.device, entry.to))
                    pv.putter = partial(self._put, handle)
                case Read():
                    pv.getter = partial(self._get, entry.of)
                case Published():
                    self._shown[entry.key or attribute] = pv
                    pv.alarm = ChannelAlarm(status=UNDEFINED[0], severity=UNDEFINED[1])

    def _follower(self, attribute: str, entry: Remote) -> Follower:
        pv = self.attr_pvdb.get(attribute)
        if pv is not None:
            pv.alarm = ChannelAlarm(status=UNDEFINED[0], severity=UNDEFINED[1])
        name = expand_macros(entry.pv, self.macros)
        return Follower(name, entry, self.device, pv, self._tell)

    def _work(self, attribute: str, entry: Queued) -> Callable[[Any], Any]:
        if entry.to:
            return call_or_set(self.device, entry.to)
        if type(self.device).on_put is Device.on_put:
            kind = type(self.device).__name__
            raise WiringError(f"wiring of {attribute!r}: {kind} has no on_put; name a method")
        return partial(self.device.on_put, attribute)

    async def _queued(self, name: str, work: Callable[[Any], Any], value: Any) -> Any:
        return await asyncio.wrap_future(self.device.submit(name, partial(work, value)))

    async def _direct(self, name: str, work: Callable[[Any], Any], value: Any) -> Any:
        return self.device.call_now(name, partial(work, value))

    async def _put(self, handle: Callable[[Any], Awaitable[Any]], pv: Any, value: Any) -> None:
        """Give a put to the device, and show it, or what the device made of it."""
        value = _plain(value)
        try:
            result = await handle(value)
            shown = fitting(pv, value if result is None else result)
        except Exception as error:
            await self._refuse(pv, value, error)
            raise
        await post(pv, shown, limit_alarm(pv, shown))
        await current_put().updates_sent()
        raise SkipWrite  # it has been posted

    async def _refuse(self, pv: Any, value: Any, error: Exception) -> None:
        """Say why; that the put fails, and its alarm, is caproto's when the putter raises."""
        shown = " ".join(repr(value).split())
        await self._tell(f"{pv.pvname} does not take {shown:.80}: {described(error)}")

    async def _get(self, name: str, pv: Any) -> None:
        try:
            value = getattr(self.device, name)
            value = fitting(pv, value() if callable(value) else value)
        except Exception as error:  # noqa: BLE001 - the user's; what was read last is shown
            if (pv.alarm.status, pv.alarm.severity) != UNREADABLE:
                await self._tell(f"{pv.pvname}: {described(error)}")
                await post(pv, pv.value, UNREADABLE)
            return
        if pv.alarm.severity or not _same(pv.value, value):
            await post(pv, value, limit_alarm(pv, value))

    # What the device publishes ----------------------------------------------------------------

    async def _take_safely(self, item: PushItem) -> None:
        try:
            await self._take(item)
        except Exception as error:  # noqa: BLE001 - one item must not end all others
            text = f"{self.device.name}: not shown: {described(error)}"
            logger.warning(text, item=repr(item)[:200])
            await self._tell(text)

    async def _take(self, item: PushItem) -> None:
        match item:
            case Publication(key="message"):
                await self._tell(str(item.sample.value))
            case Publication():
                await self._published.show(item)
            case Done():
                item.tell()
            case Trouble():
                await self._published.fail(item)
            case Recovery(origin):
                text = f"{self.device.name}: {origin.value} works again"
                await self._published.restore(item, text)

    async def _tell(self, text: str, alarm: Alarm | None = None) -> None:
        """Show a text; in the alarm that `message` has unless given: that of a trouble stays."""
        now = self.message.alarm
        await post(self.message, text, alarm or (now.status, now.severity))


async def _room(server: IocServer | None) -> None:
    """Let the clients take what was posted."""
    if server is None:
        await asyncio.sleep(0)
    else:
        await server.taken()


def _plain(value: Any) -> Any:
    """A number as Python's own, not numpy's."""
    return value.item() if isinstance(value, np.generic) else value


def _same(before: Any, now: Any) -> bool:
    return isinstance(now, str | int | float) and bool(before == now)
