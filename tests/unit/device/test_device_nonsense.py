"""One item that the device can't take is refused and logged; the next one is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import structlog

from orchestrator.config import ChainConfig, ChannelConfig, Config, ServerConfig
from orchestrator.device import Device
from orchestrator.queues import pull_queue
from orchestrator.types import (
    Accepted,
    Cause,
    Command,
    IndicesSet,
    LinkChange,
    Metadata,
    NativeType,
    Progressed,
    PullItem,
    QueueChanged,
    QueuedRun,
    Reading,
    Reply,
    RowTaken,
    RunEnded,
    RunRefused,
    RunStarted,
    SequencesListed,
    StateChanged,
    StepStarted,
    Tick,
    Told,
    Update,
    Verb,
)
from tests.doubles import run_virtual

DOUBLE = Metadata(NativeType.DOUBLE)
HUGE = 10**400
ODD: tuple[Any, ...] = (None, HUGE, object(), b"\xff", "\ud800", float("nan"), [[]], np.zeros(3))
"""What is of no type, or of a size, that a field is made for."""


def name_of(item: object) -> str:
    """The same in every process that collects the tests: an object's repr has its address."""
    return type(item).__name__


MASTER = "TOP:Nested_Indices"


def device() -> Device:
    channels = {"s.a": ChannelConfig("s.a", "S:A", buffer=3)}
    chain = {"s": ChainConfig("s", "S:", channels=channels)}
    return Device(Config(chain=chain, server=ServerConfig(master=MASTER, name="low")))


class Taken:
    """Both ends behind a device: keeps what is offered."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def offer(self, item: Any) -> None:
        self.items.append(item)

    def values(self, field: str) -> list[Any]:
        return [i.value for i in self.items if isinstance(i, Update) and i.field == field]

    def reply(self, request: int) -> str | None:
        found = [i.error for i in self.items if isinstance(i, Reply) and i.request == request]
        return found[-1] if found else None


def examined(*items: PullItem, by: Device | None = None) -> Taken:
    """What comes of these items in the device's task, which must still be there at the end."""
    taken = Taken()

    async def work() -> None:
        pull = pull_queue()
        examining = by or device()
        task = asyncio.create_task(examining.run(pull, taken, taken))
        for item in items:
            pull.offer(item)
        await pull.idle()
        assert not task.done(), task
        task.cancel()
        await asyncio.wait([task])

    run_virtual(work())
    return taken


LINES = [
    "queue remove " + "9" * 5000,
    "queue move 1 " + "9" * 5000,
    "queue move " + "9" * 30 + " 1",
    "queue remove " + "٣" * 5000,
    "abort " + "\x00" * 5000,
    "run " + "\ud800",
    "submit x a=" + "9" * 5000,
    "[" * 60_000,
    "[" + "9" * 5000 + "]",
    '[{"a": ' * 20_000,
    "linear(" + "9" * 5000 + ", 1, 1)",
    "linear(0, 1e308, step=1e-308)",
    "ping \udcff'",
    "'" * 60_001,
    "\\",
    "run x " + "=" * 60_000,
]


@pytest.mark.parametrize("text", LINES, ids=name_of)
def test_a_command_that_can_t_be_taken_is_answered_and_the_next_one_taken(text: str) -> None:
    taken = examined(Command(Verb.COMMAND, 1, text), Command(Verb.COMMAND, 2, "ping"))
    assert taken.reply(2) == ""
    asked = [item for item in taken.items if getattr(item, "request", 0) == 1]
    assert asked, "refused, or passed on to the engine"


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("odd", ODD, ids=name_of)
def test_nonsense_in_a_command_of_any_kind_is_answered(verb: Verb, odd: Any) -> None:
    nonsense = Command(verb, 1, text=odd, args=odd, document=odd, owner=odd)
    taken = examined(nonsense, Command(Verb.COMMAND, 2, "ping"))
    assert taken.reply(2) == ""
    passed_on = [item for item in taken.items if getattr(item, "request", 0) == 1]
    assert passed_on or taken.items or verb is Verb.SELECT


def test_a_start_that_could_not_be_taken_leaves_the_engine_free() -> None:
    taken = examined(
        Command(Verb.INDICES, 1, text=None),  # type: ignore[arg-type]
        Command(Verb.START, 2, text="align"),
    )
    assert "internal error" in (taken.reply(1) or "")
    assert [item for item in taken.items if getattr(item, "name", "") == "align"]


