"""The IOC that misbehaves on command, seen by libca."""

from __future__ import annotations

import math
import time

import pytest
from sim_helpers import RefusedError, running, until, values

P = "SIM:FAULTY:"


@pytest.fixture(scope="module")
def fleet_client():
    with running("faulty") as (_, client):
        yield client


@pytest.fixture
def client(fleet_client):
    client = fleet_client
    client.put(f"{P}Mode", "Good")
    client.put(f"{P}Delay", 0.1)
    client.put(f"{P}Setpoint", 0)
    until(lambda: client.get(f"{P}Readback") == 0, what="the readback at 0")
    return client


def readback(client):
    return client.get(f"{P}Readback")


def test_a_good_put_completes_when_the_readback_is_there(client):
    client.put(f"{P}Delay", 0.3)
    assert client.put(f"{P}Setpoint", 1)["took"] >= 0.3
    assert readback(client) == 1


def test_a_lagging_one_completes_before_the_readback_is_there(client):
    client.put(f"{P}Mode", "Lags")
    client.put(f"{P}Delay", 3)
    assert client.put(f"{P}Setpoint", 2)["took"] < 3
    assert readback(client) == 0
    until(lambda: readback(client) == 2, what="arrival")


def test_a_hanging_put_does_not_complete_until_the_mode_changes(client):
    client.put(f"{P}Mode", "Hangs")
    with pytest.raises(RefusedError, match=r"(?i)timeout|timed out"):
        client.put(f"{P}Setpoint", 3, timeout=0.7)
    assert readback(client) == 3
    put = client.put_later(f"{P}Setpoint", 4)
    client.put(f"{P}Mode", "Good")
    put()


@pytest.mark.parametrize(("mode", "ends"), [("Misses", 4.5), ("Sticks", 0)])
def test_a_put_completes_though_the_readback_is_not_there(client, mode, ends):
    client.put(f"{P}Mode", mode)
    client.put(f"{P}Setpoint", 4)
    assert readback(client) == ends


def test_a_drifting_readback_leaves_after_it_got_there(client):
    client.put(f"{P}Mode", "Drifts")
    client.put(f"{P}Setpoint", 5)
    until(lambda: readback(client) > 5.01, what="drift")


def test_a_refused_put_fails_and_changes_nothing(client):
    client.put(f"{P}Mode", "Refuses")
    with pytest.raises(RefusedError):
        client.put(f"{P}Setpoint", 6)
    assert client.get(f"{P}Setpoint") == 0


def test_the_readback_is_nan_or_invalid_and_sound_again(client):
    client.put(f"{P}Mode", "NaN")
    until(lambda: math.isnan(readback(client)), what="NaN")
    client.put(f"{P}Mode", "Invalid")
    until(lambda: client.reading(f"{P}Readback")["severity"] == 3, what="INVALID")
    assert readback(client) == 0
    client.put(f"{P}Mode", "Good")
    until(lambda: client.reading(f"{P}Readback")["severity"] == 0, what="no alarm")


def test_the_heart_stands_still_while_the_rest_works(client):
    until(lambda: client.get(f"{P}Heartbeat") > 0, what="a beat")
    client.put(f"{P}Heart", "Stands")
    stood = client.get(f"{P}Heartbeat")
    client.put(f"{P}Setpoint", 1)
    ticks = client.get(f"{P}Stamped")
    until(lambda: client.get(f"{P}Stamped") > ticks + 6, what="more ticks of 0.2 s than a beat has")
    assert client.get(f"{P}Heartbeat") == stood
    client.put(f"{P}Heart", "Beats")
    until(lambda: client.get(f"{P}Heartbeat") > stood, what="a beat")


@pytest.mark.parametrize("rate", [500, 20_000])
def test_it_floods_its_clients_at_the_rate_asked_for_and_stops(client, rate):
    """At once, also where it is behind with what it was to post."""
    flood = client.monitor(f"{P}Flood")
    client.put(f"{P}FloodRate", rate)
    until(lambda: len(flood()) > 200, what="a flood")
    client.put(f"{P}FloodRate", 0)
    seen = values(flood())
    assert seen == sorted(seen)
    assert client.get(f"{P}Flood") == client.get(f"{P}Flood")


@pytest.mark.parametrize(
    ("stamps", "wrong"),
    [
        ("Old", lambda a, b, c, now: max(a, b, c) < now - 3000),
        ("Future", lambda a, b, c, now: min(a, b, c) > now + 3000),
        ("Backwards", lambda a, b, c, now: c < b < a),
        ("Swapped", lambda a, b, c, now: b < a < c),
        ("Never", lambda a, b, c, now: a == b == c == 631152000),
    ],
)
def test_timestamps_are_as_wrong_as_asked_for(client, stamps, wrong):
    stamped = client.monitor(f"{P}Stamped")
    client.put(f"{P}Stamps", stamps)

    def seen():
        times = [update["timestamp"] for update in stamped()]
        threes = zip(times, times[1:], times[2:], strict=False)
        return any(wrong(*three, time.time()) for three in threes)

    until(seen, what=f"timestamps of {stamps}")
    client.put(f"{P}Stamps", "Now")
    until(lambda: abs(stamped()[-1]["timestamp"] - time.time()) < 2, what="the right time")


def test_a_pv_becomes_one_of_another_type(client):
    """libca searches ten seconds later for a channel that its server took away
    (disconnectGovernorTimer.cpp)."""
    changing = client.monitor(f"{P}Changing")
    client.put(f"{P}ChangeTo", "Array")
    until(lambda: not changing()[-1]["connected"], what="disconnection")
    until(lambda: changing()[-1]["connected"], timeout=20, what="reconnection")
    assert client.get(f"{P}Changing") == [0, 1, 2]


def test_an_enum_gets_other_labels(client):
    client.put(f"{P}Labels", "High")
    client.put(f"{P}Relabel", 1)
    assert client.info(f"{P}Labels")["enums"] == ["Off", "On", "Auto"]
    assert client.label(f"{P}Labels") == "On"
    client.put(f"{P}Labels", "Auto")
    client.put(f"{P}Relabel", 1)
    assert client.info(f"{P}Labels")["enums"] == ["Low", "High"]
    assert client.label(f"{P}Labels") == "High"


def test_it_hangs_up_on_its_clients_who_come_back(client):
    beats = client.monitor(f"{P}Heartbeat")
    with pytest.raises(RefusedError):
        client.put(f"{P}Disconnect", 1)
    until(lambda: any(not update["connected"] for update in beats()), what="disconnection")
    until(lambda: beats()[-1]["connected"], timeout=20, what="reconnection")
