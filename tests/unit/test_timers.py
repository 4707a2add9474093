"""One timer for many deadlines."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.timers import DeadlineTimer, spelt
from tests.doubles import DeadlockError, run_virtual


class Rung:
    """When it rang, and the deadlines that it still knows."""

    def __init__(self, *deadlines: float) -> None:
        self.start = asyncio.get_running_loop().time()
        self.deadlines = [self.start + deadline for deadline in deadlines]
        self.times: list[float] = []

    def __call__(self, now: float) -> float | None:
        self.times.append(now - self.start)
        self.deadlines = [deadline for deadline in self.deadlines if deadline > now]
        return min(self.deadlines, default=None)


async def _told(rung: Rung) -> list[float]:
    timer = DeadlineTimer(rung)
    for deadline in rung.deadlines:
        timer.ring_by(deadline)
    await asyncio.sleep(100)
    return rung.times


@pytest.mark.parametrize(
    ("deadlines", "times"),
    [((5.0,), [5.0]), ((5.0, 8.0), [5.0, 8.0]), ((8.0, 5.0), [5.0, 8.0]), ((3.0, 3.0), [3.0])],
)
def test_it_rings_at_each_deadline_in_whatever_order_they_were_told(
    deadlines: tuple[float, ...], times: list[float]
) -> None:
    async def main() -> list[float]:
        return await _told(Rung(*deadlines))

    assert run_virtual(main()) == pytest.approx(times, abs=1e-6)


def test_a_deadline_that_was_called_off_rings_once_in_vain_and_no_more() -> None:
    async def main() -> list[float]:
        rung = Rung()
        timer = DeadlineTimer(rung)
        for _ in range(1000):
            timer.ring_by(rung.start + 5)
        await asyncio.sleep(100)
        return rung.times

    assert run_virtual(main()) == pytest.approx([5.0], abs=1e-6)


def test_closed_it_leaves_no_timer_behind() -> None:
    async def main() -> None:
        timer = DeadlineTimer(Rung())
        timer.ring_by(asyncio.get_running_loop().time() + 5)
        timer.close()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        run_virtual(main())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.99998, "5"),
        (0.0499999, "0.05"),
        (12.5, "12.5"),
        (3599.99, "3600"),
        (0.2, "0.2"),
        (0, "0"),
    ],
)
def test_what_is_left_of_a_time_is_spelt_as_people_do(seconds: float, text: str) -> None:
    assert spelt(seconds) == text
