"""`[notify]` as it is written: who is told of what, and when not."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StrictStr

from orchestrator.config.model import NOTIFY_KINDS, NOTIFY_LASTING, NotifyRule
from orchestrator.language.text.findings import Strict

_RULE = re.compile(r"([a-z]+)(?: *> *([0-9]{1,9}(?:\.[0-9]{1,3})?))?")
_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-3]):([0-5][0-9])")


def notify_rule(text: str) -> NotifyRule:
    """What stands in `on`: `failed`, `hung > 300`.

    Raises:
        ValueError: It is no rule.
    """
    found = _RULE.fullmatch(text)
    if found is None or found[1] not in NOTIFY_KINDS:
        raise ValueError(f"expected one of {', '.join(NOTIFY_KINDS)}, not {text!r}")
    kind, seconds = found.groups()
    if kind in NOTIFY_LASTING and seconds is None:
        raise ValueError(f"{text!r}: for how many seconds? As in '{kind} > 300'")
    if seconds is not None and kind not in NOTIFY_LASTING:
        raise ValueError(f"{text!r}: expected {kind!r} alone, as it does not last")
    return NotifyRule(kind, float(seconds or 0))


def quiet_hours(text: str) -> tuple[int, int]:
    """From when to when: `22:00-06:30`; minutes of the day.

    Raises:
        ValueError: It is no such text.
    """
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"expected from when to when, as in '22:00-06:30', not {text!r}")
    hour, minute, last_hour, last_minute = map(int, found.groups())
    return hour * 60 + minute, last_hour * 60 + last_minute


def _rule(text: str) -> str:
    notify_rule(text)
    return text


def _quiet(text: str) -> str:
    quiet_hours(text)
    return text


def _each_kind_once(rules: tuple[str, ...]) -> tuple[str, ...]:
    kinds = [notify_rule(rule).kind for rule in rules]
    if twice := [kind for kind in dict.fromkeys(kinds) if kinds.count(kind) > 1]:
        raise ValueError(f"{twice[0]!r} stands twice in it")
    return rules


class Notify(Strict):
    """The table."""

    urls: Annotated[tuple[StrictStr, ...], Field(min_length=1)]
    on: Annotated[
        tuple[Annotated[StrictStr, AfterValidator(_rule)], ...],
        Field(min_length=1),
        AfterValidator(_each_kind_once),
    ] = ("failed", "interrupted")
    quiet: Annotated[StrictStr, AfterValidator(_quiet)] | None = None
