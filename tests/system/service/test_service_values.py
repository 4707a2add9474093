"""Values are what the IOC has: against C records, and FLOATs of a caproto IOC."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_rig import Rig, rig_of

from sim_iocs.testing import Fleet, Member

HERE = Path(__file__).parent
CHANNELS = """
[chain.v]
prefix = "VAL:"
address = "%s"
channels.long = "Long"
channels.shown = { pv = "LongOut", limits = false }
channels.stuck = "LongStuck"
channels.int64 = "Int64"
channels.ao = "Ao7"
channels.prec = "Prec"
channels.dead = "Dead"
channels.strict = { pv = "Slow", accept_invalid = false }
channels.locked = { pv = "Bo", write = false }
channels.float = "Float"
channels.one = "One"
channels.bytes = "Bytes"
channels.gain = "Gain"
channels.set = "Set"
channels.quiet = "Quiet"
channels.drifting = "Drifting"
channels.drift = "Drift"
[chain.f]
prefix = "FLT:"
address = "%s"
channels.x = "X"
channels.limited = "Limited"
"""


@dataclass
class Values:
    """The rig, and the same IOCs on the command line."""

    rig: Rig

    def run(self, *steps: str, **options: Any) -> dict[str, Any]:
        return self.rig.run("steps:\n" + "".join(f"- {step}\n" for step in steps), **options)

    def holds(self, pv: str) -> Any:
        return self.rig.client.get(pv)


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Values]:
    members = [
        Member(name="values", prefix="VAL:", script=HERE / "value_records.py"),
        Member(name="floats", prefix="FLT:", script=HERE / "value_floats.py"),
    ]
    with Fleet(members) as ours, Fleet([]) as none:
        c, floats = ours["values"], ours["floats"]
        directory = tmp_path_factory.mktemp("values") / "rig"
        more, others = CHANNELS % (c.address, floats.address), [c.address, floats.address]
        with rig_of(none, directory, more, others=others) as rig:
            for name in ("v", "f"):
                rig.until(f"CHAIN:{name}:STATUS", "Connected")
            yield Values(rig)


def ok(outcome: dict[str, Any]) -> None:
    assert (outcome["STATUS"], outcome["failed"]) == ("Success", ""), outcome["message"]


def test_whole_numbers_are_exact(values: Values) -> None:
    outcome = values.run(
        "set: {pv: v.long, value: 2000000001, readback: v.stuck, timeout: 0.5}",
    )
    assert outcome["STATUS"] == "Failed"  # HOPR of a longout, which does not hold
    assert "is outside its limits, 0 … 10" in outcome["message"]
    put = "set: {pv: v.shown, value: %d, readback: v.stuck, timeout: 0.5}"
    assert values.run(put % 2_000_000_001)["STATUS"] == "Timeout"
    ok(values.run(put % 2_000_000_000))
    assert values.holds("VAL:LongOut") == 1000, "its own DRVH"


def test_what_a_record_can_not_hold_is_refused_before_anything_is_written(values: Values) -> None:
    ok(values.run("set: {pv: v.int64, value: 7}", "set: {pv: v.one, value: 1}"))
    for pv, value, told in (
        ("v.int64", 2**53 + 1, "a DOUBLE can't hold the number 9007199254740993 exactly"),
        ("v.one", 1e39, "a FLOAT holds nothing so large"),
        ("v.float", [0.5, 1e39], "element 1: a FLOAT holds nothing so large"),
        ("v.bytes", [1, -1], "element 1: a CHAR holds 0 … 255, not -1"),
        ("v.bytes", [256], "element 0: a CHAR holds 0 … 255, not 256"),
    ):
        outcome = values.run(json.dumps({"set": {"pv": pv, "value": value}}))
        assert told in outcome["message"], outcome["message"]
        assert outcome["STATUS"] == "Failed"
    assert (values.holds("VAL:Int64"), values.holds("VAL:One")) == (7, 1)
    most = {"pv": "v.int64", "value": 2**53, "readback": "v.int64", "tolerance": 0}
    ok(values.run(json.dumps({"set": most}), "set: {pv: v.bytes, value: [0, 128, 255]}"))


def test_a_float_is_compared_as_it_is_held(values: Values) -> None:
    ok(
        values.run(
            "set: {pv: v.one, value: 0.7, readback: v.one, tolerance: 0}",
            "wait: {pv: v.one, at_least: 0.7, timeout: 1}",
            "wait: {until: v.one == 0.7 and v.one >= 0.7, timeout: 1}",
            "set: {pv: v.float, value: [0.1, 0.7], readback: v.float, tolerance: 0}",
            "set: {pv: f.limited, value: 0.7, readback: f.limited}",
            "set: {pv: v.ao, value: 0.7, readback: v.ao}",
            "wait: {pv: f.x, between: [0.7, 0.7], timeout: 1}",
        )
    )
    beyond = float(np.nextafter(np.float32(0.7), np.float32(1)))
    for pv, value in (("f.limited", beyond), ("v.ao", float(np.nextafter(0.7, 1)))):
        outcome = values.run(json.dumps({"set": {"pv": pv, "value": value}}))
        assert "is outside its limits" in outcome["message"], outcome["message"]


def test_a_strange_precision_lets_no_wrong_value_pass(values: Values) -> None:
    ok(values.run("set: {pv: v.set, value: 5, readback: v.prec}"))
    for precision in (-2, -400, 0, 400, 32767):
        values.rig.client.put("VAL:Prec.PREC", precision)
        values.rig.client.put("VAL:Prec.DESC", f"{precision}")
        outcome = values.run("set: {pv: v.set, value: 5.4, readback: v.prec, timeout: 0.3}")
        assert outcome["STATUS"] == "Timeout", precision


def test_a_number_is_the_label_of_that_text(values: Values) -> None:
    ok(
        values.run(
            "set: {pv: v.gain, value: 5}",
            "wait: {pv: v.gain, equals: 5, timeout: 1}",
            "wait: {until: v.gain == '5' and index(v.gain) == 2, timeout: 1}",
        )
    )
    assert values.holds("VAL:Gain") == "5"


def test_a_readback_within_its_deadband_is_read(values: Values) -> None:
    """A calc with MDEL 0.1: libca's monitor tells nothing of a step from 0.95 to 1."""
    ok(values.run("set: {pv: v.set, value: 0.95, readback: v.quiet}"))
    ok(values.run("set: {pv: v.set, value: 1, readback: v.quiet, timeout: 3}"))
    outcome = values.run(
        "set: {pv: v.set, value: 1.05, readback: v.quiet, readback_value: 1.04, timeout: 0.3}"
    )
    assert "read at the end, it was 1.05" in outcome["message"]


