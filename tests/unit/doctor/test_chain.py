"""Which clocks are not ours, by what IOCs stamp their values with."""

from __future__ import annotations

import time

import pytest

from orchestrator.doctor.chain import _clocks, _Heard
from orchestrator.types import Reading

HOSTS = {"stage.x": "a:5064", "stage.y": "a:5064", "det.counts": "b:5064"}


def told(*stamps: tuple[str, float]) -> list[tuple[str, str]]:
    """Of values that have come now, each with a stamp so many s ahead of our clock."""
    heard = _Heard()
    for channel, ahead in stamps:
        heard.offer(Reading(channel, 1.0, time.time() + ahead))
    return [(symptom.grade.value, symptom.text) for symptom in _clocks(heard, HOSTS)]


def test_values_of_now_are_of_our_time() -> None:
    assert told(("stage.x", 0.1), ("stage.x", -0.1)) == [("ok", "stamps of 1 host are of our time")]


def test_an_old_first_value_says_nothing_of_the_clock() -> None:
    assert told(("stage.x", -5000)) == []


@pytest.mark.parametrize(("ahead", "how"), [(60, "ahead of"), (-60, "behind")])
def test_an_update_of_another_time_tells_of_its_host(ahead: float, how: str) -> None:
    ((grade, text),) = told(("det.counts", ahead), ("det.counts", ahead))
    assert grade == "warning"
    assert text == f"the time stamps of b are 60.0 s {how} this host's"


def test_a_channel_that_stands_still_makes_no_clock_wrong() -> None:
    """The nearest counts: another one of that host is updated."""
    assert told(("stage.x", -600), ("stage.x", -600), ("stage.y", 0), ("stage.y", 0)) == [
        ("ok", "stamps of 1 host are of our time")
    ]
