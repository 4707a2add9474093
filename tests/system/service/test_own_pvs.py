"""Own PVs of a real service: over Channel Access, in sequences of both kinds, after kill -9."""

from __future__ import annotations

import math
import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sim_helpers import until

from sim_iocs.testing import Client, RefusedError, Service

CONFIG = """
[own.best]
type = "double"
units = "mm"
precision = 3
limits = [-10, 10]
write = true
keep = true
alarm = { high = 5, hihi = 8 }

[own.mode]
type = "enum"
labels = ["Off", "On"]
write = true

[own.count]
type = "long"
units = "1"
keep = true

[own.word]
type = "string"
write = true

[own.note]
type = "text"
count = 100
write = true
keep = true

[own.curve]
type = "array"
count = 4
write = true
"""

PLANS = """
from orchestrator import Run, function, sequence


@function
def double_it(x):
    return 2 * x


@sequence
async def publish(run: Run, best: float = 1.0):
    await run.set("own.best", best, readback="own.best")
    assert await run.value("own.best") == best
    await run.set("own.mode", "On")
    await run.wait("own.mode", equals="On", timeout=2)
    assert await run.call("double_it", x=best) == 2 * best
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("own")
    with Service(config=CONFIG, directory=directory) as service:
        yield service


def test_clients_see_type_units_limits_and_labels(service: Service) -> None:
    best = service.client.info("ORCH:best")
    assert (best["units"], best["precision"], best["writable"]) == ("mm", 3, True)
    limits = ("lower_ctrl_limit", "upper_ctrl_limit", "lower_disp_limit", "upper_disp_limit")
    assert [best[name] for name in limits] == [-10, 10, -10, 10]
    assert (best["upper_warning_limit"], best["upper_alarm_limit"]) == (5, 8)
    assert math.isnan(best["lower_warning_limit"]), "as a record tells of none"
    assert list(service.client.info("ORCH:mode")["enums"]) == ["Off", "On"]
    assert not service.client.info("ORCH:count")["writable"]
    assert service.client.info("ORCH:curve")["count"] == 4


@pytest.mark.parametrize(
    ("name", "put", "read"),
    [
        ("best", 2.5, 2.5),
        ("best", "2.25", 2.25),
        ("mode", "On", "On"),
        ("mode", 0, "Off"),
        ("mode", "1", "On"),
        ("word", "short", "short"),
        ("note", "a text that is longer than the 39 bytes of a string", None),
        ("curve", [1.0, 2.5], [1.0, 2.5]),
    ],
)
def test_a_client_puts_and_reads_at_once_what_it_has_put(
    service: Service, name: str, put: Any, read: Any
) -> None:
    service.put(name, put)
    assert service.get(name) == (put if read is None else read)


def test_a_put_without_callback_is_taken_too(service: Service) -> None:
    service.client.put("ORCH:best", 4.5, wait=False)
    service.client.until("ORCH:best", 4.5)


@pytest.mark.parametrize(
    ("name", "put"), [("best", 10.5), ("best", "ten"), ("mode", "Blue"), ("mode", 2), ("count", 1)]
)
def test_what_does_not_fit_fails_the_put_and_changes_nothing(
    service: Service, name: str, put: Any
) -> None:
    before = service.get(name)
    with pytest.raises(RefusedError):
        service.put(name, put)
    assert service.get(name) == before


def test_the_alarm_comes_with_the_value(service: Service) -> None:
    seen = service.client.monitor("ORCH:best")
    for value in (1.0, 6.0, 9.0):
        service.put("best", value)
    until(lambda: seen.values()[-1:] == [9.0])
    alarms = [(u["severity"], u["status"]) for u in seen.updates()[-3:]]
    assert alarms == [(0, 0), (1, 4), (2, 3)]  # alarm.h: HIGH, HIHI


def test_a_sequence_sets_waits_samples_and_computes_with_them(service: Service) -> None:
    outcome = service.run(
        """
        steps:
          - loop: {pv: own.best, from: 1, to: 3, num: 3, readback: own.best}
            do:
              - sample: [own.best, own.mode]
          - set: {pv: own.count, value: "=len(data('own.best'))"}
          - if: "own.count != 3 or own.best != 3"
            then: [fail: "it is $(own.best)"]
          - set: {pv: own.note, value: On the way}
          - wait: {pv: own.note, equals: On the way, timeout: 2}
          - set: {pv: own.curve, value: "=data('own.best')"}
        """
    )
    assert outcome.status == "Success"
    assert list(outcome.data["own.best"]) == [1, 2, 3]
    assert list(service.get("DATA:own:best")) == [1, 2, 3]
    assert list(service.get("curve")) == [1, 2, 3]
    assert service.get("count") == 3


def test_limits_and_labels_are_findings_before_a_run_also_offline(service: Service) -> None:
    name = service.sequence(
        "steps: [{set: {pv: own.best, value: 11}}, {set: {pv: own.mode, value: Blue}}]"
    )
    for offline in ([], ["--offline"]):
        told = service.command("check", name, *offline)
        assert told.code == 2
        assert "own.best: 11 mm is outside its limits" in told.errors.replace("set ", "")
        assert "'Blue' is none of its labels" in told.errors
    assert service.get("best") != 11


def test_a_run_waits_for_what_a_client_puts(service: Service) -> None:
    service.put("mode", "Off")
    run = service.start("steps:\n  - wait: {pv: own.mode, equals: On, timeout: 20}\n")
    run.until_step("wait")
    service.put("mode", "On")
    assert run.wait().status == "Success"


def test_its_full_name_is_the_same_channel(service: Service) -> None:
    """And so no put of ours to ourselves goes over the network."""
    outcome = service.run(
        """
        steps:
          - set: {pv: "ORCH:best", value: 2, readback: own.best}
          - sample: ["ORCH:best"]
        """
    )
    assert outcome.status == "Success"
    assert list(outcome.data) == ["own.best"]


def test_python_sequences_and_functions_use_them_alike(tmp_path: Path) -> None:
    (tmp_path / "own_plans.py").write_text(PLANS)
    with Service(config=CONFIG, python=["own_plans"], path=[tmp_path]) as service:
        outcome = service.run("publish", best=2.5)
        assert (outcome.status, outcome.message) == ("Success", "")
        assert service.get("best") == 2.5
        assert service.get("mode") == "On"


def test_a_suspender_holds_a_run_up_by_one(tmp_path: Path) -> None:
    text = CONFIG + "[suspend.off]\nwhen = \"own.mode == 'Off'\"\n"
    with Service(config=text) as service:
        run = service.start("steps:\n  - delay: 0.2\n")
        service.until("STATE", "Suspended")
        service.put("mode", "On")
        assert run.wait().status == "Success"


def test_who_may_not_write_is_refused(tmp_path: Path) -> None:
    with Service(config=CONFIG, access=["nobody@nowhere"]) as service:
        assert not service.client.info("ORCH:best")["writable"]
        with pytest.raises(RefusedError):
            service.put("best", 1.0)
        assert service.get("best") == 0


def test_a_kept_value_is_there_after_kill_9_however_it_was_put(tmp_path: Path) -> None:
    with Service(config=CONFIG, directory=tmp_path) as service:
        seen = service.client.monitor("ORCH:best")
        service.put("note", "before the fall")
        service.put("mode", "On")
        service.client.start(
            "put",
            pv="ORCH:CMD",
            value=textwrap.dedent(
                """
                steps:
                  - loop: {pv: own.best, from: 0.001, to: 9.999, num: 9999}
                    do: [{set: {pv: own.count, value: "=round(own.best * 1000)"}}]
                """
            ),
        )
        until(lambda: len(seen.values()) > 200)
        os.kill(service.pid, signal.SIGKILL)
        until(lambda: seen.updates()[-1]["connected"] is False, 60)
        last = max(v for v in seen.values() if v is not None)
        service.restart()
        with Client(service.env) as client:
            best, count = client.get("ORCH:best"), client.get("ORCH:count")
            assert best >= last, "nobody is told of what is not kept"
            assert 0 <= round(best * 1000) - count <= 1
            assert client.get("ORCH:note") == "before the fall"
            assert client.get("ORCH:mode") == "Off", "it is not to be kept"


def test_a_kept_value_that_does_not_fit_any_more_is_told(tmp_path: Path) -> None:
    with Service(config=CONFIG, directory=tmp_path) as service:
        service.put("best", 9.0)
    narrower = CONFIG.replace("limits = [-10, 10]", "limits = [-5, 5]")
    with Service(config=narrower, directory=tmp_path) as service:
        assert service.get("best") == 0
        assert "own.best: 9 mm is outside its limits" in service.log


def test_a_foreground_run_has_and_keeps_them(tmp_path: Path) -> None:
    with Service(config=CONFIG, directory=tmp_path) as service:
        service.put("best", 3.0)
        name = service.sequence("steps: [{set: {pv: own.best, value: '=own.best + 1'}}]")
        service._process.terminate(15)
        for expected in (4.0, 5.0):
            done = service.command("run", name)
            assert done.code == 0, done.errors
            line = (tmp_path / "runs" / "own.jsonl").read_text().splitlines()[-1]
            assert f'"value": {expected}' in line
