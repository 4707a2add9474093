"""How long libca's reports may keep the loop: a turn is bounded by count and by time."""

from __future__ import annotations

import asyncio
import itertools

from orchestrator.client.libca.arrivals import Arrivals
from tests.doubles import run_virtual


def turns_of(reports: int, seconds_each: float) -> list[int]:
    """Reports taken in each turn of the loop; a task counts the turns beside them."""
    steps = itertools.count()
    taken: list[object] = []

    async def flooded() -> list[int]:
        # Read once when a turn begins and once behind each report.
        arrivals = Arrivals(clock=lambda: next(steps) * seconds_each)
        for number in range(reports):
            arrivals.report(taken.append, number)
        counts = [0]
        while len(taken) < reports:
            await asyncio.sleep(0)
            counts.append(len(taken))
        return [after - before for before, after in itertools.pairwise(counts) if after > before]

    found = run_virtual(flooded())
    assert taken == list(range(reports)), "in order, and none is lost"
    return found


def test_a_turn_takes_some_hundred_quick_reports():
    assert turns_of(1200, 0.0) == [500, 500, 200]


def test_a_turn_ends_early_when_its_reports_take_long():
    assert turns_of(7, 0.0015) == [2, 2, 2, 1]


def test_a_report_that_takes_longer_than_a_turn_has_a_turn_of_its_own():
    assert turns_of(3, 1.0) == [1, 1, 1]


def test_a_report_that_fails_is_told_and_keeps_none_behind_it_waiting():
    """Without another report, nothing would wake the loop for what had come with it."""
    failed: list[dict[str, object]] = []
    taken: list[object] = []

    async def reported() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        arrivals = Arrivals()
        for call, value in ((taken.append, 1), ([].index, 2), (taken.append, 3)):
            arrivals.report(call, value)
        await asyncio.sleep(1)

    run_virtual(reported())
    assert taken == [1, 3]
    assert [type(each["exception"]) for each in failed] == [ValueError]
