from __future__ import annotations

import numpy as np
import pytest

from orchestrator import ioc  # noqa: F401 - first: caproto reads its settings when it is imported
from orchestrator.transports.ca.lazy import LazyPVs
from orchestrator.transports.ca.mirrors import make_mirror
from orchestrator.transports.ca.writing import write
from orchestrator.types import Alarm, Metadata, NativeType, Severity, Update


def test_a_pv_of_later_has_its_name_at_once_and_is_made_once_when_asked_for():
    made = []
    pvs = LazyPVs()
    pvs["A"] = "a"
    pvs.later("B", lambda: made.append("B") or "b")
    assert list(pvs) == ["A", "B"]
    assert "B" in pvs
    assert dict(pvs.items()) == {"A": "a", "B": None}
    assert pvs.made("B") is None
    assert made == []
    assert pvs["B"] == pvs.get("B") == pvs.made("B") == "b"
    assert made == ["B"]
    assert pvs.get("C", "none") == "none"


def test_val_is_the_field_that_a_pv_without_fields_has():
    pvs = LazyPVs()
    pvs["A"] = "a"
    pvs.later("B", lambda: "b")
    assert (pvs["A.VAL"], pvs["B.VAL"]) == ("a", "b")
    pvs["A"] = "another"
    assert pvs["A.VAL"] == "another"
    assert list(pvs) == ["A", "B"]
    for name in ("C.VAL", "A.EGU", "A.VAL.VAL"):
        with pytest.raises(KeyError, match=name):
            pvs[name]


def test_one_of_a_family_is_made_when_it_is_asked_for_and_has_no_place_before():
    pvs = LazyPVs()
    pvs.family("F:", lambda name: f"made {name}" if name == "a" else None)
    assert (list(pvs), "F:a" in pvs, pvs.get("F:b", "none")) == ([], False, "none")
    assert (pvs["F:a.VAL"], pvs["F:a"], list(pvs)) == ("made a", "made a", ["F:a"])
    for name in ("F:b", "F:a.EGU", "G:a"):
        with pytest.raises(KeyError, match=name):
            pvs[name]


async def test_an_array_reaches_its_mirror_without_a_copy_of_ours():
    array = np.arange(1000.0)
    array.flags.writeable = False
    mirror = make_mirror(Metadata(NativeType.DOUBLE, 1000))
    await write(mirror, Update("mon", array, "x", timestamp=1.5e9))
    assert np.shares_memory(mirror.value, array)


async def test_stamp_and_alarm_are_passed_on():
    mirror = make_mirror(Metadata(NativeType.DOUBLE))
    stamp = 1_700_000_000.123457
    await write(mirror, Update("mon", 2.5, "x", Severity.MAJOR, Alarm.STATE, stamp))
    assert (mirror.value, mirror.alarm.severity, mirror.alarm.status) == (2.5, 2, 7)
    assert abs(mirror.epics_timestamp.nanoSeconds - 123_457_000) < 500
    await write(mirror, Update("mon", 3.5, "x", timestamp=stamp))
    assert (mirror.alarm.severity, mirror.alarm.status) == (0, 0)
