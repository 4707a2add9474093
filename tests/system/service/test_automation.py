"""Schedules and triggers of a real service, as clients and commands see them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sim_helpers import until

from sim_iocs.testing import Service, replay
from sim_iocs.testing.service import ServiceError

CONFIG = """
[own.current]
type = "double"
value = 300
write = true

[own.filled]
type = "long"

[schedule.often]
every = 1
sequence = "count"

[schedule.nightly]
at = "30 2 * * *"
sequence = "count"
args = { by = 0 }

[trigger.refill]
when = "own.current < 180"
rearm = "own.current > 190"
hold = 0.2
sequence = "count"
args = { by = 100 }
"""

COUNT = """\
parameters:
  by: {default: 1, type: int}
steps:
  - set: {pv: own.filled, value: "=own.filled + by"}
"""


def sequences(directory: Path) -> Path:
    folder = directory / "given"
    folder.mkdir()
    (folder / "count.yaml").write_text(COUNT)
    return folder


def without(text: str, name: str) -> str:
    return re.sub(rf"\[schedule\.{name}\]\n(?:.+\n)+", "", text)


def test_a_schedule_runs_and_tells_when_and_how(tmp_path: Path) -> None:
    with Service(config=CONFIG, sequences=sequences(tmp_path)) as service:
        until(lambda: service.get("filled") >= 2, 20)
        service.put("AUTOMATION", 0)
        until(lambda: service.get("BUSY") == 0)
        assert service.get("OWNER") == "schedule often"
        assert service.get("SCHEDULE:often:OUTCOME") == "Success"
        assert service.get("SCHEDULE:often:NEXT") > service.get("SCHEDULE:often:LAST")
        assert " 02:30:00" in service.get("SCHEDULE:nightly:NEXT")
        assert service.get("SCHEDULE:nightly:LAST") == ""
        status = service.command("status").output
        assert re.search(r"schedule often: switched off, next \S+ \S+, last .*: Success", status)
        told = {one["name"]: one for one in json.loads(service.get("SCHEDULES"))}
        assert set(told) == {"often", "nightly", "refill"}
        assert told["refill"] == {
            "kind": "trigger", "name": "refill", "sequence": "count", "next": None,
            "last": None, "outcome": "",
        }  # fmt: skip


def test_a_trigger_runs_once_until_it_is_armed_again(tmp_path: Path) -> None:
    text = without(CONFIG, "often")
    with Service(config=text, sequences=sequences(tmp_path)) as service:
        for value, filled in ((170, 100), (185, 100), (170, 100), (195, 100), (170, 200)):
            service.put("current", value)
            until(lambda filled=filled: service.get("filled") == filled)
            # It is what it is to become; that it becomes no more is seen by what comes behind.
        until(lambda: service.get("TRIGGER:refill:OUTCOME") == "Success")
        service.put("current", 300)
        service.client.put("ORCH:CMD", "automation off")
        assert service.client.reading("ORCH:AUTOMATION")["severity"] == 1
        service.put("current", 100)
        service.client.put("ORCH:CMD", "automation on")
        service.put("current", 300)
        service.put("current", 100)
        until(lambda: service.get("filled") == 300, 5)


def test_what_is_misspelt_is_told_at_the_start(tmp_path: Path) -> None:
    text = CONFIG.replace('"count"', '"cuont"', 1)
    with pytest.raises(ServiceError, match=r"schedule\.often: there is no sequence 'cuont'"):
        Service(config=text, sequences=sequences(tmp_path)).__enter__()


def test_what_was_missed_while_no_service_was_there_is_run_once(tmp_path: Path) -> None:
    text = without(CONFIG, "nightly").replace("every = 1\n", 'every = 70\nmissed = "run_once"\n')
    (tmp_path / "runs").mkdir()
    kept = {"own": "often", "value": 1.7e9, "time": 1.7e9}
    (tmp_path / "runs" / "schedules.jsonl").write_text(f"{json.dumps(kept)}\n")
    with Service(config=text, sequences=sequences(tmp_path), directory=tmp_path) as service:
        until(lambda: service.get("filled") == 1)
        until(lambda: service.get("SCHEDULE:often:OUTCOME") == "Success")
    last = json.loads((tmp_path / "runs" / "schedules.jsonl").read_text().splitlines()[-1])
    assert last["value"] > 1.7e9 + 70


def test_a_client_that_puts_without_callback_reads_what_it_has_put(tmp_path: Path) -> None:
    """As `caput` does, and our own `put`, which then tell the value."""
    with Service(config=CONFIG, sequences=sequences(tmp_path)) as service:
        for value in range(200, 230):
            done = service.command("put", "own.current", str(value)) if value == 200 else None
            if done is not None:
                assert done.code == 0
                assert "200" in done.output
            service.client.put("ORCH:current", float(value), wait=False)
            assert service.client.get("ORCH:current") == value


def test_a_recorded_service_starts_the_same_when_it_is_replayed(tmp_path: Path) -> None:
    record = tmp_path / "night.jsonl"
    options = ["--record", str(record)]
    given = sequences(tmp_path)
    with Service(config=CONFIG, sequences=given, options=options) as service:
        until(lambda: service.get("filled") >= 2, 20)
        service.put("current", 100)
        until(lambda: service.get("filled") >= 100, 20)
        service.put("AUTOMATION", 0)
        until(lambda: service.get("BUSY") == 0)
    replayed = replay(record)
    assert replayed.same, replayed.differences
    assert {run.status for run in replayed.runs} == {"Success"}
    assert len(replayed.runs) >= 3
