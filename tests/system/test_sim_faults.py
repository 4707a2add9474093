"""The faults that an IOC of the kit is told to have, as libca meets them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sim_helpers import Client, RefusedError, running, until, values

from sim_iocs.fleet import SimIoc

X = "SIM:STAGE:X"
STATE = 7


def told(ioc: SimIoc, line: str) -> str:
    """Tell an IOC a line; its answer."""
    return f"FAULT {ioc.tell(line)}"


def have(ioc: SimIoc, fault: str, **what: Any) -> None:
    assert told(ioc, json.dumps({"fault": fault, **what})) == "FAULT ok"


@pytest.fixture(scope="module")
def running_motor() -> Iterator[tuple[SimIoc, Client]]:
    with running("motor") as (fleet, client):
        client.put(f"{X}.VELO", 20)
        yield fleet["motor"], client


@pytest.fixture
def motor(running_motor: tuple[SimIoc, Client]) -> Iterator[tuple[SimIoc, Client]]:
    ioc, client = running_motor
    yield ioc, client
    have(ioc, "clear")
    client.put(X, 0)


def test_delayed_replies_and_updates_come_that_much_later_and_in_order(motor):
    ioc, client = motor
    rbv = client.monitor(f"{X}.RBV")
    have(ioc, "delay", seconds=0.7)
    before, began = len(rbv()), time.monotonic()
    put = client.put_later(X, 1.0)
    client.get(f"{X}.DMOV")
    assert time.monotonic() - began >= 0.7
    assert put()["took"] >= 0.7
    until(lambda: values(rbv())[-1] == 1.0, what="the last readback")
    moved = values(rbv()[before:])
    assert moved == sorted(moved)
    assert min(update["at"] for update in rbv()[before:]) >= began + 0.7


def test_the_end_of_a_delay_loses_nothing_and_is_prompt(motor):
    ioc, client = motor
    have(ioc, "delay", seconds=3000)
    put = client.put_later(X, 2.0)
    get = client.start("get", pv=f"{X}.DESC")
    time.sleep(0.3)
    have(ioc, "delay", seconds=0)
    assert get()["value"] == "simulated motor"
    put()
    assert client.get(f"{X}.RBV") == 2.0


def test_without_write_access_clients_know_it_and_their_puts_fail_until_it_is_given_back(motor):
    ioc, client = motor
    assert client.info(X)["writable"]
    have(ioc, "refuse_writes", on=True)
    until(lambda: not client.info(X)["writable"], what="the access-rights event")
    assert not client.info(f"{X}.ACCL")["writable"], "a channel that was made only now"
    with pytest.raises(RefusedError, match=r"(?i)write access"):
        client.put(X, 1.0)
    assert client.get(X) == 0
    have(ioc, "refuse_writes", on=False)
    until(lambda: client.info(X)["writable"], what="write access given back")
    assert not client.info(f"{X}.RBV")["writable"], "what was read-only before"
    client.put(X, 1.0)


def test_a_forced_alarm_is_posted_at_once_and_carried_by_every_update_until_it_ends(motor):
    ioc, client = motor
    rbv = client.monitor(f"{X}.RBV")
    before = len(rbv())
    have(ioc, "alarm", pv=f"{X}.RBV", severity="MAJOR")
    until(lambda: len(rbv()) > before, what="the alarm's update")
    assert rbv()[-1]["timestamp"] > rbv()[-2]["timestamp"]
    client.put(X, 0.5)
    until(lambda: values(rbv())[-1] == 0.5, what="readbacks")
    assert {(u["severity"], u["status"]) for u in rbv()[before:]} == {(2, STATE)}
    assert client.reading(f"{X}.RBV")["severity"] == 2
    assert client.reading(X)["severity"] == 0, "another PV"
    have(ioc, "alarm", pv=f"{X}.RBV", severity="NO_ALARM")
    until(lambda: rbv()[-1]["severity"] == 0, what="the end of the alarm")


def test_the_alarm_that_a_pv_has_of_its_own_shows_again_when_the_forced_one_ends(motor):
    ioc, client = motor
    have(ioc, "alarm", pv=X, severity="MINOR")
    have(ioc, "alarm", pv=X, severity="INVALID")
    val = client.monitor(X)
    with pytest.raises(RefusedError):
        client.put(X, 1000)
    assert val()[-1]["severity"] == 3
    have(ioc, "alarm", pv=X, severity="NO_ALARM")
    until(lambda: val()[-1]["severity"] == 2, what="the alarm of the refused put")


def test_clear_ends_all_of_them(motor):
    ioc, client = motor
    have(ioc, "alarm", pv=X, severity="MAJOR")
    have(ioc, "refuse_writes", on=True)
    have(ioc, "delay", seconds=1000)
    have(ioc, "clear")
    until(lambda: client.info(X)["writable"], what="write access given back")
    client.put(X, 0.1)
    assert client.reading(X)["severity"] == 0


def test_a_wrong_line_is_answered_by_an_error_and_the_ioc_goes_on(motor):
    ioc, client = motor
    assert "did you mean 'SIM:STAGE:X.RBV'" in told(
        ioc, '{"fault": "alarm", "pv": "SIM:STAGE:X.RBW", "severity": "MAJOR"}'
    )
    assert told(ioc, "delay 5").startswith("FAULT error: not a line of JSON")
    assert client.get(f"{X}.DMOV") == 1


@pytest.fixture(scope="module")
def records() -> Iterator[tuple[SimIoc, Client]]:
    with running("records") as (fleet, client):
        yield fleet["records"], client


def test_a_c_ioc_refuses_writes_by_its_access_security(records):
    ioc, client = records
    assert client.info("SIM:REC:Ao")["writable"]
    have(ioc, "refuse_writes", on=True)
    until(lambda: not client.info("SIM:REC:Ao")["writable"], what="the access-rights event")
    assert not client.info("SIM:REC:Bo")["writable"], "a channel that was made only now"
    with pytest.raises(RefusedError, match=r"(?i)write access"):
        client.put("SIM:REC:Ao", 1)
    have(ioc, "clear")
    until(lambda: client.info("SIM:REC:Ao")["writable"], what="write access given back")
    client.put("SIM:REC:Ao", 1)


@pytest.mark.parametrize(
    "name", ["Ao", "Ai", "Bo", "Mbbo", "Calc", "StringOut", "Waveform", "Slow"]
)
def test_a_c_record_of_any_type_is_in_alarm_from_now_on(records, name):
    ioc, client = records
    if name in ("Bo", "Mbbo", "StringOut"):
        client.put(f"SIM:REC:{name}", "1")  # or else it is UDF, which is worse than MAJOR
    updates = client.monitor(f"SIM:REC:{name}")
    have(ioc, "alarm", pv=f"SIM:REC:{name}", severity="MAJOR")
    until(lambda: updates()[-1]["severity"] == 2, what="the alarm")
    assert updates()[-1]["status"] == STATE
    have(ioc, "alarm", pv=f"SIM:REC:{name}", severity="NO_ALARM")
    until(lambda: updates()[-1]["severity"] == 0, what="its end")


def test_a_c_record_keeps_the_alarm_that_it_is_told_to_have_when_it_is_put(records):
    ioc, client = records
    have(ioc, "alarm", pv="SIM:REC:Ao", severity="INVALID")
    client.put("SIM:REC:Ao", 3)
    assert (client.get("SIM:REC:Ao"), client.reading("SIM:REC:Ao")["severity"]) == (3, 3)
    have(ioc, "clear")
    until(lambda: client.reading("SIM:REC:Ao")["severity"] == 0, what="the end of the alarm")


def test_a_c_ioc_says_what_it_can_not_do(records):
    ioc, _ = records
    assert "freeze the process" in told(ioc, '{"fault": "delay", "seconds": 1}')
    assert "did you mean 'SIM:REC:Mbbo'" in told(
        ioc, '{"fault": "alarm", "pv": "SIM:REC:Mbo", "severity": "MAJOR"}'
    )
