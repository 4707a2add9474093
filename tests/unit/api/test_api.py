"""The door: an answer comes behind all that must be seen first; who stands still costs itself."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from orchestrator.api import EVENTS, Api, Caller, Filter, Item
from orchestrator.types import (
    Accepted,
    Command,
    Metadata,
    MirrorOpened,
    NativeType,
    Reply,
    RowTaken,
    RunEnded,
    RunStarted,
    RunStatus,
    StepStarted,
    Told,
    Update,
    Verb,
)
from tests.doubles import run_virtual

ALL = Filter(channels=True)


class Pull(list[Command]):
    """Keeps what is offered."""

    offer = list.append


def test_each_question_has_a_number_of_its_own_and_its_callers_name() -> None:
    async def ask() -> list[Command]:
        pull = Pull()
        api = Api(pull)
        api.ask(Command(Verb.STOP), Caller("me@here"))
        api.ask(Command(Verb.ABORT, owner="somebody@else"), Caller("me@here"))
        api.tell(Command(Verb.SELECT, text="scan"), Caller("me@here"))
        return pull

    stop, abort, select = run_virtual(ask())
    assert stop.request != abort.request
    assert stop.request
    assert abort.request
    assert not select.request, "nobody waits for it"
    assert [c.owner for c in (stop, abort, select)] == ["me@here", "somebody@else", "me@here"]


def test_who_listens_is_answered_behind_what_was_published_before() -> None:
    async def ask() -> list[object]:
        pull = Pull()
        api = Api(pull)
        listens = api.subscribe(ALL)
        answer = api.ask(Command(Verb.START), Caller("me@here", listens))
        api.offer(Update("busy", 0))
        api.offer(Reply(pull[0].request, "Failed: cold"))
        seen: list[object] = [answer.done()]
        for item in await listens.batch():
            if isinstance(item, Reply):
                api.answer(item)
            seen.append(item)
        return [*seen, await answer]

    told = Reply(1, "Failed: cold")
    assert run_virtual(ask()) == [False, Update("busy", 0), told, told]


def test_who_does_not_listen_is_answered_at_once() -> None:
    async def ask() -> Reply:
        pull = Pull()
        api = Api(pull)
        api.subscribe(ALL)
        answer = api.ask(Command(Verb.START), Caller("me@here"))
        end = RunEnded("r", RunStatus.SUCCESS, "", pull[0].request)
        api.offer(Reply(pull[0].request, outcome=end))
        assert answer.done()
        return await answer

    outcome = run_virtual(ask()).outcome
    assert isinstance(outcome, RunEnded)


def test_a_reply_is_for_nobody_else() -> None:
    async def ask() -> tuple[bool, list[Item]]:
        pull = Pull()
        api = Api(pull)
        other = api.subscribe(ALL)
        answer = api.ask(Command(Verb.STOP), Caller("me@here"))
        api.ask(Command(Verb.STOP), Caller("me@here"))
        api.offer(Reply(pull[1].request))
        api.offer(Told("the end"))
        return answer.done(), await other.batch()

    assert run_virtual(ask()) == (False, [Told("the end")])


def test_a_filter_lets_pass_what_it_names() -> None:
    items: list[Item] = [
        Update("busy", 1),
        Update("mon", 1.0, "stage.x"),
        MirrorOpened("stage.x", Metadata(NativeType.DOUBLE)),
        Told("hello"),
    ]

    async def listen(wanted: Filter) -> list[int]:
        api = Api(Pull())
        listens = api.subscribe(wanted)
        for item in items:
            api.offer(item)
        listens.close()
        return [items.index(item) async for item in listens]

    assert run_virtual(listen(Filter())) == [0, 3]
    assert run_virtual(listen(ALL)) == [0, 1, 2, 3]
    assert run_virtual(listen(EVENTS)) == [3]
    assert run_virtual(listen(Filter(events=False))) == [0]


def test_one_that_stands_still_loses_its_own_and_knows_how_much() -> None:
    async def listen() -> tuple[int, list[str], int]:
        api = Api(Pull())
        stuck, quick = api.subscribe(EVENTS, most=100), api.subscribe(EVENTS)
        for number in range(1000):
            api.offer(Told(f"{number}"))
        stuck.close()
        api.close()
        kept = [item.text async for item in stuck if isinstance(item, Told)]
        return stuck.lost, kept, len([item async for item in quick])

    lost, kept, all_of_them = run_virtual(listen())
    assert lost + len(kept) == 1000
    assert 89 <= len(kept) <= 100
    assert kept == [f"{number}" for number in range(lost, 1000)]
    assert all_of_them == 1000


def test_of_steps_and_rows_the_newest_is_kept_behind_what_came_in_between() -> None:
    def row(points: int) -> RowTaken:
        return RowTaken({"det": np.zeros(points)}, (0.0,), points)

    def step(number: int) -> StepStarted:
        return StepStarted(("steps", number), f"{number}", number, ())

    async def listen() -> list[object]:
        api = Api(Pull())
        listens = api.subscribe(Filter())
        for item in (step(1), row(1), Told("a"), step(2), row(2), Update("step", 1)):
            api.offer(item)
        api.offer(Update("step", 2))
        listens.close()
        return [item.points if isinstance(item, RowTaken) else item async for item in listens]

    assert run_virtual(listen()) == [Told("a"), step(2), 2, Update("step", 2)]


def test_a_snapshot_has_the_last_value_of_each_field() -> None:
    async def look() -> dict[str, object]:
        api = Api(Pull())
        api.offer(Update("busy", 1))
        api.offer(Update("mon", 1.0, "stage.x"))
        api.offer(Update("busy", 0))
        return {field: update.value for field, update in api.snapshot().items()}

    assert run_virtual(look()) == {"busy": 0}


def test_at_the_end_listeners_take_what_waits_and_questions_are_given_up() -> None:
    async def end() -> tuple[list[Item], bool]:
        api = Api(Pull())
        listens = api.subscribe(EVENTS)
        answer = api.ask(Command(Verb.START), Caller())
        taken: list[Item] = []

        async def take() -> None:
            taken.extend([item async for item in listens])

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take())
            await asyncio.sleep(1)
            api.offer(Told("the last one"))
            api.close()
            api.offer(Told("nobody hears this"))
        return taken, answer.cancelled()

    assert run_virtual(end()) == ([Told("the last one")], True)


@pytest.mark.parametrize(
    "first",
    [
        RunStarted("id", "scan", "me@here", 1, 3),
        Accepted(1, "scan waits as run 4", 4),
        Reply(1, "scan is running"),
    ],
)
def test_who_asks_for_a_run_is_told_the_first_that_is_heard_of_it(
    first: RunStarted | Accepted | Reply,
) -> None:
    async def ask() -> tuple[object, bool]:
        api = Api(Pull())
        began = api.begin(Command(Verb.RUN, text="scan"), Caller("me@here"))
        api.offer(RunStarted("another", "scan", "", 7, 3))
        early = began.done()
        api.offer(first)
        api.offer(Reply(1))  # of it, later
        return await began, early

    assert run_virtual(ask()) == (first, False)


def test_the_end_of_the_service_ends_the_waiting_for_a_run() -> None:
    async def ask() -> bool:
        api = Api(Pull())
        began = api.begin(Command(Verb.RUN, text="scan"))
        api.close()
        await asyncio.wait([began])
        return began.cancelled()

    assert run_virtual(ask())
