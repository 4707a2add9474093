from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orchestrator.types import RunEnded
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench

Scenario = Callable[[Bench], Awaitable[Any]]


@pytest.fixture
def play() -> Callable[..., Any]:
    """Play a scenario on a bench, on virtual time; gives what it returns."""

    def play_it(scenario: Scenario, **options: Any) -> Any:
        async def main() -> Any:
            async with bench(**options) as it:
                return await scenario(it)

        return run_virtual(main())

    return play_it


@pytest.fixture
def run(play: Callable[..., Any]) -> Callable[..., RunEnded]:
    """Run a document on a bench, perhaps prepared by `before`; gives its last event."""

    def run_it(text: str, before: Callable[[Bench], None] | None = None, **args: Any) -> Any:
        async def scenario(it: Bench) -> Any:
            if before is not None:
                before(it)
                await it.pull.idle()
            return await it.run(text, **args), it

        return play(scenario)

    return run_it
