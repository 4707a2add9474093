"""A run in which nothing moves is in alarm, by the limits of the configuration, until it ends."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Any

import pytest

from orchestrator.config import HungLimits
from orchestrator.types import Alarm, Severity, Update, Verb, fields
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench

WAITING = (
    "steps: [{wait: {until: sim.x > 5, timeout: none}}, {set: {pv: sim.y, value: 1}}, {delay: 1}]"
)


def alarms(it: Bench) -> list[tuple[Severity, int]]:
    """Of HUNG_SEC, each that follows another one."""
    shown = (p for p in it.published if isinstance(p, Update) and p.field == fields.HUNG_SEC)
    return [alarm for alarm, _ in groupby((p.severity, p.status) for p in shown)]


async def waited(limits: HungLimits, end: Verb | None) -> tuple[list[Any], list[float]]:
    async with bench(hung=limits) as it:
        it.start(WAITING)
        await asyncio.sleep(100)
        if end is None:
            it.sim.post("sim.x", 6.0)
        else:
            it.ask(end)
        await it.ended()
        return alarms(it), it.values("hung_sec")


NONE = Severity.NO_ALARM, 0
HIGH = Severity.MINOR, Alarm.HIGH
HIHI = Severity.MAJOR, Alarm.HIHI


@pytest.mark.parametrize("end", [None, Verb.ABORT, Verb.STOP])
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (HungLimits(), [NONE]),
        (HungLimits(high=30), [NONE, HIGH, NONE]),
        (HungLimits(hihi=30), [NONE, HIHI, NONE]),
        (HungLimits(high=30, hihi=60), [NONE, HIGH, HIHI, NONE]),
        (HungLimits(high=300, hihi=600), [NONE]),
    ],
)
def test_the_alarm_comes_with_the_limit_and_goes(
    limits: HungLimits, expected: list[Any], end: Verb | None
) -> None:
    seen, hung = run_virtual(waited(limits, end))
    assert seen == expected
    assert max(hung) > 95
