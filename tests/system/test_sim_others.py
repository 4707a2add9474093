"""The simulated shutter, temperature, digital I/O and random walk, seen by libca."""

import pytest
from sim_helpers import RefusedError, running, until, values

SHUTTER = "SIM:SHUTTER:"
TEMP = "SIM:TEMP:"
DIO = "SIM:DIO:"
WALK = "SIM:WALK:"


@pytest.fixture(scope="module")
def client():
    with running("shutter", "temperature", "digital_io", "random_walk", seed=2) as (_, client):
        yield client


@pytest.fixture
def closed(client):
    client.put(f"{SHUTTER}Interlock", "OK")
    client.put(f"{SHUTTER}TravelTime", 0.2)
    client.put(f"{SHUTTER}State", "Closed")
    return client


def test_a_shutter_put_completes_when_it_has_moved(closed):
    moves = closed.monitor(f"{SHUTTER}State_RBV")
    done = closed.put(f"{SHUTTER}State", "Open")
    assert done["took"] >= 0.2
    assert closed.label(f"{SHUTTER}State_RBV") == "Open"
    until(lambda: values(moves()) == [0, 2, 1], what="Closed, Moving, Open")


def test_a_shutter_takes_the_number_of_a_state_too(closed):
    closed.put(f"{SHUTTER}State", 1)
    assert closed.label(f"{SHUTTER}State_RBV") == "Open"


def test_a_shutter_that_is_there_completes_at_once(closed):
    closed.put(f"{SHUTTER}TravelTime", 5)
    assert closed.put(f"{SHUTTER}State", "Closed")["took"] < 5


@pytest.mark.parametrize("state", ["Ajar", 5])
def test_a_shutter_refuses_a_state_that_there_is_not(closed, state):
    with pytest.raises(RefusedError):
        closed.put(f"{SHUTTER}State", state)
    assert closed.label(f"{SHUTTER}State") == "Closed"
    assert closed.label(f"{SHUTTER}State_RBV") == "Closed"


def test_a_shutter_turned_around_fails_the_earlier_put_and_ends_where_the_last_one_said(closed):
    closed.put(f"{SHUTTER}TravelTime", 0.5)
    opening = closed.put_later(f"{SHUTTER}State", "Open")
    until(lambda: closed.label(f"{SHUTTER}State_RBV") == "Moving", what="motion")
    closed.put(f"{SHUTTER}State", "Closed")
    with pytest.raises(RefusedError):
        opening()
    assert closed.label(f"{SHUTTER}State") == closed.label(f"{SHUTTER}State_RBV") == "Closed"
    assert closed.reading(f"{SHUTTER}State")["severity"] == 0


def test_a_tripped_interlock_closes_the_shutter_and_keeps_it_closed(closed):
    closed.put(f"{SHUTTER}State", "Open")
    closed.put(f"{SHUTTER}Interlock", "Tripped")
    assert closed.label(f"{SHUTTER}State_RBV") == "Closed"
    assert closed.reading(f"{SHUTTER}State_RBV")["severity"] == 2
    with pytest.raises(RefusedError):
        closed.put(f"{SHUTTER}State", "Open")
    assert closed.label(f"{SHUTTER}State_RBV") == "Closed"
    closed.put(f"{SHUTTER}Interlock", "OK")
    closed.put(f"{SHUTTER}State", "Open")
    assert closed.reading(f"{SHUTTER}State_RBV")["severity"] == 0


def test_a_temperature_goes_to_its_setpoint_and_tells_when_it_is_there(client):
    there = client.monitor(f"{TEMP}AtSetpoint")
    client.put(f"{TEMP}RampRate", 4)
    client.put(f"{TEMP}TimeConstant", 0.1)
    client.put(f"{TEMP}Setpoint", 25)
    assert client.label(f"{TEMP}AtSetpoint") == "No"
    until(lambda: values(there()) == [1, 0, 1], what="Yes, No, Yes")
    assert client.get(f"{TEMP}Readback") == pytest.approx(25, abs=0.3)
    assert client.get(f"{TEMP}Heater") > 0


