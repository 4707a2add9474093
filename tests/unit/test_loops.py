"""Which event loop a process gets, and that uvloop's keeps time as asyncio's does."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import time

import pytest

from orchestrator import loops
from orchestrator.errors import InputError

INSTALLED = importlib.util.find_spec("uvloop") is not None
needs_uvloop = pytest.mark.skipif(not INSTALLED, reason="there is no uvloop here")


async def name() -> str:
    return loops.name_of_loop()


def test_the_variable_asks_for_pythons_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loops.LOOP_VARIABLE, "asyncio")
    assert loops.run(name()) == "asyncio"


@pytest.mark.parametrize("choice", ["", "auto"])
def test_uvloops_is_taken_where_it_is_installed(
    choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loops.LOOP_VARIABLE, choice)
    assert loops.run(name()) == ("uvloop" if INSTALLED else "asyncio")


def test_another_word_is_an_error_that_names_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loops.LOOP_VARIABLE, "libev")
    with pytest.raises(InputError, match="ORCHESTRATOR_LOOP=libev: expected auto, uvloop, asyncio"):
        loops.run(name())


def test_uvloop_asked_for_but_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(loops.LOOP_VARIABLE, "uvloop")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match="pip install uvloop"):
        loops.run(name())


@needs_uvloop
def test_uvloops_clock_is_exact_and_its_timers_are_never_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(loops.LOOP_VARIABLE, "uvloop")

    async def early() -> list[float]:
        loop = asyncio.get_running_loop()
        before, now, after = time.monotonic(), loop.time(), time.monotonic()
        assert before <= now <= after
        loop.call_later(math.inf, pytest.fail, "infinity has come").cancel()
        found = []
        for delay in (0.0001, 0.0004, 0.001, 0.0016, 0.0049):
            began = time.monotonic()
            await asyncio.sleep(delay)
            found.append(time.monotonic() - began - delay)
        return [left for left in found if left < 0]

    assert loops.run(early()) == []
