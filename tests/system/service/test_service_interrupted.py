"""A service that was killed: the next one tells of the run, and has its queue, held."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from service_rig import PREFIX, Client, Process, Rig, rig_of, start_service, until

from sim_iocs.fleet import Fleet

PUTTING = """
    steps:
      - set: {pv: rec.delay, value: 30}
      - loop: {pv: rec.ao, from: 1, to: 3, num: 3}
        do:
          - sample: [rec.ao]
          - parallel:
              - set: {pv: rec.slow, value: 1, timeout: 60}
              - wait: {pv: rec.ai, above: 1000000, timeout: 60}
    finally:
      - set: {pv: rec.ao, value: 5}
"""
"""Comes to a put whose completion takes half a minute."""
WAITING = "steps: [{wait: {pv: rec.ai, above: 1000000, timeout: 60}}]"
QUICK = "parameters: {to: 1.0}\nsteps: [{set: {pv: rec.number, value: $(to)}}]"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """IOCs of our own: a put that was killed goes on in its record, for half a minute.

    One that others have would take their puts as completed at once, for as long.
    """
    with Fleet(["motor", "records", "digital_io"], seed=1) as fleet:
        yield fleet


@pytest.fixture
def rig(fleet: Fleet, tmp_path: Path) -> Iterator[Rig]:
    """A service of the test's own."""
    with rig_of(fleet, tmp_path / "rig") as rig:
        rig.until("CHAIN:rec:STATUS", "Connected")
        yield rig


def kill(rig: Rig) -> None:
    rig.service.signal(signal.SIGKILL)
    rig.service.end()


@contextmanager
def started_again(rig: Rig) -> Iterator[tuple[Process, Client]]:
    """A service on the same port and store, and a client that has not known the one before."""
    service = start_service(rig.directory / "orchestrator.toml", rig.env)
    client = Client(rig.env)
    try:
        yield service, client
    finally:
        client.close()
        service.signal(signal.SIGTERM)
        service.end(10)
        service.close()


def reading(client: Client, name: str) -> dict[str, Any]:
    return client.start("get", pv=PREFIX + name)()


def test_the_next_service_tells_where_the_run_was_killed(rig: Rig) -> None:
    rig.client.put("SIM:REC:Ao", 0)
    name = rig.sequence(PUTTING)
    rig.start(name)
    run_id = rig.get("RUN_ID")
    rig.until("DATA:NPTS", 1)
    until(lambda: rig.client.get("SIM:REC:Slow") == 1)
    kill(rig)
    for _ in range(2):  # and the one after that, as long as nobody has run anything
        with started_again(rig) as (service, client):
            status = reading(client, "STATUS")
            assert (status["value"], status["severity"]) == ("Interrupted", 2)
            assert client.get(PREFIX + "RUN_ID") == run_id
            assert client.get(PREFIX + "RUN_NAME") == name
            assert client.get(PREFIX + "BUSY") == client.get(PREFIX + "START") == 0
            message = reading(client, "message")
            assert message["severity"] == 2
            for text in (
                "interrupted in steps[1].do[1].parallel[0] 0 set rec.slow, "
                "steps[1].do[1].parallel[1] 0 ",
                "the put of 1.0 to rec.slow had left, its completion was not seen",
                "finalisers have not run",
            ):
                assert text in message["value"]
            assert run_id in service.errors
            assert "finalisers have not run" in service.errors
            assert client.get("SIM:REC:Ao") == 1, "nothing moves by itself"
    quick = rig.sequence(QUICK)
    with started_again(rig) as (_, client):
        client.ask("put", pv=PREFIX + "CMD", value=f"run {quick}", kind="long")
        client.until(PREFIX + "STATUS", "Success")
    with started_again(rig) as (_, client):
        assert client.get(PREFIX + "STATUS") == "Undefined"
        assert client.get(PREFIX + "message") == ""