def test_a_temperature_follows_its_ramp(client):
    client.put(f"{TEMP}RampRate", 2)
    client.put(f"{TEMP}Setpoint", 35)
    followed = client.monitor(f"{TEMP}Setpoint_RBV")
    until(lambda: len(followed()) > 10, what="ten steps")
    first, last = followed()[0], followed()[10]
    slope = (last["value"] - first["value"]) / (last["timestamp"] - first["timestamp"])
    assert slope == pytest.approx(2, rel=0.3)


def test_a_hot_temperature_is_in_alarm(client):
    client.put(f"{TEMP}RampRate", 0)
    client.put(f"{TEMP}TimeConstant", 0.1)
    for setpoint, severity in ((130, 1), (180, 2), (20, 0)):
        client.put(f"{TEMP}Setpoint", setpoint)
        until(
            lambda severity=severity: client.reading(f"{TEMP}Readback")["severity"] == severity,
            what=f"severity {severity} at {setpoint}",
        )


def test_a_setpoint_beyond_its_limits_is_refused(client):
    with pytest.raises(RefusedError):
        client.put(f"{TEMP}Setpoint", 201)
    assert client.info(f"{TEMP}Setpoint")["units"] == "degC"


@pytest.fixture
def low(client):
    client.put(f"{DIO}Loopback", "On")
    client.put(f"{DIO}DO:Word", 0)
    return client


def test_a_bit_and_the_word_follow_each_other_and_loop_back(low):
    low.put(f"{DIO}DO3", "High")
    assert low.get(f"{DIO}DO:Word") == low.get(f"{DIO}DI:Word") == 8
    assert low.label(f"{DIO}DI3") == "High"
    low.put(f"{DIO}DO:Word", 0b1000_0001)
    assert [low.get(f"{DIO}DO{bit}") for bit in range(8)] == [1, 0, 0, 0, 0, 0, 0, 1]
    low.put(f"{DIO}DO0", 0)
    assert low.get(f"{DIO}DO:Word") == 128


def test_without_loopback_the_inputs_are_what_is_simulated(low):
    low.put(f"{DIO}Loopback", "Off")
    low.put(f"{DIO}DI:Simulated", 5)
    low.put(f"{DIO}DO:Word", 255)
    assert low.get(f"{DIO}DI:Word") == 5
    assert low.label(f"{DIO}DI2") == "High"
    low.put(f"{DIO}Loopback", "On")
    assert low.get(f"{DIO}DI:Word") == 255


def test_a_pulse_is_high_for_its_width_and_completes_at_its_end(low):
    low.put(f"{DIO}PulseWidth", 0.2)
    output = low.monitor(f"{DIO}DO2")
    took = low.put(f"{DIO}Pulse", 2)["took"]
    assert took >= 0.2
    until(lambda: values(output()) == [0, 1, 0], what="Low, High, Low")
    low_again, high = output()[2]["timestamp"], output()[1]["timestamp"]
    assert 0.19 < low_again - high < took


@pytest.mark.parametrize("word", [-1, 256])
def test_a_word_of_more_bits_than_there_are_is_refused(low, word):
    with pytest.raises(RefusedError):
        low.put(f"{DIO}DO:Word", word)
    assert low.get(f"{DIO}DO:Word") == 0


def test_a_random_walk_steps_with_its_period(client):
    client.put(f"{WALK}Period", 0.02)
    client.put(f"{WALK}Step", 1)
    walk = client.monitor(f"{WALK}Value")
    until(lambda: len(walk()) > 20, timeout=3, what="twenty steps")
    assert len(set(values(walk()))) > 15
    assert all(-10 <= value <= 10 for value in values(walk()))


def test_a_random_walk_takes_a_shorter_period_at_once(client):
    client.put(f"{WALK}Period", 3600)
    walk = client.monitor(f"{WALK}Value")
    client.put(f"{WALK}Period", 0.02)
    until(lambda: len(walk()) > 3, timeout=3, what="steps")


def test_a_random_walk_of_step_0_stands_still(client):
    client.put(f"{WALK}Step", 0)
    client.put(f"{WALK}Period", 0.02)
    walk = client.monitor(f"{WALK}Value")
    until(lambda: len(walk()) > 5, what="updates")
    assert len({round(value, 9) for value in values(walk())[1:]}) == 1
