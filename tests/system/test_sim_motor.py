"""The simulated motor, seen by libca."""

import itertools
import json
import os
import subprocess
import sys

import pytest
from sim_helpers import RefusedError, running, until, values

X = "SIM:STAGE:X"


@pytest.fixture(scope="module")
def stage():
    with running("motor") as (fleet, client):
        yield fleet, client


@pytest.fixture
def client(stage):
    _, client = stage
    client.put(f"{X}.VELO", 5)
    client.put(f"{X}.ACCL", 0.05)
    client.put(X, 0)
    return client


def test_a_put_callback_completes_when_the_motor_stands_at_its_target(client):
    dmov, rbv = client.monitor(f"{X}.DMOV"), client.monitor(f"{X}.RBV")
    done = client.put(X, 1.0)
    assert done["took"] > 1 / 5
    assert client.get(f"{X}.DMOV") == 1
    assert client.get(f"{X}.RBV") == 1.0
    until(lambda: values(dmov())[-3:] == [1, 0, 1], what="DMOV 1, 0, 1")
    until(lambda: values(rbv())[-1] == 1.0, what="RBV at its target")


def test_the_readback_moves_steadily_and_is_stamped_as_it_moves(client):
    rbv = client.monitor(f"{X}.RBV")
    before = len(rbv())
    client.put(X, 2.0)
    until(lambda: values(rbv())[-1] == 2.0, what="RBV at its target")
    moving = rbv()[before:]
    assert len(moving) >= 5
    assert values(moving) == sorted(values(moving))
    stamps = [update["timestamp"] for update in moving]
    assert all(0 < b - a < 0.5 for a, b in itertools.pairwise(stamps))


def test_dmov_pulses_for_a_move_of_no_length(client):
    dmov = client.monitor(f"{X}.DMOV")
    before = len(dmov())
    client.put(X, 0)
    until(lambda: values(dmov()[before:]) == [0, 1], what="a pulse of DMOV")


def test_val_is_the_same_pv_as_the_plain_name(client):
    client.put(f"{X}.VAL", 0.5)
    assert client.get(X) == client.get(f"{X}.VAL") == client.get(f"{X}.RBV") == 0.5


def test_stop_completes_an_outstanding_put_where_the_motor_is(client):
    move = client.put_later(X, 9.0)
    until(lambda: client.get(f"{X}.RBV") > 0.2, what="motion")
    client.put(f"{X}.STOP", 1)
    move()
    there = client.get(f"{X}.RBV")
    assert 0.2 < there < 8
    assert client.get(X) == there
    assert client.get(f"{X}.DMOV") == 1
    assert client.get(f"{X}.MOVN") == 0
    assert client.get(f"{X}.STOP") == 0


def test_stop_of_a_standing_motor_completes_and_moves_nothing(client):
    dmov = client.monitor(f"{X}.DMOV")
    before = len(dmov())
    client.put(f"{X}.STOP", 1)
    assert len(dmov()) == before
    assert client.get(f"{X}.RBV") == 0


def test_a_put_during_a_move_turns_the_motor_and_both_complete_at_its_end(client):
    dmov = client.monitor(f"{X}.DMOV")
    before = len(dmov())
    first = client.put_later(X, 5.0)
    until(lambda: client.get(f"{X}.RBV") > 0.5, what="motion")
    second = client.put_later(X, -0.5)
    first_ended, second_ended = first()["at"], second()["at"]
    assert client.get(f"{X}.RBV") == -0.5
    assert abs(first_ended - second_ended) < 0.1
    until(lambda: values(dmov())[-1] == 1, what="DMOV")
    assert values(dmov()[before:]).count(1) == 1, "it stood in between"


@pytest.mark.parametrize("target", [10.001, -11, float("nan")])
def test_a_target_beyond_the_limits_is_refused_and_nothing_moves(client, target):
    dmov = client.monitor(f"{X}.DMOV")
    before = len(dmov())
    with pytest.raises(RefusedError):
        client.put(X, target)
    assert len(dmov()) == before
    assert client.get(X) == 0


def test_the_alarm_of_a_refused_target_goes_with_the_next_good_one(client):
    with pytest.raises(RefusedError):
        client.put(X, 11)
    assert client.reading(X)["severity"] == 2
    assert client.reading(f"{X}.RBV")["severity"] == 0
    client.put(X, 0.1)
    assert client.reading(X)["severity"] == 0


def test_clients_see_limits_units_and_precision(client):
    for pv in (X, f"{X}.VAL"):
        about = client.info(pv)
        assert (about["lower_ctrl_limit"], about["upper_ctrl_limit"]) == (-10, 10)
        assert (about["units"], about["precision"]) == ("mm", 4)
    assert client.info(f"{X}.VELO")["units"] == "mm/s"
    assert client.get(f"{X}.EGU") == "mm"
    assert not client.info(f"{X}.RBV")["writable"]


def test_a_new_limit_refuses_and_shows_in_the_metadata(client):
    client.put(f"{X}.HLM", 2)
    try:
        assert client.info(X)["upper_ctrl_limit"] == 2
        with pytest.raises(RefusedError):
            client.put(X, 3)
    finally:
        client.put(f"{X}.HLM", 10)
    client.put(X, 3)


def test_the_motors_of_a_stage_move_at_the_same_time(client):
    client.put("SIM:STAGE:Y.VELO", 5)
    client.put("SIM:STAGE:Y", 0)
    moving = client.monitor(f"{X}.MOVN", "SIM:STAGE:Y.MOVN")
    for each in client.put_later(X, 4.0), client.put_later("SIM:STAGE:Y", -4.0):
        each()
    assert client.get("SIM:STAGE:Y.RBV") == -4.0
    until(lambda: values(moving()) == [0, 0, 1, 1, 0, 0], what="both move, then both stand")


PYEPICS = """
import json, sys, time
from epics import Motor, caget

def now(field):
    # A put completes before the monitors that it causes.
    return caget("SIM:STAGE:X." + field, use_monitor=False)

motor = Motor("SIM:STAGE:X", timeout=10)
said = [motor.move(1.5, wait=True, timeout=10), now("RBV"), motor.DESC]
motor.tweak(direction="forward", wait=True, timeout=10)
said += [round(now("RBV"), 6), motor.within_limits(11), motor.move(11)]
motor.move(-9, wait=False)
while now("RBV") > 1:
    time.sleep(0.01)
motor.stop()
while now("DMOV") == 0:
    time.sleep(0.01)
said.append(-9 < now("VAL") == now("RBV") < 1)
motor.set_position(3.0)
said.append(now("RBV"))
motor.put("OFF", 0, wait=True)
motor.move(0, wait=True, timeout=10)
print(json.dumps(said))
"""


def test_the_motor_class_of_pyepics_takes_it_for_a_motor_record(stage, client, tmp_path):
    fleet, _ = stage
    client.put(f"{X}.TWV", 0.1)
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        subprocess.run(
            [sys.executable, "-c", PYEPICS],
            env=os.environ | fleet.env,
            stdout=out,
            stderr=err,
            timeout=60,
        )
    said = (tmp_path / "out").read_text()
    assert said, (tmp_path / "err").read_text()
    assert json.loads(said) == [0, 1.5, "simulated motor", 1.6, False, -12, True, 3.0]
    until(lambda: client.get(f"{X}.OFF") == 0, what="the offset as it was")
