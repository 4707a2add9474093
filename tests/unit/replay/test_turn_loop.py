"""The loop that runs when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.replay.turn_loop import ROUNDS, TurnLoop, make_turn_loop


def a_loop() -> TurnLoop:
    def no_jobs(_job: Any) -> asyncio.Future[Any]:
        raise AssertionError("no job is expected")

    def complain(context: dict[str, Any]) -> None:
        raise AssertionError(context)

    return make_turn_loop(no_jobs, complain)


def test_time_stands_still_in_a_turn_and_timers_fire_at_the_first_turn_after_them() -> None:
    loop, seen = a_loop(), []

    async def work() -> None:
        for _ in range(2):
            seen.append(loop.time())
            await asyncio.sleep(1.5)
        seen.append(loop.time())

    loop.create_task(work())
    for now in (10.0, 11.4, 11.7, 13.1, 20.0):
        loop.turn(now)

    assert seen == [10.0, 11.7, 20.0]


def test_a_turn_ends_though_a_task_never_waits() -> None:
    loop, rounds = a_loop(), []

    async def work() -> None:
        while len(rounds) < 3 * ROUNDS:
            rounds.append(loop.time())
            await asyncio.sleep(0)

    loop.create_task(work())
    assert loop.turn(1.0) == ROUNDS
    assert loop.is_ready
    assert len(rounds) == ROUNDS
    while loop.is_ready:
        loop.turn(2.0)
    assert len(rounds) == 3 * ROUNDS


def test_it_leaves_the_host_s_loop_as_it_was() -> None:
    async def main() -> None:
        host, inner = asyncio.get_running_loop(), a_loop()

        async def work() -> None:
            assert asyncio.get_running_loop() is inner
            assert asyncio.current_task() is not None

        task = inner.create_task(work())
        current = asyncio.current_task()
        inner.turn(0.0)
        task.result()
        assert asyncio.get_running_loop() is host
        assert asyncio.current_task() is current

    asyncio.run(main())


def test_timers_that_were_cancelled_do_not_pile_up() -> None:
    loop = a_loop()
    kept = loop.call_at(5e5, lambda: None)
    for number in range(10_000):
        loop.call_at(1e6 + number, lambda: None).cancel()
        assert loop.deadline == kept.when()
    assert len(loop._timers) < 1000
