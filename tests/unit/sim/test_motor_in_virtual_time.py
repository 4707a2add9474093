"""The motor's logic without sockets: its clock is the loop's, which jumps."""

import asyncio
import itertools
import math
from contextlib import asynccontextmanager, suppress

import pytest

from sim_iocs.motor import Axis
from sim_iocs.physics import Move
from tests.doubles import run_virtual


@asynccontextmanager
async def standing_axis():
    """An axis at 0 that notes each position it publishes, by its time."""
    axis = Axis("T:X")
    axis.seen = []
    written = axis.rbv.write

    async def write(value, **metadata):
        axis.seen.append((asyncio.get_running_loop().time(), value))
        await written(value, **metadata)

    axis.rbv.write = write
    drive = asyncio.create_task(axis.val.startup(axis.val, None))
    try:
        yield axis
    finally:
        drive.cancel()
        with suppress(asyncio.CancelledError):
            await drive


def test_it_is_published_where_the_trapezoid_says():
    async def main():
        async with standing_axis() as axis:
            began = asyncio.get_running_loop().time()
            await axis.val.write(8.0)
            return [(t - began, position) for t, position in axis.seen]

    seen = run_virtual(main())
    move = Move(0, 8, speed=2, ramp=0.1)
    assert seen[-1] == (pytest.approx(move.duration), 8)
    assert [position for _, position in seen] == pytest.approx([move.position(t) for t, _ in seen])
    assert max(b[0] - a[0] for a, b in itertools.pairwise(seen)) <= 0.1


def test_it_slows_down_before_it_turns_to_a_new_target():
    async def main():
        async with standing_axis() as axis:
            first = asyncio.create_task(axis.val.write(8.0))
            await asyncio.sleep(1.025)
            await axis.val.write(0.0)
            assert first.done()
            return [position for _, position in axis.seen]

    positions = run_virtual(main())
    at_the_turn = Move(0, 8, speed=2, ramp=0.1).position(1.025)
    assert max(positions) == pytest.approx(at_the_turn + 2 * 0.1 / 2)
    assert positions[-1] == 0


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.1, 0.55, 1.0499, 1.05, 1.0501, 2.0])
def test_a_stop_at_any_moment_leaves_it_standing_with_val_where_it_is(moment):
    async def main():
        async with standing_axis() as axis:
            move = asyncio.create_task(axis.val.write(2.0))
            await asyncio.sleep(moment)
            await axis.stop.write(1)
            await move
            state = [pv.value for pv in (axis.dmov, axis.movn, axis.stop)]
            return state, axis.val.value, axis.rbv.value

    state, target, position = run_virtual(main())
    assert state == [1, 0, 0]
    assert target == position
    assert 0 <= position <= 2


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.3, 1.0499, 1.05, 1.0501])
def test_of_two_puts_at_any_moment_the_last_one_decides_and_both_complete(moment):
    async def main():
        async with standing_axis() as axis:
            first = asyncio.create_task(axis.val.write(2.0))
            await asyncio.sleep(moment)
            await axis.val.write(-1.0)
            assert axis.dmov.value == 1
            await first
            return axis.val.value, axis.rbv.value

    assert run_virtual(main()) == (-1, -1)


async def moving_axis_in_a_pause(axis):
    move = asyncio.create_task(axis.val.write(2.0))
    await asyncio.sleep(0.3)
    await axis.spmg.write("Pause")
    await asyncio.sleep(5)
    return move


def test_a_paused_motor_stands_with_its_put_outstanding_and_goes_on_when_it_may():
    async def main():
        async with standing_axis() as axis:
            move = await moving_axis_in_a_pause(axis)
            assert not move.done()
            assert (axis.movn.value, axis.dmov.value) == (0, 0)
            assert 0 < axis.rbv.value < 1
            await axis.spmg.write("Go")
            await move
            return axis.rbv.value, axis.dmov.value

    assert run_virtual(main()) == (2, 1)


def test_stop_ends_a_pause_for_good_and_spmg_stop_refuses_until_go():
    async def main():
        async with standing_axis() as axis:
            move = await moving_axis_in_a_pause(axis)
            await axis.stop.write(1)
            await move
            assert axis.val.value == axis.rbv.value < 1
            await axis.spmg.write("Stop")
            with pytest.raises(RuntimeError, match="SPMG is Stop"):
                await axis.val.write(1.5)
            await axis.spmg.write("Move")
            await axis.val.write(1.5)
            return axis.rbv.value, axis.spmg.value

    assert run_virtual(main()) == (1.5, "Pause")


def test_without_limits_it_stops_at_the_end_of_its_travel_and_presses_the_switch():
    async def main():
        async with standing_axis() as axis:
            await axis.hlm.write(0.0)
            await axis.llm.write(0.0)
            await axis.val.write(100.0)
            there = axis.rbv.value, axis.val.value, axis.hls.value, axis.tdir.value
            await axis.val.write(-1.0)
            return there, axis.hls.value, axis.tdir.value

    assert run_virtual(main()) == ((12, 12, 1, 1), 0, 0)


def test_set_calls_the_same_place_by_another_position_and_moves_nothing():
    async def main():
        async with standing_axis() as axis:
            await axis.val.write(1.0)
            axis.seen.clear()
            await axis.set_mode.write("Set")
            await axis.val.write(5.0)
            await axis.set_mode.write("Use")
            shifted = [pv.value for pv in (axis.val, axis.rbv, axis.off, axis.hlm, axis.llm)]
            assert [position for _, position in axis.seen] == [5.0]
            assert axis.val.upper_ctrl_limit == 14
            await axis.homf.write(1)
            return shifted, axis.rbv.value

    assert run_virtual(main()) == ([5, 5, 4, 14, -6], 4)


def test_relative_moves_and_tweaks_start_from_the_target():
    async def main():
        async with standing_axis() as axis:
            seen = []
            for pv, value in ((axis.rlv, 0.5), (axis.twf, 1), (axis.twr, 1), (axis.rlv, -0.5)):
                await pv.write(value)
                seen.append((round(axis.rbv.value, 6), pv.value))
            return seen

    assert run_virtual(main()) == [(0.5, 0), (0.6, 0), (0.5, 0), (0.0, 0)]


def test_what_is_no_position_is_refused_by_all_that_positions_are_reckoned_from():
    """NaN as an offset or a limit stayed in every position until the IOC was started anew."""

    async def main():
        async with standing_axis() as axis:
            for pv in (axis.off, axis.hlm, axis.llm):
                for value in (math.nan, math.inf):
                    with pytest.raises(ValueError, match="finite position"):
                        await pv.write(value)
            await axis.val.write(1.0)
            return axis.rbv.value, axis.off.value, axis.hlm.value, axis.llm.value

    assert run_virtual(main()) == (1, 0, 10, -10)
