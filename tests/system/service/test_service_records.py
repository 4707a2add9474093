"""Sequences across the records of a C IOC: limits, labels, slow puts, waveforms, text."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from service_rig import Rig
from sim_helpers import until


def rows(rig: Rig) -> list[dict[str, str]]:
    """The data file of the last run."""
    file = rig.directory / "runs" / "runs" / rig.get("RUN_ID") / "data.csv"
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_sequence_across_c_records(rig: Rig) -> None:
    """Everything that a C IOC does otherwise than caproto's: labels, put-callback, waveforms."""
    rig.client.put("SIM:REC:Slow:Delay", 0.3)
    rig.client.put("SIM:REC:Waveform", [0.5, 1.5, 2.5])
    text = """
        steps:
          - set: {pv: rec.mbbo, value: High}
          - set: {pv: rec.bo, value: "On"}
          - set: {pv: rec.string, value: aligned}
          - set: {pv: rec.chars, value: "text of more than the thirty-nine bytes of a DBR_STRING"}
          - loop: {pv: rec.slow, values: [3, 4]}
            do:
              - set: {pv: rec.ao, value: "=rec.slow * 2", readback: rec.calc,
                      readback_value: "=rec.slow * 4 + 1"}
              - sample: [rec.done, rec.calc, rec.wave, rec.mbbo, rec.chars]
    """

    outcome = rig.run(text)

    assert outcome["failed"] == "", outcome["message"]
    assert rig.client.get("SIM:REC:Mbbo") == "High"
    assert rig.client.get("SIM:REC:Bo") == "On"
    assert rig.client.get("SIM:REC:StringOut") == "aligned"
    table = rows(rig)
    assert [float(row["rec.done"]) for row in table] == [3, 4], "each put was awaited"
    assert [float(row["rec.calc"]) for row in table] == [13, 17]
    assert [json.loads(row["rec.wave"]) for row in table] == [[0.5, 1.5, 2.5]] * 2
    assert [int(row["rec.mbbo"]) for row in table] == [2, 2]
    assert table[0]["rec.chars"].startswith("text of more than")
    source = rig.client.reading("SIM:REC:Waveform")
    assert float(table[0]["rec.wave:timestamp"]) == pytest.approx(source["timestamp"], abs=1e-6)
    assert {row["rec.wave:severity"] for row in table} == {str(source["severity"])}
    assert rig.get("DATA:rec:calc") == [13, 17]


@pytest.mark.parametrize(
    ("pv", "value", "says"),
    [
        ("rec.ao", 50, "0 … 10"),
        ("rec.number", -1001, "-1000"),
        ("rec.mbbo", "Sideways", "Low"),
        ("rec.mbbo", 17, "Low"),
        ("rec.string", "x" * 40, "39"),
        ("rec.ao", "text", "rec.ao"),
    ],
)
def test_what_a_c_record_would_clamp_or_garble_is_found_before_anything_is_written(
    rig: Rig, pv: str, value: Any, says: str
) -> None:
    """An ao takes 50 as its DRVH, a mbbo takes index 17, both report success."""
    rig.client.put("SIM:REC:Bo", 0)
    steps = [{"set": {"pv": "rec.bo", "value": "On"}}, {"set": {"pv": pv, "value": value}}]

    outcome = rig.run(json.dumps({"steps": steps}))

    assert outcome["STATUS"] == "Failed"
    assert says in outcome["message"], outcome["message"]
    assert pv in outcome["message"]
    assert rig.client.get("SIM:REC:Bo") == "Off", "found by the check, before the first put"


def test_a_computed_value_beyond_the_drive_limits_is_never_put(rig: Rig) -> None:
    rig.client.put("SIM:REC:Ao", 6)

    outcome = rig.run("steps: [{set: {pv: rec.ao, value: '=rec.ao * 2'}}]")

    assert outcome["STATUS"] == "Failed"
    assert "12" in outcome["message"]
    assert rig.client.get("SIM:REC:Ao") == 6


def test_drive_limits_that_change_hold_for_the_next_run(rig: Rig) -> None:
    """A C IOC posts new limits as property events; no update of the value comes with them."""
    rig.client.put("SIM:REC:Ao.DRVH", 5)
    try:
        limits = "upper_ctrl_limit"
        mirror = "ORCH:MON:rec:ao"
        until(lambda: rig.client.start("info", pv=mirror)()[limits] == 5)
        outcome = rig.run("steps: [{set: {pv: rec.ao, value: 7}}]")
        assert outcome["STATUS"] == "Failed"
        assert "0 … 5" in outcome["message"]
    finally:
        rig.client.put("SIM:REC:Ao.DRVH", 10)
    until(lambda: rig.client.start("info", pv="ORCH:MON:rec:ao")()["upper_ctrl_limit"] == 10)


