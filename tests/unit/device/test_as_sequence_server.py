"""The device as a sequence server of a master: what it decides of each trajectory and index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestrator.config import Config, ServerConfig
from orchestrator.device import Device
from orchestrator.types import (
    Command,
    Reading,
    Reply,
    RunEnded,
    RunRefused,
    RunRequest,
    RunStarted,
    RunStatus,
    Severity,
    Update,
    Verb,
)

MASTER = "TOP:Nested_Indices"


class Served:
    """A device, and what it has decided."""

    def __init__(self, master: str = MASTER) -> None:
        self.device = Device(Config(server=ServerConfig(master=master, name="low")))
        self.decided: list[Any] = []
        self._stamp = 0.0

    def take(self, item: Any) -> list[Any]:
        news = list(self.device.examine(item))
        self.decided += news
        return news

    def load(self, text: str, request: int = 1) -> list[Any]:
        return self.take(Command(Verb.COMMAND, request, text))

    def index(self, text: str, **more: Any) -> list[Any]:
        self._stamp += 1
        return self.take(Reading(MASTER, text, more.pop("stamp", self._stamp), **more))

    def end(self, request: RunRequest, status: RunStatus = RunStatus.SUCCESS) -> list[Any]:
        self.take(RunStarted("id", request.name, "", request.request, 1))
        return self.take(RunEnded("id", status, "why", request.request))


def values(decisions: list[Any], field: str) -> list[Any]:
    found = [d.value for d in decisions if isinstance(d, Update) and d.field == field]
    return [list(v) if isinstance(v, np.ndarray) else v for v in found]


def requests(decisions: list[Any]) -> list[RunRequest]:
    return [d for d in decisions if isinstance(d, RunRequest)]


@pytest.fixture
def served() -> Served:
    it = Served()
    it.take(Command(Verb.SELECT, text="align"))
    it.load('[{"x": 1, "y": 2}, 3.5, "up", {}]')
    return it


def severity(decisions: list[Any]) -> Severity:
    return next(d.severity for d in reversed(decisions) if getattr(d, "field", "") == "ack")


def test_a_trajectory_is_shown_before_it_is_acknowledged() -> None:
    decided = Served().load("[1, 2]", 7)
    assert [getattr(d, "field", "reply") for d in decided] == [
        *("ack", "index", "values", "ack", "reply")
    ]
    assert values(decided, "ack") == [0, 1]
    assert values(decided, "values") == [[1, 2]]
    assert decided[-1] == Reply(7)


def test_an_index_runs_seq_with_its_item_as_arguments(served: Served) -> None:
    for index, (args, value) in enumerate(
        [({"x": 1, "y": 2}, None), ({}, 3.5), ({}, "up"), ({}, None)]
    ):
        [request] = requests(served.index(f'{{"seq": {index + 5}, "low": {index}}}'))
        assert (request.name, request.args, request.value) == ("align", args, value)
        assert request.always_a_run
        ended = served.end(request)
        assert values(ended, "index") == [[index + 5, index]]
        fields = [d.field for d in ended if isinstance(d, Update)]
        assert fields.index("busy") < fields.index("index") < fields.index("ack")


def test_a_run_that_fails_leaves_ack_0_with_its_reason(served: Served) -> None:
    [request] = requests(served.index("{'low': 1}"))
    ended = served.end(request, RunStatus.FAILED)
    assert (values(ended, "ack"), severity(ended), values(ended, "index")) == (
        [0],
        Severity.MAJOR,
        [],
    )
    assert values(ended, "message")[-1] == "index 1 (seq -1): Failed: why"
    [again] = requests(served.index('{"seq": 3, "low": 1}'))
    refused = served.take(RunRefused(again.request, "another run is under way"))
    assert "refused: another run" in values(refused, "message")[-1]
    assert requests(served.index('{"seq": 4, "low": 1}'))  # nothing is left reserved


def test_what_comes_during_a_run_waits_and_only_the_last_is_acknowledged(served: Served) -> None:
    [first] = requests(served.index('{"seq": 1, "low": 1}'))
    waiting = served.index('{"seq": 2, "low": 2}') + served.load("[7]", 9)
    assert (requests(waiting), values(waiting, "ack")) == ([], [0, 0])
    after = served.end(first)
    [second] = requests(after)
    assert (values(after, "index"), values(after, "ack")) == ([[1, 1]], [])
    last = served.end(second)
    assert values(last, "index") == [[2, 2], [-1, -1]]
    assert values(last, "ack") == [1]
    assert Reply(9) in last


def test_repeated_missing_and_redelivered_ones_change_nothing(served: Served) -> None:
    served.end(*requests(served.index('{"seq": 1, "low": 1}', stamp=50.0)))
    assert values(served.index('{"seq": 1, "low": 1}'), "ack") == []
    assert values(served.index('{"seq": 2, "other": 1}'), "ack") == []
    served.end(*requests(served.index("{'low': 1}", stamp=60.0)))
    assert values(served.index("{'low': 1}", stamp=60.0, unconfirmed=True), "ack") == []
    assert requests(served.index("{'low': 1}", stamp=61.0))  # the older form: each is new


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"seq": 1, "low": 4}', "index 4 (seq 1): there is no index 4: 0 … 3"),
        ('{"seq": 1, "low": -1}', "no index -1"),
        ('{"seq": 1, "low": 1.5}', "whole number"),
        ("low", "at character 1"),
    ],
)
def test_bad_indices_are_refused_with_their_reason(served: Served, text: str, why: str) -> None:
    decided = served.index(text)
    assert (values(decided, "ack"), severity(decided)) == ([0, 0], Severity.MAJOR)
    assert why in values(decided, "message")[0]


def test_an_index_is_refused_without_a_trajectory_and_while_another_run_is_under_way() -> None:
    it = Served()
    assert "no trajectory is loaded" in values(it.index('{"seq": 1, "low": 0}'), "message")[0]
    it.load("[1]")
    [other] = requests(it.take(Command(Verb.START, 5, "scan")))
    refused = it.index('{"seq": 2, "low": 0}')
    assert "is being prepared" in values(refused, "message")[0]
    it.end(other)
    assert requests(it.index('{"seq": 2, "low": 0}'))


def test_without_a_master_its_own_nested_indices_are_followed() -> None:
    it = Served(master="")
    it.load("[1]")
    put = it.take(Command(Verb.INDICES, 3, "{'low': 0, 'stage': 2}"))
    assert values(put, "nested_indices") == ['{"low": 0, "stage": 2}']
    assert Reply(3) in put
    [request] = requests(put)
    busy = it.take(Command(Verb.INDICES, 4, "{'low': 0}"))
    assert "may walk it" in values(busy, "message")[0]
    assert values(busy, "nested_indices") == []
    theirs = it.take(Command(Verb.INDICES, 6, '{"seq": 9, "theirs": 3}'))
    assert values(theirs, "nested_indices") == ['{"seq": 9, "theirs": 3}']
    assert Reply(6) in theirs
    assert values(theirs, "ack") == [], "it is that of the index whose run is under way"
    assert values(it.end(request), "ack") == [1]
    others = it.take(Command(Verb.INDICES, 0, "{'stage': 0}"))
    assert values(others, "ack") == [0, 1]


@pytest.mark.parametrize("text", ["pause", "rnu scan", "submit nothing", "ping"])
def test_a_command_during_the_run_of_an_index_acknowledges_and_fails_none(text: str) -> None:
    """The master above takes a 1 for the index reached, and an alarm for one that failed."""
    it = Served()
    it.load("[1]")
    [request] = requests(it.index('{"seq": 2, "low": 0}'))
    decided = it.take(Command(Verb.COMMAND, 9, text))
    acks = [d for d in decided if isinstance(d, Update) and d.field == "ack"]
    assert all((ack.value, ack.severity) == (0, Severity.NO_ALARM) for ack in acks)
    assert values(it.end(request), "ack") == [1]


def test_what_comes_beyond_the_bound_is_refused_and_may_come_again(served: Served) -> None:
    """A master goes on though a run does not end."""
    [request] = requests(served.index('{"seq": 0, "low": 1}'))
    for seq in range(1, 1001):
        assert values(served.index(f'{{"seq": {seq}, "low": 1}}'), "message") == []
    for decided in (served.index('{"seq": 2000, "low": 1}'), served.load("[1]", 9)):
        assert values(decided, "message") == ["1,000 trajectories and indices wait already"]
        assert values(decided, "ack") == [0]
    assert decided[-1] == Reply(9, "1,000 trajectories and indices wait already")
    for _ in range(1001):
        ended = served.end(request)
        [request] = requests(ended) or [request]
    assert (values(ended, "index"), values(ended, "ack")) == ([[1000, 1]], [1])
    assert requests(served.index('{"seq": 2000, "low": 1}')), "the refused one, once more"
