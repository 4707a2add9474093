"""A message names what it is about once."""

from __future__ import annotations

import pytest

from orchestrator.errors import NotConnectedError, told_at


@pytest.mark.parametrize(
    ("place", "text", "told"),
    [
        ("a.yaml:3:9: steps[1] set stage.x", "stage.x: 11 is outside", "11 is outside"),
        ("a.yaml:3:9: steps[1] wait for SIM:X.VAL", "SIM:X.VAL is disconnected", "disconnected"),
        ("steps[0] stage.x", "stage.x did not connect within 5 s", "did not connect within 5 s"),
        ("plans.py:12", "plans.py:12: no such verb", "no such verb"),
        ("plans.py:12: set stage.x", "plans.py:12: stage.x: no", "no"),
    ],
)
def test_what_the_place_names_is_not_named_again(place: str, text: str, told: str) -> None:
    assert told_at(place, text) == f"{place}: {told}"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("steps[0] set a.x, a.y", "a.y is disconnected"),
        ("steps[0] set stage.x", "stage.x_rbv is disconnected"),
        ("steps[0] set stage.x", "stage.x and stage.y: disconnected"),
        ("steps[0] wait until 3 < stage.x", "stage.x: disconnected"),
        ("steps[0] set stage.x", "stage.x is put by two branches"),
        ("plans.py:12", "plans.py:120: no such verb"),
    ],
)
def test_what_the_place_does_not_tell_stays(place: str, text: str) -> None:
    assert told_at(place, text) == f"{place}: {text}"


def test_an_error_with_a_place_names_its_channel_once() -> None:
    error = NotConnectedError("stage.x is disconnected")
    error.place = "a.yaml:3:9: steps[1] set stage.x"
    assert error.placed() == "a.yaml:3:9: steps[1] set stage.x: disconnected"