def test_a_slow_put_without_completion_is_awaited_by_its_readback(rig: Rig) -> None:
    """The record says that it has the value at once; what it works on comes later."""
    rig.client.put("SIM:REC:Slow:Delay", 0.3)
    rig.client.put("SIM:REC:Slow", 0)
    text = """
        steps:
          - set: {pv: rec.slow, value: 5, completion: false}
          - sample: [rec.done]
          - set: {pv: rec.slow, value: 6, completion: false, readback: rec.done}
          - sample: [rec.done]
    """

    outcome = rig.run(text)

    assert outcome["failed"] == "", outcome["message"]
    assert [float(row["rec.done"]) for row in rows(rig)] == [0, 6]


def test_a_slow_put_that_is_not_awaited_long_enough_is_an_orphan_until_it_ends(rig: Rig) -> None:
    """Channel Access can't recall a put: the next one to the channel waits for it."""
    rig.client.put("SIM:REC:Slow:Delay", 0.8)
    text = "steps: [{set: {pv: rec.slow, value: 8, timeout: 0.2}}]"

    outcome = rig.run(text)
    assert outcome["STATUS"] == "Timeout"
    assert "no completion within 0.2 s" in outcome["message"]

    outcome = rig.run("steps: [{set: {pv: rec.slow, value: 9, timeout: 5}}, {sample: [rec.done]}]")
    assert outcome["failed"] == "", outcome["message"]
    assert outcome["values"] == [9]


def test_an_index_without_label_fails_nothing_and_is_mirrored(rig: Rig) -> None:
    """A valve between its switches: a C mbbo has any index, its text is none of its labels."""
    rig.client.put("SIM:REC:Mbbo", 7)
    rig.until("MON:rec:mbbo", 7)
    text = """
        steps:
          - if: "rec.mbbo == 'High' or rec.mbbo == 'Low'"
            then: [{set: {pv: rec.string, value: wrong}}]
            else: [{set: {pv: rec.string, value: between}}]
          - parallel:
              - wait: {until: "rec.mbbo == 'High'", timeout: 5}
              - wait: {pv: rec.mbbo, equals: High, timeout: 5}
              - group:
                  - wait: {until: "index(rec.mbbo) == 7 and rec.mbbo == '7'", timeout: 5}
                  - set: {pv: rec.mbbo, value: High}
    """

    outcome = rig.run(text)

    assert outcome["failed"] == "", outcome["message"]
    assert rig.client.get("SIM:REC:StringOut") == "between"
    rig.until("MON:rec:mbbo", "High")


def test_what_an_ioc_knows_by_text_is_compared_and_put_as_text(rig: Rig) -> None:
    """.STAT has 22 choices, of which Channel Access lists 16: UDF is none of these.

    It is the alarm, and so true in one that is INVALID.
    """
    rig.client.put("SIM:REC:LongOut.UDF", 1)
    rig.client.put("SIM:REC:LongOut.PROC", 1)
    text = """
        steps:
          - wait: {pv: SIM:REC:LongOut.STAT, equals: UDF, timeout: 5}
          - if: "pv('SIM:REC:LongOut.STAT') != 'UDF'"
            then: [{set: {pv: rec.string, value: no UDF}}]
            else: [{set: {pv: rec.string, value: is UDF}}]
          - set: {pv: rec.number, value: 5}
          - wait: {pv: SIM:REC:LongOut.STAT, not: UDF, timeout: 5}
          - wait: {pv: SIM:REC:LongOut.STAT, equals: NO_ALARM, timeout: 5}
          - set: {pv: SIM:REC:LongOut.SCAN, value: 10 second, readback: SIM:REC:LongOut.SCAN}
          - set: {pv: SIM:REC:LongOut.SCAN, value: Passive}
          - set: {pv: SIM:REC:Chars, value: "written, as text"}
          - wait: {pv: SIM:REC:Chars, equals: "written, as text", timeout: 5}
    """

    outcome = rig.run(text)

    assert outcome["failed"] == "", outcome["message"]
    assert rig.client.get("SIM:REC:StringOut") == "is UDF"


def test_the_class_name_of_a_mirror_is_the_type_of_its_record(rig: Rig) -> None:
    got = rig.python("""
        import asyncio, aioca
        async def main():
            for name in ("ao", "mbbo", "wave"):
                got = await aioca.caget(f"ORCH:MON:rec:{name}", datatype=aioca.DBR_CLASS_NAME)
                print(got if isinstance(got, str) else got[0], flush=True)
            aioca.purge_channel_caches()
        asyncio.run(main())
    """)
    assert got.wait(20) == 0
    assert got.output.split() == ["ao", "mbbo", "waveform"]
