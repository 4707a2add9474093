"""The simulated detector with a motor and a shutter, seen by libca."""

import math

import pytest
from sim_helpers import running, until, values

DET = "SIM:DET:"
X = "SIM:STAGE:X"
CENTER = 0.5
OPTIONS = ("--center", str(CENTER))


@pytest.fixture(scope="module")
def beamline():
    from sim_iocs.fleet import Member

    detector = Member("detector", options=OPTIONS)
    with running("motor", "shutter", detector, seed=1) as (fleet, client):
        client.put(f"{X}.VELO", 20)
        yield fleet, client


@pytest.fixture
def client(beamline):
    _, client = beamline
    client.put("SIM:SHUTTER:TravelTime", 0.05)
    client.put("SIM:SHUTTER:State", "Open")
    client.put(X, CENTER)
    client.put(f"{DET}AcquireTime", 0.05)
    client.put(f"{DET}NumImages", 1)
    until(lambda: client.get(f"{DET}MotorPosition_RBV") == CENTER, what="its own monitor")
    return client


def exposed(client):
    client.put(f"{DET}Acquire", 1)
    return client.get(f"{DET}Counts")


def test_it_finds_the_motor_by_its_own_monitor_and_counts_most_at_the_peak(client):
    at_peak = exposed(client)
    client.put(X, CENTER + 5)
    off_peak = exposed(client)
    expected = (client.get(f"{DET}Peak:Height") + client.get(f"{DET}Peak:Background")) * 0.05
    assert at_peak == pytest.approx(expected, rel=0.1)
    assert off_peak < at_peak / 20


def test_at_half_its_width_from_the_center_it_counts_half(client):
    client.put(f"{DET}Peak:Background", 0)
    at_peak = exposed(client)
    client.put(X, CENTER + client.get(f"{DET}Peak:Width") / 2)
    assert exposed(client) == pytest.approx(at_peak / 2, rel=0.15)
    client.put(f"{DET}Peak:Background", 200)


def test_the_second_motor_matters_too(client):
    at_peak = exposed(client)
    client.put("SIM:STAGE:Y.VELO", 20)
    client.put("SIM:STAGE:Y", 5)
    until(lambda: client.get(f"{DET}MotorPositionY_RBV") == 5, what="its own monitor")
    assert exposed(client) < at_peak / 20
    client.put("SIM:STAGE:Y", 0)
    until(lambda: client.get(f"{DET}MotorPositionY_RBV") == 0, what="its own monitor")


def test_with_its_shutter_closed_it_counts_background_only(client):
    client.put("SIM:SHUTTER:State", "Closed")
    dark = exposed(client)
    client.put("SIM:SHUTTER:State", "Open")
    assert dark < 40 < exposed(client)


def test_a_put_callback_completes_when_all_exposures_are_done(client):
    client.put(f"{DET}NumImages", 4)
    before = client.get(f"{DET}ArrayCounter_RBV")
    busy, counts = client.monitor(f"{DET}Acquire"), client.monitor(f"{DET}Counts")
    seen = len(counts())
    done = client.put(f"{DET}Acquire", 1)
    assert 4 * 0.05 <= done["took"] < 1
    assert client.get(f"{DET}ArrayCounter_RBV") == before + 4
    assert client.get(f"{DET}NumImagesCounter_RBV") == 4
    assert client.label(f"{DET}DetectorState_RBV") == "Idle"
    until(lambda: values(busy()) == [0, 1, 0], what="Acquire 0, 1, 0")
    until(lambda: len(counts()) == seen + 4, what="four counts")


def test_writing_0_stops_and_completes_an_outstanding_acquire(client):
    client.put(f"{DET}AcquireTime", 30)
    acquire = client.put_later(f"{DET}Acquire", 1, timeout=20)
    until(lambda: client.label(f"{DET}DetectorState_RBV") == "Acquire", what="exposure")
    client.put(f"{DET}Acquire", 0)
    assert acquire()["took"] < 10
    assert client.get(f"{DET}Acquire") == 0
    assert client.label(f"{DET}DetectorState_RBV") == "Aborted"


def test_its_spectrum_holds_the_photons_that_it_counted(client):
    total = exposed(client)
    spectrum = client.get(f"{DET}Spectrum")
    assert len(spectrum) == 1024
    assert sum(spectrum) == total > 0


def test_its_numbers_carry_units_and_limits(client):
    assert client.info(f"{DET}AcquireTime")["units"] == "s"
    assert client.info(f"{DET}AcquireTime")["lower_ctrl_limit"] > 0
    assert client.info(f"{DET}Counts")["units"] == "counts"
    assert not client.info(f"{DET}Counts")["writable"]


def test_while_its_motor_is_lost_the_signal_is_invalid_and_it_says_so(beamline, client):
    fleet, _ = beamline
    counts = client.monitor(f"{DET}Counts")
    exposed(client)
    fleet["motor"].kill()
    until(lambda: counts()[-1]["severity"] == 3, timeout=5, what="INVALID")
    done = client.put(f"{DET}Acquire", 1)
    assert done["took"] < 2
    assert math.isnan(client.get(f"{DET}Counts"))
    assert client.reading(f"{DET}Counts")["severity"] == 3
    assert client.reading(f"{DET}MotorPosition_RBV")["severity"] == 3
    lost = f"not connected: {X}.RBV, SIM:STAGE:Y.RBV"
    until(lambda: client.text(f"{DET}StatusMessage_RBV") == lost, what="what is lost")

    fleet["motor"].restart()
    until(lambda: client.text(f"{DET}StatusMessage_RBV") == "", what="the motor's return")
    assert exposed(client) > 0
    assert client.reading(f"{DET}Counts")["severity"] == 0


def test_a_frozen_motor_counts_as_lost_until_it_is_thawed(beamline, client):
    fleet, _ = beamline
    counts = client.monitor(f"{DET}Counts")
    exposed(client)
    fleet["motor"].freeze()
    try:
        until(lambda: counts()[-1]["severity"] == 3, timeout=8, what="INVALID")
        assert client.put(f"{DET}Acquire", 1)["took"] < 2
        assert math.isnan(client.get(f"{DET}Counts"))
    finally:
        fleet["motor"].thaw()
    until(lambda: client.text(f"{DET}StatusMessage_RBV") == "", what="the motor's return")
    assert exposed(client) > 0


def test_without_a_motor_and_a_shutter_it_stands_on_its_peak():
    with running("detector", seed=3) as (_, client):
        client.put(f"{DET}Acquire", 1)
        assert client.get(f"{DET}Counts") == pytest.approx(5020, rel=0.1)


def test_a_fleet_with_the_same_seed_counts_the_same():
    def counts():
        with running("detector", seed=11) as (_, client):
            return [exposed(client) for _ in range(3)]

    assert counts() == counts()
