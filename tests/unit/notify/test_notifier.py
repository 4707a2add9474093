"""Who does not look is told what he asked for: once, together, and not at night."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.api import Api
from orchestrator.config import NotifyConfig
from orchestrator.config.notify_form import notify_rule
from orchestrator.notify import Notifier, Sent
from orchestrator.notify.notifier import MOST
from orchestrator.queues import request_queue
from orchestrator.types import (
    Asked,
    PushItem,
    RunEnded,
    RunInterrupted,
    RunStarted,
    RunState,
    RunStatus,
    StateChanged,
    Update,
    fields,
)
from tests.doubles import run_virtual

NIGHT = datetime(2026, 5, 4, 23, 0, tzinfo=UTC)
STARTED = RunStarted("R1", "scan", "me@here", 1, 0)


@dataclass
class People:
    """What a service offers, and what they are told of it."""

    api: Api = field(default_factory=lambda: Api(request_queue()))
    told: list[tuple[float, str, str]] = field(default_factory=list)
    """When, title, text."""
    trouble: list[str] = field(default_factory=list)
    error: str = ""
    """Why nobody can be told."""

    async def send(self, title: str, body: str) -> Sequence[Sent]:
        await asyncio.sleep(0.5)
        if not self.error:
            self.told.append((asyncio.get_running_loop().time(), title, body))
        return [Sent("json://desk", self.error)]

    def happens(self, *items: PushItem) -> None:
        for item in items:
            self.api.offer(item)

    @property
    def lines(self) -> list[str]:
        return [line for _, _, text in self.told for line in text.splitlines()]


def told(scenario: Callable[[People], Coroutine[Any, Any, None]], *on: str, **more: Any) -> People:
    """Have something happen before a notifier with these rules, and see what was told of it."""

    async def main() -> People:
        people, clock = People(), asyncio.get_running_loop().time
        began = clock()
        config = NotifyConfig(("json://desk",), tuple(map(notify_rule, on)), **more)
        notifier = Notifier(
            config,
            "ORCH:",
            people.api,
            people.trouble.append,
            wall=lambda: NIGHT + timedelta(seconds=clock() - began),
            sending=people.send,
        )
        async with notifier.running():
            await scenario(people)
        return people

    return run_virtual(main())


def ends(status: RunStatus, message: str = "") -> list[PushItem]:
    return [STARTED, RunEnded("R1", status, message, 1)]


@pytest.mark.parametrize(
    ("status", "on", "lines"),
    [
        (RunStatus.FAILED, "failed", ["scan R1 ended: Failed: no beam"]),
        (RunStatus.TIMEOUT, "failed", ["scan R1 ended: Timeout: no beam"]),
        (RunStatus.SUCCESS, "failed", []),
        (RunStatus.ABORTED, "failed", []),
        (RunStatus.ABORTED, "ended", ["scan R1 ended: Aborted: no beam"]),
        (RunStatus.FAILED, "ask", []),
    ],
)
def test_an_end_is_told_where_it_was_asked_for(
    status: RunStatus, on: str, lines: list[str]
) -> None:
    async def scenario(people: People) -> None:
        people.happens(*ends(status, "no beam"))
        await asyncio.sleep(10)

    assert told(scenario, on).lines == lines


def test_what_asks_and_what_was_interrupted_is_told_at_once() -> None:
    async def scenario(people: People) -> None:
        people.happens(RunInterrupted("R0", "night", "me", "killed in steps[3]"))
        people.happens(STARTED, Asked("Is the sample in?", run_id="R1"))
        await asyncio.sleep(5)
        assert people.lines == ["night R0: killed in steps[3]", "scan R1 asks: Is the sample in?"]

    (message,) = told(scenario, "interrupted", "ask").told
    assert message[1] == "ORCH: interrupted, ask"


STANDING = {
    "suspended": (
        StateChanged(RunState.SUSPENDED, run_id="R1"),
        StateChanged(RunState.RUNNING, run_id="R1"),
    ),
    "disconnected": (
        Update(fields.CHAIN_DISCONNECTED, "stage.x, stage.y"),
        Update(fields.CHAIN_DISCONNECTED, ""),
    ),
}


@pytest.mark.parametrize("kind", STANDING)
@pytest.mark.parametrize("lasts", [299, 310])
def test_what_lasts_is_told_once_it_has_lasted_and_when_it_is_over(kind: str, lasts: int) -> None:
    begins, ends = STANDING[kind]

    async def scenario(people: People) -> None:
        people.happens(STARTED, begins)
        await asyncio.sleep(lasts / 2)
        people.happens(begins)  # told again, it is the same one
        await asyncio.sleep(lasts / 2)
        people.happens(ends)
        await asyncio.sleep(1000)

    lines = told(scenario, f"{kind} > 300").lines
    assert len(lines) == (2 if lasts > 300 else 0)
    if lines:
        assert lines[0].endswith(" for 300 s")
        assert lines[1].startswith("no longer: ")


def test_an_ioc_that_is_lost_later_is_told_beside_one_that_is_missing_for_long() -> None:
    async def scenario(people: People) -> None:
        people.happens(Update(fields.CHAIN_DISCONNECTED, "det.counts"))
        await asyncio.sleep(200)
        people.happens(Update(fields.CHAIN_DISCONNECTED, "det.counts, stage.x"))
        await asyncio.sleep(200)

    lines = told(scenario, "disconnected > 60").lines
    assert lines == ["det.counts disconnected for 60 s", "stage.x disconnected for 60 s"]


def test_an_ioc_whose_name_has_no_room_among_many_is_not_told_to_be_back() -> None:
    async def scenario(people: People) -> None:
        people.happens(Update(fields.CHAIN_DISCONNECTED, "a.x, b.x"))
        await asyncio.sleep(100)
        people.happens(Update(fields.CHAIN_DISCONNECTED, "a.x and 3000 more"))
        await asyncio.sleep(100)
        people.happens(Update(fields.CHAIN_DISCONNECTED, "a.x"))
        await asyncio.sleep(100)

    lines = told(scenario, "disconnected > 60").lines
    assert [line for line in lines if "no longer" in line] == ["no longer: b.x disconnected"]
    assert lines.index("no longer: b.x disconnected") == len(lines) - 1


def test_a_run_in_which_nothing_moves_is_told_once_and_again_after_it_moved() -> None:
    async def scenario(people: People) -> None:
        people.happens(STARTED)
        for _ in range(2):
            for seconds in range(0, 400, 10):
                people.happens(Update(fields.HUNG_SEC, float(seconds)))
                await asyncio.sleep(10)

    lines = told(scenario, "hung > 300").lines
    assert lines == [
        "nothing has moved in scan R1 for 300 s",
        "no longer: nothing has moved in scan R1",
        "nothing has moved in scan R1 for 300 s",
    ]


def test_a_storm_is_one_message_a_minute_and_what_it_leaves_out_is_counted() -> None:
    async def scenario(people: People) -> None:
        for _ in range(3 * MOST):
            people.happens(*ends(RunStatus.FAILED))
            await asyncio.sleep(0.1)
        await asyncio.sleep(200)

    people = told(scenario, "failed")
    times = [when for when, _, _ in people.told]
    assert len(times) <= 1 + 60 / 60 + 2
    assert all(later - earlier >= 60 for earlier, later in pairwise(times))
    counted = sum(int(text.split()[0][1:]) for text in people.lines if text.startswith("("))
    shown = sum(not text.startswith("(") for text in people.lines)
    assert counted + shown == 3 * MOST


def test_at_night_nobody_is_told_and_in_the_morning_of_all() -> None:
    async def scenario(people: People) -> None:
        people.happens(*ends(RunStatus.FAILED))
        await asyncio.sleep(6.9 * 3600)
        assert not people.told
        await asyncio.sleep(900)
        assert len(people.told) == 1

    people = told(scenario, "failed", quiet=(22 * 60, 6 * 60))
    assert people.lines == ["scan R1 ended: Failed"]


def test_who_can_not_be_told_is_tried_again_and_the_operator_is_told_once() -> None:
    async def scenario(people: People) -> None:
        people.error = "no route"
        people.happens(*ends(RunStatus.FAILED))
        await asyncio.sleep(600)
        assert people.trouble == ["people can't be told: json://desk: no route"]
        people.error = ""
        await asyncio.sleep(100)
        assert people.lines == ["scan R1 ended: Failed"]

    told(scenario, "failed")


def test_what_happens_as_the_service_ends_is_told() -> None:
    async def scenario(people: People) -> None:
        people.happens(*ends(RunStatus.FAILED))

    assert told(scenario, "failed").lines == ["scan R1 ended: Failed"]
