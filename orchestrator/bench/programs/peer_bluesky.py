"""bluesky's RunEngine on ophyd-async devices. No settings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from bluesky import RunEngine
from bluesky import plan_stubs as bps
from ophyd_async.core import (
    AsyncStatus,
    DeviceVector,
    StandardReadable,
    init_devices,
    observe_value,
)
from ophyd_async.epics.core import epics_signal_r, epics_signal_rw

from orchestrator.bench.programs.answering import answer_all_plainly

engine = RunEngine({})


class Positioner(StandardReadable):  # type: ignore[misc] # untyped for us
    """A setpoint that completes, and a readback that has to arrive."""

    def __init__(self, setpoint: str, readback: str) -> None:
        self.setpoint = epics_signal_rw(float, f"ca://{setpoint}")
        with self.add_children_as_readables():
            self.readback = epics_signal_r(float, f"ca://{readback}")
        super().__init__(name="positioner")

    @AsyncStatus.wrap  # type: ignore[untyped-decorator]
    async def set(self, value: float) -> None:
        """Put, then watch the readback until it is there."""
        await self.setpoint.set(value)
        async for position in observe_value(self.readback, timeout=10):
            if abs(position - value) <= 1e-3:
                break


class Detector(StandardReadable):  # type: ignore[misc] # untyped for us
    """Some channels, read at the same time."""

    def __init__(self, pvs: Sequence[str]) -> None:
        with self.add_children_as_readables():
            self.values = DeviceVector(
                {index: epics_signal_r(float, f"ca://{pv}") for index, pv in enumerate(pvs)}
            )
        super().__init__(name="detector")


def puts(pv: str, count: int) -> dict[str, Any]:
    """Puts with callback, one after the other."""
    with init_devices():
        signal = epics_signal_rw(float, f"ca://{pv}", name="signal")

    def plan() -> Iterator[Any]:
        for index in range(count):
            yield from bps.abs_set(signal, float(index % 100), wait=True)

    return _timed(plan())


def scan(positioner: str, readback: str, sampled: Sequence[str], count: int) -> dict[str, Any]:
    """A step scan as bluesky's own plans do it: one event a point."""
    with init_devices():
        device = Positioner(positioner, readback)
        detector = Detector(sampled)

    def plan() -> Iterator[Any]:
        yield from bps.open_run()
        for index in range(count):
            yield from bps.mv(device, float(index))
            yield from bps.trigger_and_read([detector])
        yield from bps.close_run()

    return _timed(plan())


def _timed(plan: Iterator[Any]) -> dict[str, Any]:
    began = time.perf_counter()
    engine(plan)
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    answer_all_plainly({"puts": puts, "scan": scan})
