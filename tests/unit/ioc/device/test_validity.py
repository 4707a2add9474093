"""What PVs show while a method of the device fails, and after; without threads and clients."""

from __future__ import annotations

from typing import Any

from caproto.server import pvproperty

from orchestrator.ioc import Group, Sample, Severity
from orchestrator.ioc.device.device_items import Origin, Publication, Recovery, Trouble
from orchestrator.ioc.device.validity import PublishedPVs

COMM, INVALID = 9, 3


class Pvs(Group):
    """One of each origin."""

    read = pvproperty(value=0.0)
    mean = pvproperty(value=0.0)
    volts = pvproperty(value=0.0)


class Shown:
    """The PVs, and what was told."""

    def __init__(self) -> None:
        self.pvs = Pvs("S:")
        self.told: list[Any] = []
        self.published = PublishedPVs(self.pvs.attr_pvdb, self._tell)

    async def _tell(self, text: str, alarm: Any) -> None:
        self.told.append((text, alarm and tuple(map(int, alarm))))

    async def show(self, key: str, value: Any, origin: Origin) -> None:
        sample = value if isinstance(value, Sample) else Sample(value)
        await self.published.show(Publication(key, sample, origin))

    async def fail(self, origin: Origin) -> None:
        await self.published.fail(Trouble(origin, f"{origin.value} failed"))

    async def restore(self, origin: Origin) -> None:
        await self.published.restore(Recovery(origin), f"{origin.value} works again")

    def __getitem__(self, key: str) -> tuple[float, int, int]:
        pv = self.pvs.attr_pvdb[key]
        return pv.value, int(pv.alarm.status), int(pv.alarm.severity)


async def published() -> Shown:
    shown = Shown()
    await shown.show("read", 1.0, Origin.ACQUIRE)
    await shown.show("mean", 2.0, Origin.PROCESS)
    await shown.show("volts", Sample(3.0, 5.0, Severity.MINOR), Origin.OTHER)
    return shown


async def test_what_was_acquired_and_what_was_made_of_it_is_invalid_when_acquire_fails() -> None:
    shown = await published()
    await shown.fail(Origin.ACQUIRE)
    assert (shown["read"], shown["mean"]) == ((1, COMM, INVALID), (2, COMM, INVALID))
    assert shown["volts"] == (3, 7, 1)
    assert shown.told == [("acquire failed", (COMM, INVALID))]


async def test_a_result_that_was_under_way_when_acquire_failed_does_not_look_sound() -> None:
    shown = await published()
    await shown.fail(Origin.ACQUIRE)
    await shown.show("mean", 2.5, Origin.PROCESS)
    assert shown["mean"] == (2.5, COMM, INVALID)
    await shown.restore(Origin.ACQUIRE)
    assert shown["mean"] == (2.5, COMM, INVALID)  # until there is a new one
    await shown.show("mean", 2.75, Origin.PROCESS)
    assert shown["mean"] == (2.75, 0, 0)


async def test_what_acquire_publishes_before_it_succeeds_is_sound_when_it_has() -> None:
    shown = await published()
    await shown.fail(Origin.ACQUIRE)
    await shown.show("read", Sample(1.5, 1e9), Origin.ACQUIRE)
    assert shown["read"] == (1.5, COMM, INVALID)
    await shown.restore(Origin.ACQUIRE)
    assert shown["read"] == (1.5, 0, 0)
    assert shown.pvs.read.timestamp == 1e9
    assert shown.told[-1] == ("acquire works again", (0, 0))


async def test_when_it_can_be_opened_again_what_only_puts_publish_is_as_it_was() -> None:
    shown = await published()
    await shown.fail(Origin.ACQUIRE)
    await shown.fail(Origin.OPEN)
    assert shown["volts"] == (3, COMM, INVALID)
    await shown.restore(Origin.OPEN)
    assert shown["volts"] == (3, 7, 1)
    assert shown["read"] == (1, COMM, INVALID)
    assert shown.told[-1] == ("open works again", (COMM, INVALID))  # acquire does not yet


async def test_what_open_publishes_is_shown_when_it_is_open() -> None:
    shown = await published()
    await shown.fail(Origin.OPEN)
    await shown.show("volts", 4.0, Origin.OPEN)
    assert shown["volts"] == (4, COMM, INVALID)
    await shown.restore(Origin.OPEN)
    assert shown["volts"] == (4, 0, 0)


async def test_a_second_failure_in_a_row_forgets_nothing() -> None:
    shown = await published()
    for _ in range(3):
        await shown.fail(Origin.OPEN)
    await shown.restore(Origin.OPEN)
    assert shown["volts"] == (3, 7, 1)


async def test_process_that_fails_leaves_what_was_acquired_alone() -> None:
    shown = await published()
    await shown.fail(Origin.PROCESS)
    assert (shown["read"], shown["mean"]) == ((1, 0, 0), (2, COMM, INVALID))
    await shown.show("mean", 2.5, Origin.PROCESS)
    await shown.restore(Origin.PROCESS)
    assert shown["mean"] == (2.5, 0, 0)


async def test_a_key_of_no_pv_is_told() -> None:
    shown = Shown()
    await shown.show("raed", 1.0, Origin.OTHER)
    assert shown.told == [("no PV shows 'raed'; did you mean 'read'?", None)]