def test_a_readback_that_drifts_in_silence_is_read_before_the_timeout(values: Values) -> None:
    """It comes 0.5 s behind, and posts nothing."""
    put = "set: {pv: v.drifting, value: %s, completion: false, readback: v.drift, timeout: 1}"
    ok(values.run(put % 3))
    ok(values.run(put % 3.05))


def test_a_put_into_a_dead_link_is_told(values: Values) -> None:
    outcome = values.run("set: {pv: v.dead, value: 5}")
    ok(outcome)
    assert (
        "v.dead: the put of 5 was done, but its record is in INVALID alarm (LINK)"
        in (outcome["message"])
    )
    outcome = values.run("set: {pv: v.dead, value: 5, accept_invalid: false}")
    assert outcome["STATUS"] == "Failed"
    assert "INVALID alarm (LINK)" in outcome["message"]
    outcome = values.run("set: {pv: v.dead, value: 6, accept_invalid: true}")
    ok(outcome)
    assert "INVALID" not in outcome["message"]
    ok(values.run("set: {pv: v.strict, value: 1}"))  # a record that is well


def test_a_record_and_its_val_are_one_pv(values: Values) -> None:
    outcome = values.run("set: {pv: 'VAL:Bo.VAL', value: 1}")
    assert "the configuration says write = false" in outcome["message"]
    ok(values.run("set: {pv: 'VAL:Set.VAL', value: 3, readback: 'VAL:Quiet.VAL'}"))
    twice = "parallel: [{set: {pv: 'VAL:Ai.VAL', value: 3}}, {set: {pv: 'VAL:Ai', value: 4}}]"
    assert "is put by two branches at the same time" in values.run(twice)["message"]
    outcome = values.run(
        "{set: {pv: 'VAL:Lag', value: 1, timeout: 0.1}, on_error: continue}",
        "set: {pv: 'VAL:Lag.VAL', value: 2, timeout: 0.1}",
    )
    assert outcome["STATUS"] == "Timeout"
    assert "VAL:Lag.VAL: put of 2 could not begin within 0.1 s" in outcome["message"]
    ok(values.run("set: {pv: 'VAL:Lag.VAL', value: 3, timeout: 2}"))
    assert values.holds("VAL:Lag") == 3


def orchestrator(values: Values, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in the service's folder, so that its aliases hold."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", *words],
        env=values.rig.env,
        cwd=values.rig.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_put_on_the_command_line_takes_values_as_sequences_do(values: Values) -> None:
    pairs = [
        ("v.int64", "9007199254740993", "a DOUBLE can't hold the number 9007199254740993 exactly"),
        ("v.one", "1e39", "a FLOAT holds nothing so large"),
        ("v.long", "2147483648", "a LONG holds -2147483648 … 2147483647, not 2147483648"),
    ]
    done = orchestrator(values, "put", *(word for pv, text, _ in pairs for word in (pv, text)))
    assert done.returncode == 1
    for _, _, told in pairs:
        assert told in done.stderr
    done = orchestrator(values, "put", "--wait", "v.gain", "2", "v.dead", "5", "v.one", "0.7")
    assert done.returncode == 0, done.stderr
    assert "v.gain: 2 is taken as the label '2', which has the index 1" in done.stderr
    assert "v.dead: its record is in INVALID alarm (LINK)" in done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["2", "5", "0.7"]


def test_check_tells_before_a_run(values: Values) -> None:
    steps = (
        "set: {pv: v.gain, value: 2}",
        "wait: {pv: v.stuck, equals: 2000000000.5, timeout: 1}",
        "set: {pv: v.one, value: 1e39}",
        "set: {pv: v.shown, value: 2000000000}",
        "set: {pv: f.limited, value: 0.7}",
    )
    file = values.rig.directory / "looked_at.yaml"
    file.write_text("steps:\n" + "".join(f"- {step}\n" for step in steps))
    done = orchestrator(values, "check", str(file))
    told = done.stdout + done.stderr
    assert done.returncode == 2
    assert "steps[0] set v.gain: 2 is taken as the label '2'" in told
    assert "none of which is 2000000000.5" in told
    assert "steps[2] set v.one: a FLOAT holds nothing so large" in told
    assert "steps[3]" not in told
    assert "steps[4]" not in told
