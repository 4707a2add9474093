"""Tables `[schedule.NAME]`, `[trigger.NAME]` as they are written: runs that start by themselves."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictStr, model_validator

from orchestrator.language.text.field_kinds import OneValue
from orchestrator.language.text.findings import Strict

_Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_CRON = "expected five fields as cron has them, minute hour day month weekday, such as '0 2 * * *'"


def automatic_name(name: str) -> str:
    """The name of a schedule or trigger, as it is: a part of its PVs' names."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} can't be a part of a PV's name: letters, digits and _ only")
    return name


class Schedule(Strict):
    """Starts a sequence at certain times."""

    sequence: StrictStr
    """What is run: it waits in the queue for its turn."""
    at: StrictStr | None = None
    """When, as cron has it, in local time: `0 2 * * *` is 02:00 every day."""
    every: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """Or how often, in s; counted from when it was due last."""
    args: dict[StrictStr, Any] = Field(default_factory=dict)
    """Its arguments."""
    lane: StrictStr = ""
    """In which lane; by default in the main one."""
    missed: Literal["skip", "run_once"] = "skip"
    """What becomes of times at which no service was there, or it was switched off: nothing, or one
    run as soon as may be, however many they were."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Schedule:
        if (self.at is None) == (self.every is None):
            raise ValueError("needs either 'at' or 'every'")
        if self.at is not None and (why := _wrong_cron(self.at)):
            raise ValueError(f"at = {self.at!r}: {why}; {_CRON}")
        return self


class Trigger(Strict):
    """Starts a sequence when a condition on channels becomes true."""

    sequence: StrictStr
    """What is run: it waits in the queue for its turn."""
    when: OneValue
    """An expression on channels. Becoming true is what counts; a channel that is disconnected,
    INVALID, or unconfirmed since a reconnection makes nothing true."""
    hold: _Seconds = 0
    """s for which it has to stay true."""
    rearm: OneValue | None = None
    """An expression that has to be true before it can trigger again, further off than `when` so
    that a value that wavers does not; by default as soon as `when` is false."""
    at_start: StrictBool = False
    """Whether a condition that is true when the service starts counts as having become true."""
    args: dict[StrictStr, Any] = Field(default_factory=dict)
    """Its arguments."""
    lane: StrictStr = ""
    """In which lane; by default in the main one."""


class AutomationTable(Strict):
    """The switch of both."""

    on: StrictBool = True
    """Whether schedules and triggers are on when the service starts; `AUTOMATION` is the switch."""


def _wrong_cron(text: str) -> str:
    """Why a text is none of cron's; empty where it is one."""
    from datetime import datetime

    from cronsim import CronSim, CronSimError

    if len(text.split()) != 5:
        return f"it has {len(text.split())} fields"
    try:
        next(CronSim(text, datetime(2001, 1, 1)))  # noqa: DTZ001 - any time
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "it never comes"
    return ""
