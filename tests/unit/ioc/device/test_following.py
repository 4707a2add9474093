"""Devices that hear of other IOCs, without any; and the push queue by its older names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from caproto.server import pvproperty

from orchestrator.ioc import Device, DeviceGroup, Published, Remote, WiringError
from orchestrator.ioc.device.following import MOST_KEPT, Follower, plain


class Heard(Device):
    """Notes what it is told, in which thread; open as soon as it may."""

    retry_first = retry_most = 0.001

    def __init__(self) -> None:
        super().__init__()
        self.may_open = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()
        self.told: list[Any] = []
        self.threads: set[str] = set()

    def open(self) -> None:
        if not self.may_open.is_set():
            raise OSError("no cable")

    def moved(self, value: Any) -> None:
        self.may_go.wait(10)
        self.threads.add(threading.current_thread().name)
        if value == 13:
            raise ValueError("unlucky")
        self.told.append(value)

    def gone(self) -> None:
        self.told.append("gone")


class HeardGroup(DeviceGroup):
    device_class = Heard
    wiring: ClassVar[Any] = {
        "position": Remote("{OTHER}RBV", to="moved", lost="gone"),
        "all": Remote("OTHER:All", to="moved", keep_all=True),
    }
    position = pvproperty(name="Position", value=0.0, read_only=True)


@asynccontextmanager
async def following(*, opened: bool = True) -> AsyncIterator[tuple[HeardGroup, Heard]]:
    group = HeardGroup("T:", macros={"OTHER": "OTHER:"})
    device = group.device
    assert isinstance(device, Heard)
    if opened:
        device.may_open.set()
    device.start()
    tasks = [asyncio.create_task(f._give()) for f in group._followers]
    try:
        yield group, device
    finally:
        device.may_go.set()
        for task in tasks:
            task.cancel()
        assert await asyncio.to_thread(device.stop)


def update(value: Any, severity: int = 0) -> Any:
    metadata = SimpleNamespace(status=3 if severity else 0, severity=severity, timestamp=5.0)
    return SimpleNamespace(data=np.array([value]), metadata=metadata)


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - threads tell of nothing else
            await asyncio.sleep(0.001)


def by(group: HeardGroup, name: str) -> Follower:
    return next(f for f in group._followers if f.name == name)


async def test_a_value_is_shown_as_it_came_and_handed_over_in_the_devices_thread() -> None:
    async with following() as (group, device):
        follower = by(group, "OTHER:RBV")
        assert group.position.alarm.severity == 3, "nothing has come yet"
        await follower._took(update(2.5, severity=1))
        await until(lambda: device.told == [2.5])
        assert group.position.value == 2.5
        assert (group.position.alarm.status, group.position.alarm.severity) == (3, 1)
        assert device.threads == {"Heard acquisition"}
        await follower._lost()
        await follower._lost()  # each search that finds nothing
        await until(lambda: device.told == [2.5, "gone"])
        assert (group.position.alarm.status, group.position.alarm.severity) == (14, 3)


async def test_of_values_that_wait_the_newest_is_handed_over_unless_all_are_wanted() -> None:
    async with following() as (group, device):
        device.may_go.clear()
        one, every = by(group, "OTHER:RBV"), by(group, "OTHER:All")
        await one._took(update(0))
        await until(lambda: not one._waiting)  # the device has it in hand
        for value in range(1, 5):
            await one._took(update(value))
        for value in range(20, 22 + MOST_KEPT):
            await every._took(update(value))
        assert "the oldest is dropped" in group.message.value
        device.may_go.set()
        await until(lambda: len(device.told) == 2 + MOST_KEPT)
        assert [v for v in device.told if v < 10] == [0, 4]


async def test_what_a_method_raises_is_told_and_the_next_value_is_taken() -> None:
    async with following() as (group, device):
        follower = by(group, "OTHER:RBV")
        await follower._took(update(13))
        await until(lambda: group.message.value == "OTHER:RBV: ValueError: unlucky")
        await follower._took(update(14))
        await until(lambda: device.told == [14])


async def test_the_last_value_waits_for_a_device_that_is_not_open() -> None:
    async with following(opened=False) as (group, device):
        follower = by(group, "OTHER:RBV")
        await follower._took(update(1))
        await until(lambda: "is not there" in group.message.value)
        await follower._took(update(2))
        device.may_open.set()
        await until(lambda: device.told)
        assert device.told == [2]


@pytest.mark.parametrize(
    ("wiring", "why"),
    [
        ({"x": Remote("A:B", to="movd")}, "Heard has no 'movd'; did you mean 'moved'?"),
        ({"x": Remote("A:B", lost="gon")}, "Heard has no 'gon'; did you mean 'gone'?"),
        ({"x": Remote("")}, "wiring of 'x': Remote names no PV"),
    ],
)
def test_a_line_that_names_nothing_that_there_is_is_told(wiring: Any, why: str) -> None:
    kind = type("G", (DeviceGroup,), {"device_class": Heard, "wiring": wiring})
    with pytest.raises(WiringError) as told:
        kind("T:")
    assert why in str(told.value)


def test_what_comes_is_pythons_own() -> None:
    assert plain(np.array([3], np.int16)) == 3
    assert isinstance(plain(np.array([3], np.int16)), int)
    assert plain([b"Open\0\0"]) == "Open"
    assert list(plain(np.array([1.0, 2.0]))) == [1, 2]


class Old(Device):
    """Publishes as devices did before there were ours."""

    def acquire(self) -> float:
        self.io_push_queue.put({"cpu": 0.5, "memory": 7})
        return 1.0


class OldGroup(DeviceGroup):
    device_class = Old
    wiring: ClassVar[Any] = {"cpu": Published(), "memory": Published()}
    cpu = pvproperty(name="CPU", value=0.0, read_only=True)
    memory = pvproperty(name="MEMORY", value=0, read_only=True)


async def test_a_dict_put_into_the_push_queue_is_published() -> None:
    group = OldGroup("T:")
    group._attach()
    await group.device.io_push_queue.async_put({"memory": 8})
    group.device.io_push_queue.put({"cpu": 0.25})
    for item in group.device.io_push_queue.take():
        await group._take(item)
    assert (group.cpu.value, group.memory.value) == (0.25, 8)
    with pytest.raises(WiringError, match="no PV shows 'disk'"):
        group.device.io_push_queue.put({"disk": 1})
