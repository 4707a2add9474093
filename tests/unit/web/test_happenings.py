"""What is kept for those who listen: none holds it up, none is told a thing twice."""

from __future__ import annotations

import asyncio
import json
from itertools import count

from orchestrator.web import happenings as module
from orchestrator.web.happenings import Happenings, HappeningText
from tests.doubles import run_virtual


def begun() -> Happenings:
    kept = Happenings()
    kept.begin(
        {"n": 0, "fields": {"BUSY": 0, "STATUS": "Failed"}, "alarms": {"STATUS": ["MAJOR", 7]}}
    )
    return kept


async def some(kept: Happenings, number: int, last_id: str = "") -> list[HappeningText]:
    """So many messages of a listener that begins now."""
    listening = kept.follow(last_id)
    told = [await anext(listening) for _ in range(number)]
    await listening.aclose()
    return told


def test_who_begins_is_told_all_as_it_is_and_then_what_changes() -> None:
    async def listen() -> list[HappeningText]:
        kept = begun()
        listening = kept.follow()
        first = await anext(listening)
        kept.add({"n": 1, "fields": {"BUSY": 1}})
        told = [first, await anext(listening)]
        await listening.aclose()
        return told

    first, second = run_virtual(listen())
    assert first.kind == "snapshot"
    assert json.loads(first.text)["fields"] == {"BUSY": 0, "STATUS": "Failed"}
    assert (second.kind, json.loads(second.text)) == ("change", {"fields": {"BUSY": 1}})


def test_an_alarm_is_over_when_its_field_changes_without_one() -> None:
    kept = begun()
    assert kept.alarms == {"STATUS": ["MAJOR", 7]}
    kept.add({"n": 1, "fields": {"STATUS": "Success"}})
    assert kept.alarms == {}
    assert json.loads(kept.snapshot())["fields"]["STATUS"] == "Success"


def test_who_comes_back_is_told_what_it_has_missed_and_no_more() -> None:
    async def listen() -> list[HappeningText]:
        kept = begun()
        (first,) = await some(kept, 1)
        for number in range(5):
            kept.add({"fields": {"STEP": number}})
        two = await some(kept, 2, first.id)
        return [*two, *await some(kept, 3, two[-1].id)]

    told = run_virtual(listen())
    assert [json.loads(each.text)["fields"]["STEP"] for each in told] == [0, 1, 2, 3, 4]


def test_who_comes_back_too_late_or_from_elsewhere_is_told_all_anew() -> None:
    async def listen() -> list[str]:
        kept = begun()
        (first,) = await some(kept, 1)
        size = module._MOST_KEPT // 10
        for _ in range(20):
            kept.add({"events": ["x" * size]})
        epoch = first.id.partition("-")[0]
        ids = [first.id, "0000-3", "", "x", f"{epoch}-99", f"{epoch}-", f"{epoch}-٣"]
        return [(await some(kept, 1, each))[0].kind for each in ids]

    assert set(run_virtual(listen())) == {"snapshot"}


def test_a_listener_that_is_too_slow_goes_on_with_all_as_it_is() -> None:
    async def listen() -> list[HappeningText]:
        kept = begun()
        listening = kept.follow()
        told = [await anext(listening)]
        size = module._MOST_KEPT // 10
        for number in range(20):
            kept.add({"fields": {"STEP": number}, "events": ["x" * size]})
        told.append(await anext(listening))
        kept.add({"fields": {"STEP": 99}})
        told.append(await anext(listening))
        await listening.aclose()
        return told

    _, second, third = run_virtual(listen())
    assert second.kind == "snapshot"
    assert json.loads(second.text)["fields"]["STEP"] == 19
    assert json.loads(third.text)["fields"]["STEP"] == 99


def test_what_is_kept_is_bounded() -> None:
    kept = begun()
    for _ in range(200):
        kept.add({"events": ["x" * (module._MOST_KEPT // 20)]})
    assert sum(map(len, kept._kept)) <= module._MOST_KEPT


def test_a_quiet_time_is_told_and_the_end_ends_it() -> None:
    async def listen() -> list[str]:
        kept = begun()
        kinds: list[str] = []
        async with asyncio.timeout(100):
            async for told in kept.follow():
                kinds.append(told.kind)
                if len(kinds) == 3:
                    kept.close()
        return kinds

    assert run_virtual(listen()) == ["snapshot", "", ""]


def test_a_message_that_comes_while_a_listener_is_told_another_is_not_missed() -> None:
    async def listen() -> list[int]:
        kept, numbers, seen = begun(), count(), []
        async for told in kept.follow():
            if told.kind == "change":
                seen.append(json.loads(told.text)["fields"]["STEP"])
            if len(seen) == 50:
                return seen
            for _ in range(2):
                kept.add({"fields": {"STEP": next(numbers)}})
        return seen

    assert run_virtual(listen()) == list(range(50))
