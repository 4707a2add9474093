"""The beamline and its ring without sockets: their clock is the loop's, which jumps."""

import asyncio
import math
from contextlib import asynccontextmanager, suppress

import pytest

from sim_iocs.mini_beamline import MiniBeamlineIOC
from sim_iocs.ring import RingIOC
from tests.doubles import run_virtual


@asynccontextmanager
async def started(*pvs):
    """The startup hooks of these PVs, running."""
    tasks = [asyncio.create_task(pv.startup(pv, None)) for pv in pvs]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def ring_after(seconds, *puts, seed=1):
    """A ring's current and state after puts and some time."""

    async def main():
        ring = RingIOC("T:", seed=seed)
        async with started(ring.current):
            for name, value in puts:
                await getattr(ring, name).write(value)
            await asyncio.sleep(seconds + 0.01)
            return ring.current.value, ring.state.value

    return run_virtual(main())


def test_a_ring_decays_with_its_lifetime_until_it_is_filled():
    decaying = [("mode", "Decay"), ("lifetime", 100.0)]
    current, state = ring_after(30, *decaying)
    assert current == pytest.approx(200 * math.exp(-0.3))
    assert state == "Beam"
    current, _ = ring_after(75, *decaying)
    assert current > 150, "filled at half its current"


def test_top_up_keeps_the_current_within_a_percent():
    current, _ = ring_after(500, ("lifetime", 1000.0))
    assert 197.5 <= current <= 200


def test_a_dump_takes_all_beam_and_it_is_filled_after_the_dark_time():
    dumped = [("dark_time", 5.0), ("dump", 1)]
    assert ring_after(4, *dumped) == (0, "Dumped")
    current, state = ring_after(6, *dumped)
    assert 0 < current < 200
    assert state == "Injecting"
    assert ring_after(9, *dumped)[1] == "Beam"


@pytest.mark.parametrize("rate", [-1.0, -1e308, math.nan, math.inf])
def test_a_rate_that_fills_nothing_is_refused(rate):
    """A negative one drew the current below zero, to minus infinity and for ever."""
    with pytest.raises(ValueError, match="Limits"):
        ring_after(1, ("fill_rate", rate))


def test_dumps_come_by_chance_which_a_seed_repeats():
    def dark(seed):
        async def main():
            ring = RingIOC("T:", seed=seed)
            async with started(ring.current):
                await ring.dump_every.write(60.0)
                seen = []
                for _ in range(600):
                    await asyncio.sleep(0.5)
                    seen.append(ring.state.value == "Dumped")
                return seen

        return run_virtual(main())

    first = dark(7)
    assert any(first)
    assert not all(first)
    assert dark(7) == first != dark(8)


def counted(*puts, seed=3):
    """I0, diode and their ratio after puts to the beamline's PVs, with the shutter open."""

    async def main():
        line = MiniBeamlineIOC("T:", seed=seed)
        axes = (line.slit_center, line.slit_gap, line.sample)
        async with started(line.center, line.ring.current, *(axis.val for axis in axes)):
            await line.shutter.state.write("Open")
            await line.slit_center.val.write(line.center.value)
            for pv, value in puts:
                group, _, name = pv.rpartition(".")
                await getattr(getattr(line, group) if group else line, name).write(value)
            await line.det.acquire.work()
            return line.det.i0.value, line.det.diode.value, line.det.ratio.value

    return run_virtual(main())


def test_the_counts_are_those_of_the_seed():
    assert counted() == counted() != counted(seed=4)


def test_the_signal_depends_on_shutter_slit_sample_and_ring():
    i0, diode, _ = counted()
    assert i0 > 10_000
    assert 0 < diode < i0
    assert counted(("shutter.state", "Closed"))[0] < 10
    assert counted(("slit_gap.val", 0.2))[0] < i0 / 2
    assert counted(("slit_center.val", 5.0))[0] < 10
    assert counted(("sample.val", 5.0))[2] == pytest.approx(1, rel=0.05), "beside the rod"
    assert counted(("ring.dump", 1))[0] < 10


def test_the_ratio_does_not_depend_on_the_ring():
    whole = counted()[2]
    assert counted(("flux", 500.0))[2] == pytest.approx(whole, rel=0.2)
