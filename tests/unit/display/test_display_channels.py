"""Channels as lines and as JSON."""

import json
import math

import numpy as np

from orchestrator.display.channels import (
    answer_facts,
    info_lines,
    json_value,
    update_facts,
    value_line,
)
from orchestrator.errors import NotConnectedError
from orchestrator.types import Alarm, Limits, LinkChange, Metadata, NativeType, Reading, Severity

STATE = Metadata(NativeType.ENUM, labels=("Closed", "Open"), host="localhost:5064")
POSITION = Metadata(
    NativeType.DOUBLE, units="mm", precision=3, control=Limits(-10, math.inf), writable=False
)


def test_a_value_is_a_line_with_units_and_with_its_alarm_if_any() -> None:
    assert value_line(Reading("stage.x", 1.23456, 0), POSITION).split() == [
        "stage.x",
        "1.235",
        "mm",
    ]
    lost = Reading("stage.x", 1.0, 0, Severity.INVALID, Alarm.LINK)
    assert value_line(lost, POSITION).endswith("LINK INVALID")


def test_info_tells_what_is_known_and_leaves_out_what_is_not_set() -> None:
    lines = info_lines("stage.x", "SIM:X", POSITION)
    assert lines[0] == "stage.x (SIM:X)"
    facts = dict(line.split(":", 1) for line in lines[1:])
    assert facts["    control"].strip() == "-10 … inf"
    assert facts["    access"].strip() == "read"
    assert "    alarm" not in facts
    assert any("0 Closed, 1 Open" in line for line in info_lines("A:B", "A:B", STATE))


def test_json_has_null_for_what_json_does_not_know() -> None:
    assert json_value(math.nan) is None
    assert json_value(np.array([1.0, math.inf])) == [1.0, None]
    assert json_value(("a", "b")) == ["a", "b"]


def test_updates_and_answers_are_json() -> None:
    update = update_facts(Reading("s", 1, 12.5), STATE)
    assert update["label"] == "Open"
    assert update_facts(LinkChange("s", False), None) == {"name": "s", "connected": False}
    facts = answer_facts("s", "A:B", POSITION, Reading("s", math.nan, 1.0), None)
    assert json.loads(json.dumps(facts))["value"] is None
    failed = answer_facts("s", "A:B", None, None, NotConnectedError("gone"))
    assert failed == {"name": "s", "pv": "A:B", "error": "gone"}