def test_the_queue_comes_back_and_is_held(rig: Rig) -> None:
    rig.client.put("SIM:REC:LongOut", 0)
    waits, quick = rig.sequence(WAITING), rig.sequence(QUICK)
    rig.put("CMD", f"submit {waits}")
    for to in (7, 8):
        rig.put("CMD", f"submit {quick} to={to}")
    rig.until("BUSY", 1)
    rig.put("CMD", "queue move 3 1")
    rig.put("CMD", "queue move 3 2")
    rig.put("CMD", "queue move 3 1")
    before = json.loads(rig.get("QUEUE"))
    kill(rig)
    with started_again(rig) as (service, client):
        queue = json.loads(client.get(PREFIX + "QUEUE"))
        assert [run["number"] for run in queue] == [1, 3, 2]
        assert queue[1:] == before
        assert queue[0]["ended"].startswith("Interrupted")
        assert reading(client, "QUEUE")["severity"] == 1, "held"
        assert "3 runs of the queue wait, held" in client.get(PREFIX + "message")
        assert "queue of runs is back" in service.errors
        assert client.get(PREFIX + "STATUS") == "Interrupted"
        assert (client.get(PREFIX + "BUSY"), client.get("SIM:REC:LongOut")) == (0, 0)
        client.ask("put", pv=PREFIX + "CMD", value=f"submit {quick} to=9")
        assert json.loads(client.get(PREFIX + "QUEUE"))[-1]["number"] == 4
        client.ask("put", pv=PREFIX + "CMD", value="queue remove 1")
        client.ask("put", pv=PREFIX + "CMD", value="queue start")
        client.until(PREFIX + "QUEUE_LEN", 0)
        client.until("SIM:REC:LongOut", 9)
        client.until(PREFIX + "BUSY", 0)
    with started_again(rig) as (_, client):
        assert client.get(PREFIX + "QUEUE_LEN") == 0
        assert reading(client, "QUEUE")["severity"] == 0


LANES = """
[lane.guard]
[lane.night]
"""


def test_each_lane_tells_of_its_own_run_and_has_its_own_queue(fleet: Fleet, tmp_path: Path) -> None:
    with rig_of(fleet, tmp_path / "rig", more=LANES) as rig:
        rig.until("CHAIN:rec:STATUS", "Connected")
        waits, quick = rig.sequence(WAITING), rig.sequence(QUICK)
        rig.put("CMD", f"@guard run {waits}")
        rig.put("CMD", f"@guard submit {quick} to=7")
        rig.put("CMD", f"@night submit {waits}")
        rig.until("guard:BUSY", 1)
        rig.until("night:BUSY", 1)
        guard, night = rig.get("guard:RUN_ID"), rig.get("night:RUN_ID")
        kill(rig)
        with started_again(rig) as (_, client):
            assert client.get(PREFIX + "STATUS") == "Undefined"
            assert client.get(PREFIX + "RUN_ID") == ""
            for lane, run_id, text in (
                ("guard", guard, "1 run of the queue waits, held"),
                ("night", night, "1 run of the queue waits, held"),
            ):
                status = reading(client, f"{lane}:STATUS")
                assert (status["value"], status["severity"]) == ("Interrupted", 2)
                assert client.get(f"{PREFIX}{lane}:RUN_ID") == run_id
                assert text in client.get(f"{PREFIX}{lane}:message")
                assert reading(client, f"{lane}:QUEUE")["severity"] == 1, "held"
                assert client.get(f"{PREFIX}{lane}:BUSY") == 0
            (waiting,) = json.loads(client.get(PREFIX + "guard:QUEUE"))
            assert waiting["args"] == {"to": "7"}
            (again,) = json.loads(client.get(PREFIX + "night:QUEUE"))
            assert again["ended"].startswith("Interrupted")
            lanes = {lane["name"]: lane for lane in json.loads(client.get(PREFIX + "LANES"))}
            assert lanes["guard"]["status"] == "Interrupted"
            client.ask("put", pv=PREFIX + "guard:CMD", value="queue start", kind="long")
            client.until("SIM:REC:LongOut", 7)
            client.until(PREFIX + "guard:QUEUE_LEN", 0)


def test_the_queue_outlives_a_service_that_ends_in_good_order(rig: Rig) -> None:
    quick = rig.sequence(QUICK)
    rig.put("CMD", "queue hold")
    rig.put("CMD", f"submit {quick} to=7")
    rig.service.signal(signal.SIGTERM)
    rig.service.end(20)
    with started_again(rig) as (_, client):
        assert client.get(PREFIX + "QUEUE_LEN") == 1
        assert client.get(PREFIX + "STATUS") == "Undefined"
        message = reading(client, "message")
        assert "1 run of the queue waits, held" in message["value"]
        assert message["severity"] == 1
