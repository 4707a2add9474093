"""With what a run of the queue is started, as the queue's journal has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from orchestrator.data.journal.exact import NotKept, exact_text, exact_value
from orchestrator.types import Recovery, RunRequest

_OF_THE_SERVICE = frozenset({"request", "lane", "recovery", "always_a_run", "waits"})
"""What the service that takes it back says itself, or what is told in another form."""


def request_text(request: RunRequest) -> str:
    """It as JSON."""
    names = (field.name for field in fields(request) if field.name not in _OF_THE_SERVICE)
    told = [f"{json.dumps(name)}:{exact_text(getattr(request, name))}" for name in names]
    if request.recovery is not None:
        told.append(f'"recovery":{json.dumps(asdict(request.recovery))}')
    return f"{{{','.join(told)}}}"


def request_of(told: Mapping[str, Any]) -> RunRequest:
    """The same, of its JSON; what a later version tells beside is left aside.

    Raises:
        ValueError, TypeError, KeyError: It is none, or a value of it was not kept.
    """
    known = {field.name for field in fields(RunRequest)} - _OF_THE_SERVICE
    values: dict[str, Any] = {n: exact_value(v) for n, v in told.items() if n in known}
    for name, value in values.items():
        if isinstance(value, NotKept):
            raise ValueError(f"its {name} was not kept: {value.why}")
    of = told.get("recovery")
    recovery = None if of is None else Recovery(**{**of, "loops": tuple(of["loops"])})
    return RunRequest(0, recovery=recovery, **values)
