"""The accounting of puts: whose turn it is, what is owed, and what is left behind."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from orchestrator.client.channels.put_lane import PutLane
from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.errors import NotConnectedError, PutError, StepTimeoutError
from orchestrator.task_context import enter_run, run_here
from orchestrator.types import NativeType
from tests.doubles import run_virtual
from tests.unit.client.fake_libca import FakeCa, FakeChannel, settle

_PUT_FAILED = 160  # ECA_PUTFAIL of caerr.h


def doubles(channel: FakeChannel) -> list[float]:
    return [struct.unpack("=d", data)[0] for _, _, data, _ in channel.puts]


@pytest.fixture
def lane(ca: FakeCa):
    """Play a scenario with a lane and its channel, which is connected."""

    def play(scenario):
        async def main():
            channel = ca.channel("A:X")
            channel.connect()
            lane = PutLane("A:X", Arrivals())
            result = await scenario(lane, channel)
            assert not lane._waiting, "a waiter was left behind"
            return result

        return run_virtual(main())

    return play


def put(lane: PutLane, value: object, *, completion: bool = True, timeout: float = 10, **more):
    work = lane.put("a.x (A:X)", value, completion=completion, timeout=timeout, **more)
    return asyncio.create_task(work, name=f"put {value}")


def test_a_put_callback_is_outstanding_until_it_ends_and_no_longer(lane) -> None:
    async def scenario(lane, channel):
        task = put(lane, 1.5)
        await asyncio.sleep(3)
        owed = lane.age
        channel.complete()
        await task
        return owed, lane.age, doubles(channel), channel.puts[0][3]

    assert lane(scenario) == (3.0, None, [1.5], True)


def test_a_plain_put_owes_nothing(lane) -> None:
    async def scenario(lane, channel):
        await put(lane, 2.0, completion=False)
        return lane.age, doubles(channel), channel.puts[0][3], channel.owed

    assert lane(scenario) == (None, [2.0], False, [])


@pytest.mark.parametrize(
    ("native", "value", "layout", "count"),
    [
        (NativeType.LONG, -7, "=i", 1),
        (NativeType.ENUM, 2, "=H", 1),
        (NativeType.DOUBLE, 2.5, "=d", 1),
        (NativeType.DOUBLE, np.array([1.0, 2.0]), "=2d", 2),
        (NativeType.STRING, "hello", "=40s", 1),
    ],
)
def test_every_kind_of_value_leaves_in_its_own_layout(lane, native, value, layout, count) -> None:
    async def scenario(lane, channel):
        channel.native, channel.count = native, count
        await put(lane, value, completion=False)
        [(kind, own, data, _)] = channel.puts
        return kind, own, struct.unpack(layout, data)

    kind, own, sent = lane(scenario)
    assert (kind, own) == (native, count)
    if isinstance(value, str):
        assert sent[0].rstrip(b"\0") == value.encode()
    else:
        assert list(sent) == (value.tolist() if count > 1 else [value])


def test_puts_with_callback_go_one_after_the_other_in_the_order_asked(lane) -> None:
    async def scenario(lane, channel):
        tasks = [put(lane, float(n)) for n in range(4)]
        seen = []
        for task in tasks:
            await settle()
            seen.append(doubles(channel))
            channel.complete()
            await task
        return seen

    assert lane(scenario) == [[0.0], [0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0]]


def test_a_put_without_callback_waits_for_the_callers_of_others_but_for_no_orphan(lane) -> None:
    async def scenario(lane, channel):
        first = put(lane, 1.0, timeout=5)
        await settle()
        plain = put(lane, 2.0, completion=False, timeout=100)
        await asyncio.sleep(4)
        before = doubles(channel)
        with pytest.raises(StepTimeoutError, match="did not complete within 5 s"):
            await first
        await plain
        behind = doubles(channel)
        channel.complete()
        await settle()
        return before, behind, lane.age

    assert lane(scenario) == ([1.0], [1.0, 2.0], None)


def test_an_orphan_holds_back_the_next_put_with_callback_and_counts_its_age(lane) -> None:
    async def scenario(lane, channel):
        with pytest.raises(StepTimeoutError, match=r"a\.x \(A:X\): the put of 1\.0 did not"):
            await put(lane, 1.0, timeout=2)
        following = put(lane, 2.0, timeout=20)
        await asyncio.sleep(3)
        age, sent = lane.age, doubles(channel)
        channel.complete()
        await settle()
        sent_then = doubles(channel)
        channel.complete()
        await following
        return age, sent, sent_then, lane.age

    assert lane(scenario) == (5.0, [1.0], [1.0, 2.0], None)


def test_one_that_can_not_begin_in_time_says_behind_what(lane) -> None:
    async def scenario(lane, channel):
        first = put(lane, 1.0, timeout=100)
        await settle()
        with pytest.raises(StepTimeoutError) as late:
            await put(lane, 2.0, timeout=3)
        assert len(lane._waiting) == 0
        channel.complete()
        await first
        return str(late.value), doubles(channel)

    text, sent = lane(scenario)
    assert text == (
        "a.x (A:X): 2.0 was not put within 3 s: the put of 1.0 before it, 3.0 s ago, is still "
        "outstanding"
    )
    assert sent == [1.0]


def test_the_time_that_a_put_waits_is_part_of_its_timeout(lane) -> None:
    async def scenario(lane, channel):
        loop = asyncio.get_running_loop()
        first = put(lane, 1.0, timeout=100)
        await settle()
        began = loop.time()
        second = put(lane, 2.0, timeout=10)
        await asyncio.sleep(4)
        channel.complete()
        await first
        with pytest.raises(StepTimeoutError, match="did not complete within 10 s"):
            await second
        return loop.time() - began

    assert lane(scenario) == pytest.approx(10)


def test_a_caller_that_is_cancelled_leaves_an_orphan_behind_and_no_waiter(lane) -> None:
    async def scenario(lane, channel):
        first, waits = put(lane, 1.0), put(lane, 2.0)
        await settle()
        waiting = len(lane._waiting)
        for task in (waits, first):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        left = len(lane._waiting), lane.age is not None, doubles(channel)
        channel.complete()
        await settle()
        return waiting, left, lane.age

    assert lane(scenario) == (1, (0, True, [1.0]), None)


def test_what_is_not_connected_is_not_put(lane) -> None:
    async def scenario(lane, channel):
        channel.state, channel.told = 1, False
        for completion in (True, False):
            with pytest.raises(NotConnectedError, match=r"a\.x \(A:X\) is not connected"):
                await put(lane, 1.0, completion=completion)
        return channel.puts, lane.age

    assert lane(scenario) == ([], None)


def test_one_that_libca_knows_to_be_lost_is_not_connected_either(lane) -> None:
    async def scenario(lane, channel):
        channel.state = 1  # aioca has not heard of it yet
        with pytest.raises(NotConnectedError):
            await put(lane, 1.0)
        return channel.puts, channel.owed, lane.age

    assert lane(scenario) == ([], [], None)


@pytest.mark.parametrize("completion", [True, False])
def test_what_libca_refuses_is_an_error_and_owes_nothing(lane, ca: FakeCa, completion) -> None:
    async def scenario(lane, channel):
        ca.refuses = 376
        with pytest.raises(PutError, match=r"no write access, 1\.0 was to be written"):
            await put(lane, 1.0, completion=completion)
        ca.refuses = None
        following = put(lane, 2.0)
        await settle()
        channel.complete()
        await following
        return doubles(channel)

    assert lane(scenario) == [2.0]


def test_a_failed_callback_is_its_callers_error_and_the_next_goes_on(lane) -> None:
    async def scenario(lane, channel):
        first, second = put(lane, 1.0), put(lane, 2.0)
        await settle()
        channel.complete(_PUT_FAILED)
        with pytest.raises(PutError, match=r"the put of 1\.0 failed"):
            await first
        await settle()
        channel.complete()
        await second
        return doubles(channel)

    assert lane(scenario) == [1.0, 2.0]


def test_a_loss_ends_what_is_outstanding_at_once(lane) -> None:
    async def scenario(lane, channel):
        task = put(lane, 1.0, timeout=1000)
        await settle()
        channel.lose()
        with pytest.raises(NotConnectedError, match=r"before the put of 1\.0 completed"):
            await task
        return lane.age, asyncio.get_running_loop().time()

    assert lane(scenario) == (None, pytest.approx(1000.0, abs=0.1))


def test_who_waits_comes_before_who_puts_again_at_once(lane) -> None:
    async def scenario(lane, channel):
        first, waits = put(lane, 1.0), put(lane, 2.0)
        await settle()
        channel.complete()
        await first
        again = put(lane, 3.0)
        for task in (waits, again):
            await settle()
            channel.complete()
            await task
        return doubles(channel)

    assert lane(scenario) == [1.0, 2.0, 3.0]


def test_the_permit_is_asked_when_the_put_leaves_and_not_before(lane) -> None:
    """What was forbidden while it waited must not leave."""

    async def scenario(lane, channel):
        forbidden = False

        def permit() -> None:
            if forbidden:
                raise PutError("no more")

        first = put(lane, 1.0)
        await settle()
        late = [put(lane, 2.0, permit=permit), put(lane, 3.0, permit=permit, completion=False)]
        await settle()
        forbidden = True
        channel.complete()
        await first
        for task in late:
            with pytest.raises(PutError, match="no more"):
                await task
        return doubles(channel), lane.age

    assert lane(scenario) == ([1.0], None)


def test_closing_ends_what_is_outstanding_with_the_reason_and_a_late_end_does_nothing(lane) -> None:
    async def scenario(lane, channel):
        task = put(lane, 1.0)
        await settle()
        lane.close(NotConnectedError("closed"))
        with pytest.raises(NotConnectedError, match="closed"):
            await task
        channel.complete()
        await settle()
        return lane.age

    assert lane(scenario) is None


def test_a_completion_that_comes_with_the_timeout_is_told_once(lane) -> None:
    async def scenario(lane, channel):
        loop = asyncio.get_running_loop()
        task = put(lane, 1.0, timeout=5)
        await settle()
        loop.call_later(5, channel.complete)
        with suppress(StepTimeoutError):
            await task
        await settle()
        return lane.age, channel.owed

    assert lane(scenario) == (None, [])


def test_the_late_end_of_a_put_is_logged_for_the_run_that_has_put(lane) -> None:
    """libca tells of it when that run is long over, in a task of nobody."""
    named: list[str] = []

    async def scenario(lane, channel):
        enter_run("the run")
        with suppress(StepTimeoutError):
            await put(lane, 1.0, timeout=1)
        enter_run("")
        with capture_logs() as lines:
            structlog.get_config()["processors"].insert(0, lambda *line: noted(*line))
            channel.complete()
            await settle()
        return [line["event"] for line in lines]

    def noted(_logger, _method, event):
        named.append(run_here())
        return event

    assert lane(scenario) == ["A late put ended"]
    assert named == ["the run"]