NONSENSE: list[PullItem] = [
    *(Reading("s.a", odd, 0.0) for odd in ODD),
    *(Reading(MASTER, odd, 0.0) for odd in (*ODD, "{" * 60_000, '{"low": ' + "9" * 5000 + "}")),
    Reading("s.a", 1.0, None, None, None),  # type: ignore[arg-type]
    LinkChange("s.a", connected=True, metadata=None),
    LinkChange("s.a", connected=True, metadata=object()),  # type: ignore[arg-type]
    LinkChange("s.a", connected=False, metadata=None),
    LinkChange(None, connected=True, metadata=DOUBLE),  # type: ignore[arg-type]
    *(Tick(odd, odd, odd, {"pull_len": odd}) for odd in ODD),
    Tick(1, 0.0, 0.0, {}),
    *(SequencesListed(odd) for odd in ODD),
    SequencesListed((HUGE, object(), "\ud800")),  # type: ignore[arg-type]
    *(StateChanged(odd) for odd in ODD),
    *(StepStarted((odd,), odd, odd, (odd,)) for odd in ODD),
    StepStarted(("steps", 0), "x", 2**40, (2**31, 2**63, HUGE)),
    *(RowTaken({"s.a": odd}, (odd,), odd) for odd in ODD),
    RowTaken(None, None, 1),  # type: ignore[arg-type]
    *(Told(odd, odd) for odd in ODD),
    *(Progressed(odd, odd, odd, odd, odd) for odd in ODD),
    *(QueueChanged(odd, held=odd, autostart=odd) for odd in ODD),
    QueueChanged((QueuedRun(1, "x", {"a": object()}, ""),), held=False, autostart=True),
    *(IndicesSet(odd) for odd in ODD),
    *(Accepted(7, odd) for odd in ODD),
    *(RunRefused(7, odd, odd) for odd in ODD),
    *(RunStarted(odd, odd, odd, 7, odd) for odd in ODD),
    *(RunEnded(odd, odd, odd, 7, odd, odd) for odd in ODD),
]


@pytest.mark.parametrize("item", NONSENSE, ids=name_of)
def test_nonsense_of_any_kind_does_not_keep_the_next_item_from_being_taken(item: PullItem) -> None:
    later = Reading("s.a", 5.0, 0.0)
    taken = examined(LinkChange("s.a", True, DOUBLE), item, later, Tick(1, 0.0, 0.2))
    assert taken.values("mon")[-1] == 5.0 or isinstance(item, LinkChange)
    assert taken.values("heartbeat")[-1] == 1


@pytest.mark.parametrize("odd", ODD, ids=name_of)
def test_a_run_whose_end_can_t_be_shown_as_it_is_has_ended_for_everybody(odd: Any) -> None:
    taken = examined(
        Command(Verb.START, 1, text="a"),
        RunStarted("id", "a", "me", 1, 1),
        RunEnded("id", odd, odd, 1, Cause.DURING),
        Command(Verb.START, 2, text="b"),
    )
    assert taken.values("busy")[-1] == 0
    assert taken.values("start")[-1] == 0
    assert taken.reply(1), "who waits for the end is told that it was none of success"
    assert taken.reply(2) is None, "b is asked for, not refused"


def test_a_run_whose_beginning_can_t_be_published_has_begun_for_everybody() -> None:
    """Whatever it is that can't be: no input is known that brings a beginning there."""
    event = RunStarted("id", "a", "me", 1, 1)
    items = list(device()._main.anyhow(event, "internal error"))
    shown = {item.field: item.value for item in items if isinstance(item, Update)}
    assert shown == {"status": "Undefined", "start": 1, "busy": 1, "message": "internal error"}


def test_a_watcher_that_fails_keeps_nobody_from_being_told() -> None:
    told: list[object] = []

    def bad(_state: object) -> None:
        raise ZeroDivisionError

    examining = device()
    examining.table.watch(["s.a"], bad)
    examining.table.watch(["s.a"], lambda state: told.append(state.reading))
    examined(Reading("s.a", 1.0, 0.0), Reading("s.a", 2.0, 0.0), by=examining)
    assert len(told) >= 1


def test_thousands_of_failures_are_a_few_lines_of_the_log() -> None:
    examining = device()
    with structlog.testing.capture_logs() as lines:
        for _ in range(1000):
            list(examining.examine(RunEnded("id", "?", "", 7)))  # type: ignore[arg-type]
    assert [line["times"] for line in lines] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
