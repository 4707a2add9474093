"""What happens, as JSON: nothing is missed that is not told as lost, and it can be read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import fields as fields_of
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api import Api
from orchestrator.api.stream import LONGEST, Messages
from orchestrator.queues import request_queue
from orchestrator.types import (
    Alarm,
    Cause,
    PushItem,
    QueuedRun,
    RunEvent,
    RunState,
    RunStatus,
    Severity,
    StepStarted,
    Told,
    Update,
    Verb,
    fields,
)
from orchestrator.types.event_json import event_facts, event_kind, event_of
from tests.doubles import run_virtual

TOLD = (fields.BUSY, fields.STATE, fields.PROGRESS, fields.LOOP_INDEX)

BEFORE = {"BUSY": 0, "STATE": "Idle", "PROGRESS": 0.0, "LOOP_INDEX": []}


def told(*items: PushItem, most: int | None = None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages that these become, and a snapshot behind them."""

    async def listen() -> tuple[list[str], str]:
        api = Api(request_queue())
        messages = Messages(api, TOLD)
        if most is not None:
            messages.subscription._most = most
        for item in items:
            api.offer(item)
        return await messages.batch(), messages.snapshot()

    texts, snapshot = run_virtual(listen())
    return [json.loads(text) for text in texts], json.loads(snapshot)


def test_a_message_has_the_fields_that_changed_and_what_happened() -> None:
    (message,), snapshot = told(
        Update("busy", 1),
        Update("state", "Failed", severity=Severity.MAJOR, status=Alarm.STATE),
        Update("progress", math.nan),
        Update("loop_index", np.array([1, 2])),
        Update("secret", "not told"),
        Update("mon", 1.0, "stage.x"),
        Told("it is cold", Severity.MINOR, run_id="r1"),
    )
    shown = {"BUSY": 1, "STATE": "Failed", "PROGRESS": None, "LOOP_INDEX": [1, 2]}
    assert message.pop("events") == [
        {"event": "told", "run_id": "r1", "text": "it is cold", "severity": "MINOR"}
    ]
    assert message == snapshot == {"n": 1, "fields": shown, "alarms": {"STATE": ["MAJOR", 7]}}


def test_an_alarm_that_is_over_is_not_told() -> None:
    alarm = Update("state", "Failed", severity=Severity.MAJOR, status=Alarm.STATE)
    (message,), snapshot = told(alarm, Update("state", "Idle"))
    assert message == {"n": 1, "fields": {"STATE": "Idle"}}
    assert snapshot == {"n": 1, "fields": BEFORE}


def test_what_is_too_long_for_one_message_comes_in_several_in_its_order() -> None:
    events = [Told("°" * 60_000, run_id=f"r{number}") for number in range(20)]
    messages, _ = told(*events)
    assert len(messages) > 1
    assert [m["n"] for m in messages] == [*range(1, len(messages) + 1)]
    assert all(len(json.dumps(m)) <= LONGEST for m in messages)
    assert [e["run_id"] for m in messages for e in m["events"]] == [e.run_id for e in events]


def test_what_could_not_be_kept_is_counted() -> None:
    messages, _ = told(*(Told(str(number)) for number in range(100)), most=10)
    assert sum(len(m["events"]) for m in messages) + sum(m.get("lost", 0) for m in messages) == 100


def test_a_long_array_is_left_out() -> None:
    messages, snapshot = told(Update("loop_index", np.zeros(1001)))
    assert messages == []
    assert "LOOP_INDEX" not in snapshot["fields"]


TEXT = st.text(max_size=20)
FLOAT = st.floats(width=64)
QUEUED = st.builds(
    QueuedRun, st.integers(1, 99), TEXT, st.dictionaries(TEXT, FLOAT | TEXT), TEXT, TEXT
)

OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "int": st.integers(0, 2**40),
    "bool": st.booleans(),
    "float": FLOAT,
    "Path": st.lists(st.one_of(st.just("steps"), st.integers(0, 9)), min_size=1).map(
        lambda path: ("steps", *path)
    ),
    "AnswerKind": st.sampled_from(["", "float", "int", "str", "bool"]),
    "Scalar | None": st.none() | st.booleans() | TEXT,
    "float | None": st.none() | st.integers(0, 9).map(float),
    "tuple[Scalar, ...]": st.lists(st.booleans() | TEXT).map(tuple),
    "tuple[int, ...]": st.lists(st.integers(0, 9)).map(tuple),
    "tuple[float, ...]": st.lists(FLOAT).map(tuple),
    "RunState": st.sampled_from(RunState),
    "RunStatus": st.sampled_from(RunStatus),
    "Cause": st.sampled_from(Cause),
    "Verb": st.sampled_from(Verb),
    "Severity": st.sampled_from(Severity),
    "Mapping[str, npt.NDArray[np.float64]]": st.just({}),
    "QueuedRun | None": st.none() | QUEUED,
    "tuple[QueuedRun, ...]": st.lists(QUEUED).map(tuple),
}


@pytest.mark.parametrize("kind", get_args(RunEvent), ids=event_kind)
@given(data=st.data())
def test_every_event_can_be_read_back(kind: type[RunEvent], data: st.DataObject) -> None:
    event = kind(**{f.name: data.draw(OF_TYPE[str(f.type)]) for f in fields_of(kind)})
    text = json.dumps(event_facts(event), allow_nan=False)
    again = event_of(json.loads(text))
    assert type(again) is kind
    assert json.dumps(event_facts(again), allow_nan=False) == text
    if not isinstance(event, StepStarted):
        assert same(_values(again), _values(event))


def _values(event: RunEvent) -> Iterable[object]:
    names = (f.name for f in fields_of(event) if f.name not in ("request", "columns"))
    return [getattr(event, name) for name in names]


def same(one: object, other: object) -> bool:
    """Equal, where the infinities have become NaN."""
    match one, other:
        case float(), float():
            return one == other or (math.isnan(one) and not math.isfinite(other))
        case ((list() | tuple()), (list() | tuple())):
            return len(one) == len(other) and all(map(same, one, other))
        case QueuedRun(), QueuedRun():
            return (one.number, one.name, one.owner) == (other.number, other.name, other.owner)
        case _:
            return one == other


def test_an_event_of_a_later_version_is_passed_over() -> None:
    assert event_of({"event": "teleported", "where": "home"}) is None
