"""Turns, paces, room for puts, and one line for many complaints; no sockets."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from orchestrator.ioc.serving.admission import SIGN_OF_LIFE_S, PutRoom
from orchestrator.ioc.serving.complaints import Complaints
from orchestrator.ioc.serving.turns import A_TURN_S, Budget, Pace, Turns
from orchestrator.types import ClientLimits
from tests.doubles import run_virtual

HERE = ("10.0.0.1", 1)


async def nothing() -> None:
    """No sign of life."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_turn_is_given_in_a_pass_of_the_loop_however_many_ask() -> None:
    async def main() -> None:
        turns, passes = Turns(), 0
        had: list[int] = []

        async def ask() -> None:
            await turns.next()
            had.append(passes)

        tasks = [asyncio.create_task(ask()) for _ in range(5)]
        while len(had) < 5:
            await asyncio.sleep(0)
            passes += 1
        await asyncio.gather(*tasks)
        assert len(set(had)) == 5
        assert had == sorted(had)

    run_virtual(main())


def test_a_turn_that_nobody_waits_for_any_more_is_given_to_the_next() -> None:
    async def main() -> None:
        turns = Turns()
        gone, stays = (asyncio.create_task(turns.next()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        with pytest.raises(asyncio.CancelledError):
            await gone
        await turns.next()

    run_virtual(main())


def test_a_budget_suspends_only_when_it_is_spent() -> None:
    async def main() -> None:
        clock, others = Clock(), 0
        budget = Budget(Turns(clock))

        async def other() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await budget.turn()
        assert others == 0
        budget.charge(A_TURN_S)
        await budget.turn()
        assert others > 0
        assert not budget.is_spent
        task.cancel()

    run_virtual(main())


def test_who_asks_for_little_is_served_at_once_until_many_have_been_in_one_pass() -> None:
    async def main() -> None:
        clock = Clock()
        turns = Turns(clock)
        assert turns.at_once() > 0
        clock.now += 0.0005
        assert turns.at_once() > 0
        clock.now += 0.0006
        assert turns.at_once() == 0
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert turns.at_once() > 0

    run_virtual(main())


def test_a_pace_is_kept_by_waiting_for_the_rest_of_its_period() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    assert sum(pace.count() for _ in range(9)) == 0
    assert pace.count() == pytest.approx(0.1)  # ten at once: a tenth of a second's
    clock.now = 10.0
    assert sum(pace.count() for _ in range(10)) == 0  # in ten seconds: no haste


def test_puts_wait_for_one_of_their_own_client_to_end() -> None:
    async def main() -> None:
        room = PutRoom(ClientLimits(puts=2))
        await room.enter("a", nothing)
        await room.enter("a", nothing)
        await room.enter("b", nothing)
        assert room.full("a") == "puts = 2"
        third = asyncio.create_task(room.enter("a", nothing))
        room.leave("b")
        await asyncio.sleep(0)
        assert not third.done()
        room.leave("a")
        await third
        assert room.unanswered("a") == 2

    run_virtual(main())


def test_where_all_have_too_many_unanswered_each_may_still_have_a_few() -> None:
    async def main() -> None:
        room = PutRoom(ClientLimits(puts=100, all_puts=20))
        for _ in range(20):
            await room.enter("many", nothing)
        assert room.full("many") == "all_puts = 20"
        for _ in range(10):
            await room.enter("few", nothing)
        assert room.full("few") == "all_puts = 20"
        assert room.full("another") == ""

    run_virtual(main())


def test_a_client_that_waits_for_room_is_given_signs_of_life_until_there_is() -> None:
    async def main() -> None:
        room = PutRoom(ClientLimits(puts=1))
        signs: list[float] = []
        now = asyncio.get_running_loop().time

        async def sign() -> None:
            signs.append(now())

        begun = now()
        await room.enter("a", sign)
        waiting = asyncio.create_task(room.enter("a", sign))
        await asyncio.sleep(3.5 * SIGN_OF_LIFE_S)
        room.leave("a")
        await waiting
        assert [at - begun for at in signs] == pytest.approx(
            [n * SIGN_OF_LIFE_S for n in (1, 2, 3)]
        )
        assert room.unanswered("a") == 1
        gone = asyncio.create_task(room.enter("a", sign))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait({gone})
        room.leave("a")
        assert room.full("a") == "", "who waits no more takes no room"

    run_virtual(main())


def test_the_same_of_the_same_host_is_one_line_and_a_number() -> None:
    clock = Clock()
    complaints = Complaints(clock)
    with capture_logs() as lines:
        for port in range(1000):
            complaints.tell("too large", ("10.0.0.1", port), bytes=port)
        complaints.tell("too large", ("10.0.0.2", 7), bytes=1)
        complaints.tell("another kind", HERE)
        complaints.tick()
        clock.now = 61.0
        complaints.tick()
    assert [(line["event"], line["client"]) for line in lines[:3]] == [
        ("too large", "10.0.0.1:0"),
        ("too large", "10.0.0.2:7"),
        ("another kind", "10.0.0.1:1"),
    ]
    assert [(line["event"], line["client"], line["more"]) for line in lines[3:]] == [
        ("too large", "10.0.0.1", 999)
    ]


def test_complaints_of_any_number_of_hosts_are_a_bounded_number_of_lines() -> None:
    complaints = Complaints(Clock())
    with capture_logs() as lines:
        for number in range(5000):
            complaints.tell("too large", (f"10.0.{number // 250}.{number % 250}", 1))
    assert len(lines) <= 201
