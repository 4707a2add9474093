"""A device behind PVs: a process of its own, seen by libca."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sim_helpers import Client, RefusedError, running, until, values

from sim_iocs.testing import Fleet, Member

DEVICE = Member(name="device", prefix="D:", script=Path(__file__).with_name("device_ioc.py"))
COMM, READ, UDF, WRITE, STATE, HIGH = 9, 1, 17, 2, 7, 4
MINOR, MAJOR, INVALID = 1, 2, 3


@pytest.fixture(scope="module")
def fleet() -> Iterator[tuple[Fleet, Client]]:
    with running(DEVICE) as both:
        yield both


@pytest.fixture(scope="module")
def connected(fleet) -> Client:
    return fleet[1]


@pytest.fixture
def client(connected) -> Client:
    connected.put("D:fault", "")
    connected.put("D:hold", 0)
    connected.put("D:gain", 1.0)
    connected.put("D:volts", 1.0)
    return connected


def alarm(client: Client, pv: str) -> tuple[int, int]:
    reading = client.reading(pv)
    return reading["status"], reading["severity"]


# First, as nothing has been published yet:
def test_what_was_never_published_is_undefined(connected):
    assert alarm(connected, "D:mean") == (UDF, INVALID)
    assert alarm(connected, "D:volts") == (0, 0)


def test_a_put_completes_when_its_readback_has_been_seen(client):
    seen = client.monitor("D:volts_rbv")
    for volts in (2.0, 3.0, 4.0):
        client.put("D:volts", volts)
        assert values(seen())[-1] == volts


def test_a_pv_shows_what_its_method_made_of_a_put(client):
    client.put("D:volts", 2.34)
    assert client.get("D:volts") == 2.3
    assert client.get("D:volts_rbv") == 2.34


def test_a_put_that_the_device_refuses_fails_in_alarm_and_says_why(client):
    with pytest.raises(RefusedError):
        client.put("D:volts", 13)
    assert alarm(client, "D:volts") == (WRITE, MAJOR)
    assert client.get("D:volts") == 1.0
    assert client.text("D:message") == "D:volts does not take 13.0: ValueError: 13 V is unlucky"
    client.put("D:volts", 2)
    assert alarm(client, "D:volts") == (0, 0)


def test_a_put_beyond_the_limits_never_reaches_the_device(client):
    with pytest.raises(RefusedError):
        client.put("D:volts", 21)
    assert client.get("D:volts_rbv") == 1.0


def test_a_put_without_a_method_goes_to_on_put(client):
    client.put("D:other", 5.0)
    assert client.get("D:volts_rbv") == 5.0
    assert client.text("D:message") == "other was put"


def test_time_and_alarm_of_the_device_are_passed_on(client):
    client.put("D:volts", 7)
    reading = client.reading("D:volts_rbv")
    assert (reading["value"], reading["timestamp"]) == (7.5, 1e9)
    assert (reading["status"], reading["severity"]) == (STATE, MINOR)


def test_without_one_the_limits_of_the_pv_decide(client):
    client.put("D:volts", 11)
    assert alarm(client, "D:volts_rbv") == (HIGH, MINOR)
    assert client.reading("D:volts_rbv")["timestamp"] == pytest.approx(time.time(), abs=60)


def test_at_a_kilohertz_nothing_is_lost_where_all_is_kept_and_the_window_is_processed(client):
    each = client.monitor("D:each")
    client.put("D:count_to", 2000)
    client.until("D:newest", 2000, timeout=30)  # all of them, asked for again and again, are many
    until(lambda: values(each())[-1:] == [2000], timeout=30, what="2000 readings")
    assert values(each())[1:] == list(range(1, 2001))
    until(lambda: client.get("D:mean") == sum(range(1501, 2001)) / 500, what="the mean")
    assert client.get("D:trace") == list(range(1501, 2001))


def test_in_a_burst_all_is_kept_or_merged_and_counted(client):
    each, newest = client.monitor("D:each"), client.monitor("D:newest")
    merged = client.get("D:PUSH:MERGED")
    client.put("D:burst", 5000, timeout=30)
    assert values(each())[-5000:] == list(range(1, 5001))
    until(lambda: values(newest())[-1] == 5000, what="the newest")
    lost = 5000 - (len(newest()) - 1)
    assert lost > 0
    until(lambda: client.get("D:PUSH:MERGED") - merged >= lost, what="the count")
    assert client.get("D:PUSH:MAX") <= 1010


def test_what_was_all_published_at_once_is_kept_for_a_client_that_reads(client):
    monitors = [client.monitor("D:each") for _ in range(5)]
    client.put("D:burst_now", 900)  # on the event loop: none is sent before the last is queued
    for each in monitors:
        until(lambda each=each: values(each())[-1] == 900, what="the last")
        assert values(each())[-900:] == list(range(1, 901))


def test_a_hundred_thousand_publications_from_a_thread_do_not_starve_a_client(client):
    client.put("D:flood", 100_000)
    answered = 0
    while client.get("D:newest") != 100_000:
        answered += 1
    assert answered > 10
    assert client.get("D:PUSH:MAX") <= 1010


def test_a_driver_that_blocks_holds_up_neither_reads_nor_what_goes_direct(client):
    client.put("D:hold", 1)
    until(lambda: client.get("D:holding") == 1, what="a driver that blocks")
    waiting = client.put_later("D:volts", 3.0)
    stopped = client.get("D:stopped")
    for _ in range(20):
        client.get("D:volts_rbv")
    client.put("D:stop", 1)
    assert client.get("D:stopped") == stopped + 1
    assert client.get("D:volts_rbv") == 1.0
    client.put("D:hold", 0)
    waiting()
    assert client.get("D:volts_rbv") == 3.0


def test_what_depends_on_acquire_is_invalid_while_it_fails(client, fleet):
    client.put("D:count_to", 3)
    until(lambda: client.get("D:each") == 3, what="three readings")
    until(lambda: alarm(client, "D:mean") == (0, 0), what="a mean")
    client.put("D:fault", "acquire")
    for pv in ("D:each", "D:newest", "D:mean", "D:trace", "D:message"):
        until(lambda pv=pv: alarm(client, pv) == (COMM, INVALID), what=pv)
    assert client.get("D:each") == 3
    assert alarm(client, "D:volts_rbv") == (0, 0)
    text = client.text("D:message")
    assert text == "Instrument: acquire failed: TimeoutError: no answer; next try in 0.05 s"
    assert "in acquire\n" in fleet[0]["device"].errors  # a traceback for who wrote it
    client.put("D:volts", 4)  # puts still work
    client.put("D:fault", "")
    until(lambda: client.text("D:message") == "Instrument: acquire works again", what="recovery")
    assert alarm(client, "D:message") == (0, 0)
    client.put("D:count_to", 4)
    until(lambda: alarm(client, "D:mean") == alarm(client, "D:each") == (0, 0), what="new values")


def test_when_it_can_not_be_opened_all_is_invalid_and_puts_are_refused(client):
    client.put("D:fault", "open")
    until(lambda: alarm(client, "D:volts_rbv") == (COMM, INVALID), what="the alarm")
    with pytest.raises(RefusedError):
        client.put("D:volts", 4)
    client.put("D:fault", "")
    until(lambda: alarm(client, "D:volts_rbv") == (0, 0), what="as it was")
    assert client.get("D:volts_rbv") == 1.0
    client.put("D:volts", 4)


def test_what_process_gives_is_invalid_while_it_fails_and_only_that(client):
    client.put("D:count_to", 3)
    until(lambda: alarm(client, "D:mean") == (0, 0), what="a mean")
    client.put("D:fault", "process")
    client.put("D:count_to", 4)
    until(lambda: alarm(client, "D:mean") == (COMM, INVALID), what="the alarm")
    assert alarm(client, "D:each") == (0, 0)
    assert "process failed: ZeroDivisionError" in client.text("D:message")
    client.put("D:fault", "")
    client.put("D:count_to", 5)
    until(lambda: alarm(client, "D:mean") == (0, 0), what="a mean again")


def test_a_value_that_does_not_fit_is_told_and_makes_its_pv_invalid(client):
    client.put("D:count_to", 0)
    client.put("D:misfit", 1)
    assert alarm(client, "D:mean") == (READ, INVALID)
    assert client.text("D:message") == "D:mean takes a number, not 'much'"
    client.put("D:count_to", 3)
    until(lambda: alarm(client, "D:mean") == (0, 0), what="a mean")


def test_a_read_asks_the_device_and_updates_monitors(client):
    seen = client.monitor("D:gain_rbv")
    client.put("D:gain", 2.5)
    assert client.get("D:gain_rbv") == 2.5
    until(lambda: values(seen())[-1] == 2.5, what="the monitor")
    client.put("D:gain", 0.0)
    assert alarm(client, "D:gain_rbv") == (READ, INVALID)
    assert "OSError: no gain" in client.text("D:message")
    client.put("D:gain", 3.0)
    assert alarm(client, "D:gain_rbv") == (0, 0)


def test_the_queues_tell_how_they_do(client):
    client.put("D:count_to", 0)
    client.put("D:count_to", 3000)
    until(lambda: client.get("D:PUSH:RATE") > 100, what="a rate")
    assert client.get("D:PULL:MAX") >= 1
    client.put("D:count_to", 0)
    until(lambda: client.get("D:PUSH:RATE") == client.get("D:PUSH:LEN") == 0, what="quiet")
    assert client.info("D:PUSH:LEN")["writable"] is False


# Last, as it ends it:
def test_it_ends_while_the_driver_blocks(client, fleet):
    device = fleet[0]["device"]
    client.put("D:hold", 1)
    until(lambda: client.get("D:holding") == 1, what="a driver that blocks")
    client.put_later("D:volts", 3.0)
    client.get("D:volts_rbv")
    device.ask_to_stop()
    until(lambda: not device.running, what="its end")  # 1.2 s where little else runs
    assert device.exit_code == 0
    assert "threads are left in calls to the driver" in device.errors
