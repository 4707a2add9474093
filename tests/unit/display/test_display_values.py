import math
import time

import numpy as np
import pytest

from orchestrator.display.value_text import alarm_name, format_stamp, format_update, format_value
from orchestrator.types import LinkChange, Metadata, NativeType, Reading, Severity, Value

MOTOR = Metadata(NativeType.DOUBLE, units="mm", precision=3)
MODE = Metadata(NativeType.ENUM, labels=("Off", "On"))


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()


@pytest.mark.parametrize(
    ("value", "metadata", "text"),
    [
        (1.5, MOTOR, "1.500 mm"),
        (1.5, None, "1.5"),
        (1234567.25, Metadata(NativeType.DOUBLE, precision=0), "1234567.25"),
        (float("nan"), MOTOR, "nan mm"),
        (1, MODE, "On"),
        (7, MODE, "7"),
        (-1, MODE, "-1"),
        (7, Metadata(NativeType.LONG, units="V"), "7 V"),
        (1.25, Metadata(NativeType.DOUBLE, precision=-2), "1.25"),
        (1.25, Metadata(NativeType.DOUBLE, precision=-400), "1.25"),
        (1.25, Metadata(NativeType.DOUBLE, precision=32767), "1.25"),
        (1.25, Metadata(NativeType.DOUBLE, precision=15), "1.250000000000000"),
        (1e300, MOTOR, "1e+300 mm"),
        (-math.inf, MOTOR, "-inf mm"),
        (float(np.float32(0.7)), Metadata(NativeType.FLOAT), "0.7"),
        (float(np.float32(0.7)), Metadata(NativeType.DOUBLE), "0.6999999881"),
        ("text", Metadata(NativeType.STRING), "text"),
        (np.arange(12.0), Metadata(NativeType.DOUBLE, 12, precision=1), None),
        (np.array([]), MOTOR, "0 []"),
        (("a", "b c"), Metadata(NativeType.STRING, 4), "2 ['a' 'b c']"),
    ],
)
def test_a_value_is_shown_as_people_read_it(
    value: Value, metadata: Metadata | None, text: str | None
) -> None:
    expected = text or "12 [0.0 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 9.0 …]"
    assert format_value(value, metadata) == expected


def test_a_stamp_is_local_time() -> None:
    assert format_stamp(1_700_000_000.25) == "2023-11-14 23:13:20.250000"
    assert format_stamp(631152000.0) == "<undefined>"
    assert format_stamp(0.0) == "<undefined>"


def test_a_line_has_name_time_value_and_the_alarm_only_where_there_is_one() -> None:
    fine = Reading("stage.x", 1.0, 1_700_000_000.0)
    bad = Reading("stage.x", 95.0, 1_700_000_000.0, Severity.MAJOR, 3)
    name = "stage.x                       "
    assert format_update(fine, MOTOR) == f"{name} 2023-11-14 23:13:20.000000 1.000 mm"
    expected = f"{name} 2023-11-14 23:13:20.000000 95.000 mm HIHI MAJOR"
    assert format_update(bad, MOTOR) == expected


def test_a_loss_says_so() -> None:
    line = format_update(LinkChange("stage.x", connected=False))
    assert line == "stage.x                        *** disconnected"


def test_alarm_names_follow_alarm_h() -> None:
    assert [alarm_name(code) for code in (0, 3, 9, 14, 17, 21)] == [
        "NO_ALARM",
        "HIHI",
        "COMM",
        "LINK",
        "UDF",
        "WRITE_ACCESS",
    ]
    assert alarm_name(22) == "22"
