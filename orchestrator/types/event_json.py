"""Events of runs as JSON and back, as programs and other processes read them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, fields
from enum import Enum
from typing import Any, get_args

import numpy as np

from orchestrator.types.events import QueuedRun, RunEvent, StepStarted
from orchestrator.types.runs import Cause, RunState, RunStatus, Verb
from orchestrator.types.values import Severity, path_text

_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


def event_kind(event: type[RunEvent]) -> str:
    """Its name in JSON: `run_started`."""
    return _WORDS.sub("_", event.__name__).lower()


def event_facts(event: RunEvent) -> dict[str, object]:
    """An event as an object of JSON: its kind as `event`, and its fields.

    Enums by their words, null for what is no number, a step's path as text. Left out are the number
    of a request, which is the service's own, the columns of a row, `run_id` where it is about no
    run, and `lane` where that is the main one.
    """
    facts: dict[str, object] = {"event": event_kind(type(event))}
    facts |= {field.name: _plain(getattr(event, field.name)) for field in _told(type(event))}
    for name in ("run_id", "lane"):
        if not facts.get(name, True):
            del facts[name]
    return facts | ({"path": path_text(event.path)} if isinstance(event, StepStarted) else {})


def event_of(facts: Mapping[str, Any]) -> RunEvent | None:
    """The event that these facts tell of; None of a kind that this version does not know.

    Raises:
        ValueError, KeyError, TypeError: They are not as `event_facts` gives them.
    """
    kind = _KINDS.get(facts["event"])
    if kind is None:
        return None
    known = {f.name: _read(str(f.type), facts[f.name]) for f in _told(kind) if f.name in facts}
    left_out = {f.name: _LEFT_OUT[f.name] for f in fields(kind) if f.name in _LEFT_OUT}
    return kind(**(left_out | known))  # type: ignore[no-any-return]  # one of the events


_LEFT_OUT = {"request": 0, "columns": {}, "run_id": "", "lane": ""}
"""What JSON does not tell, but for the id of a run and a lane that is not the main one."""


def _told(event: type[RunEvent | QueuedRun]) -> Iterator[Field[Any]]:
    return (field for field in fields(event) if field.name not in ("request", "columns"))


_KINDS: Mapping[str, Any] = {event_kind(event): event for event in get_args(RunEvent)}


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.name if isinstance(value, int) else value.value
        case float() if not math.isfinite(value):
            return None
        case tuple() | list():
            return [_plain(item) for item in value]
        case QueuedRun():
            return {field.name: _plain(getattr(value, field.name)) for field in _told(QueuedRun)}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case None | bool() | int() | float() | str():
            return value
        case _:  # an argument may be anything
            return str(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


_FROM_JSON: Mapping[str, Callable[[Any], object]] = {
    "RunState": RunState,
    "RunStatus": RunStatus,
    "Cause": Cause,
    "Verb": Verb,
    "Severity": lambda name: Severity[name],
    "Path": lambda text: (text,),
    "float": _number,
    "tuple[int, ...]": tuple,
    "tuple[Scalar, ...]": tuple,
    "tuple[float, ...]": lambda row: tuple(map(_number, row)),
    "QueuedRun | None": lambda run: run and QueuedRun(**run),
    "tuple[QueuedRun, ...]": lambda runs: tuple(QueuedRun(**run) for run in runs),
}
"""By the type of a field, as it is written in the class."""


def _read(kind: str, value: Any) -> object:
    read = _FROM_JSON.get(kind)
    return value if read is None else read(value)
