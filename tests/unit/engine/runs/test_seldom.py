"""What changes all the time is told once a second, and the last of it always."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.engine.runs.seldom import seldom
from tests.doubles import run_virtual


def told(*texts: tuple[float, str], end: float = 0.0) -> list[tuple[float, str]]:
    """When and what is told of texts that are said at these times."""
    lines: list[tuple[float, str]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def tell(text: str) -> None:
            lines.append((round(loop.time() - began, 3), text))

        with seldom(tell) as say:
            await _at(began, say)

    async def _at(began: float, say: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        for at, text in texts:
            await asyncio.sleep(began + at - loop.time())
            say(text)
        await asyncio.sleep(end)

    run_virtual(work())
    return lines


def test_what_is_rare_is_told_at_once() -> None:
    assert told((0, "a"), (1, "b"), (5, "c")) == [(0, "a"), (1, "b"), (5, "c")]


def test_of_what_comes_too_soon_the_newest_is_told_and_how_many_there_were() -> None:
    many = [(number / 10, f"state {number}") for number in range(25)]
    lines = told(*many, end=2)
    assert [at for at, _ in lines] == [0, 1, 2, 3]
    assert lines[1][1] in ("state 9 (8 more before it)", "state 10 (9 more before it)")
    assert lines[-1][1].startswith("state 24")


def test_the_last_one_is_told_at_the_end_and_nothing_after_it() -> None:
    assert told((0, "a"), (0.1, "b")) == [(0, "a"), (0.1, "b")]
    assert told((0, "a"), (0.1, "b"), end=9) == [(0, "a"), (1, "b")]
