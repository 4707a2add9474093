"""The fixtures as a tester meets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import InputError
from sim_iocs.pytest_plugin import FleetFactory, ServiceFactory
from sim_iocs.running import SimIoc
from sim_iocs.testing import Fleet, FleetError, RefusedError, Service, ServiceError

HERE = Path(__file__).parent

MOVE = """
parameters: {to: 3}
steps:
  - log: going to $(to)
  - set: {pv: motor.x, value: $(to), timeout: 5}
    name: move there
finally:
  - log: the end
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    """What the fixtures give, for all tests that leave it as it was: two motors and a service."""
    with (
        Fleet(["motor", "top=motor"], seed=1) as fleet,
        Service(fleet, sequences=HERE / "my_sequences", prefix="T:") as service,
    ):
        yield service


@pytest.fixture
def service(shared: Service) -> Iterator[Service]:
    """The same, which is idle and without faults again after the test."""
    yield shared
    assert shared.fleet is not None
    shared.fleet["motor"].clear_faults()
    if shared.get("BUSY"):
        shared.put("ABORT", 1)
    shared.until("STATE", "Idle")


@pytest.fixture
def motor(service: Service) -> SimIoc:
    """The one that tests move and harm."""
    assert service.fleet is not None
    return service.fleet["motor"]


def test_a_sequence_runs_against_a_fleet_and_its_outcome_has_samples_and_events(
    ioc_fleet: FleetFactory, orchestrator_service: ServiceFactory
) -> None:
    fleet = ioc_fleet("motor", "detector", "temperature")
    service = orchestrator_service(fleet, sequences="my_sequences")
    service.put("detector.acquire_time", 0.01)
    before = time.time()
    outcome = service.run("align", start=-0.5, stop=0.5, points=3)
    assert (outcome.status, outcome.message, outcome.name) == ("Success", "", "align")
    assert outcome.data["motor.x_rbv"] == pytest.approx([-0.5, 0, 0.5], abs=0.005)
    assert outcome.data["detector.counts"].dtype == np.float64
    assert sorted(outcome.data) == ["detector.counts", "detector.spectrum", "motor.x_rbv"]
    assert outcome.data["detector.spectrum"].shape == (3, 1024)
    assert (outcome.timestamps["detector.counts"] > before - 1).all()
    assert (outcome.severities["detector.counts"] == 0).all()
    assert outcome.told[0] == "from -0.5 to 0.5"
    kinds = [event.kind for event in outcome.events]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
    assert kinds.count("row_taken") == 3
    again = service.run("align", points=2)
    assert again.run_id != outcome.run_id
    assert len(again.data["motor.x_rbv"]) == 2


def test_a_run_in_flight_is_paused_resumed_skipped_and_aborted(service: Service) -> None:
    run = service.start("steps:\n  - delay: 30\n  - delay: 30\n    name: second\n")
    run.pause()
    assert service.get("STATE") == "Paused"
    run.resume()
    run.skip()
    run.until_step("second")
    run.abort("enough is enough")
    outcome = run.wait()
    assert outcome.status == "Aborted"
    assert "enough is enough" in outcome.message
    run = service.start(MOVE, to=2)
    run.until_step("move there")
    run.stop()
    assert run.wait().status == "Stopped"


def test_an_ioc_that_dies_fails_the_run_and_comes_back_where_it_was(
    service: Service, motor: SimIoc
) -> None:
    run = service.start(MOVE, to=9)
    run.until_step("move there")
    motor.kill()
    outcome = run.wait()
    assert outcome.status == "Failed"
    assert "SIM:STAGE:X" in outcome.message
    assert outcome.told[-1] == "the end"
    with pytest.raises(FleetError, match="IOC motor is down"):
        motor.delay(1)
    motor.restart()
    service.until_connected()
    again = service.run(MOVE, to=1)
    assert again.status == "Success", again.message


def test_pvs_are_got_put_and_followed_by_alias_by_the_services_name_and_in_full(
    service: Service,
) -> None:
    moves = service.monitor("top.x_dmov")
    service.put("top.x", 0.1)
    assert service.get("SIM:TOP:X.RBV") == pytest.approx(0.1, abs=1e-3)
    assert moves.until(1)[-2:] == [0, 1]
    assert service.get("CHAIN:COUNT") == len(service.aliases)
    assert service.get("T:STATE") == service.get("STATE") == "Idle"
    service.until("MON:top:x_rbv", service.get("top.x_rbv"))
    with pytest.raises(RefusedError):
        service.put("top.x", 1000)
    with pytest.raises(InputError, match=r"no alias 'top.xx', did you mean top\.x"):
        service.get("top.xx")
    with pytest.raises(AssertionError, match="T:STATE is 'Idle', not 'Paused'"):
        service.until("STATE", "Paused", timeout=0.2)


def test_what_cant_be_run_is_told(service: Service) -> None:
    missing = service.run("aling")
    assert (missing.status, missing.data) == ("Failed", {})
    assert "did you mean 'align'" in missing.message
    run = service.start("steps:\n  - delay: 30\n")
    with pytest.raises(ServiceError, match=r"s\d+ is running"):
        service.start(MOVE)
    run.abort()
    run.wait()
    found = service.check(MOVE, to=1000)
    assert (found.ok, found.exit_code) == (False, 2)
    assert "1000" in found.findings[0].text
    assert service.check(MOVE).ok
    with pytest.raises(ServiceError, match="end of run"):
        service.run("steps:\n  - delay: 30\n", timeout=0.3)


def test_a_service_that_dies_is_told_with_its_log_and_starts_again(service: Service) -> None:
    run = service.start("steps:\n  - log: a word before\n  - delay: 30\n")
    run.until_told("a word before")
    service.kill()
    with pytest.raises(ServiceError, match=r"ended before .* exit code -9:\n(.|\n)*a word before"):
        run.wait()
    service.restart()
    assert service.run(MOVE, to=0.1).status == "Success"


def test_a_configuration_reaches_the_fleet_and_nobody_else(
    ioc_fleet: FleetFactory, orchestrator_service: ServiceFactory, tmp_path: Path
) -> None:
    """The address of the real beamline is in it, and who may write there."""
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences" / "bright.yaml").write_text("steps:\n  - run: lit\n")
    (tmp_path / "plans.py").write_text(
        "from orchestrator import Run, sequence\n\n\n@sequence\nasync def lit(run: Run) -> None:\n"
        "    await run.set('lamp.level', 0.5)\n    await run.sample('lamp.level')\n"
    )
    file = tmp_path / "beamline.toml"
    file.write_text(
        'prefix = "$(P=B:)"\nserver.port = 5064\n[chain.lamp]\nprefix = "LAMP:"\n'
        'address = "127.0.0.1:5999"\nchannels.level = "Level"\n[access]\nwrite = ["a@b"]\n'
        '[sequences]\ndirectory = "sequences"\npython = ["plans"]\n[store]\ndirectory = "data"\n'
    )
    fleet = ioc_fleet(f"lamp={HERE / 'my_ioc.py'}:LAMP:")
    service = orchestrator_service(fleet, config=file, macros={"P": "B2:"})
    outcome = service.run("bright")
    assert (outcome.status, outcome.message) == ("Success", "")
    assert outcome.data["lamp.level"] == pytest.approx([0.5])
    assert service.prefix == "B2:"
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}  # plans.py was imported
    assert left == {"beamline.toml", "plans.py", "sequences"}


def test_faults_are_felt_by_a_run_until_they_are_cleared(
    service: Service, motor: SimIoc, monkeypatch: pytest.MonkeyPatch
) -> None:
    motor.alarm("X.RBV", "INVALID")
    assert service.reading("motor.x_rbv")["severity"] == 3
    motor.refuse_writes()
    refused = service.run(MOVE, to=0.1)
    assert refused.status == "Failed"
    assert "motor.x: the IOC gives no write access" in refused.message
    motor.clear_faults()
    motor.delay(0.3)
    began = time.monotonic()
    assert service.run(MOVE, to=0.1).status == "Success"
    assert time.monotonic() - began > 0.3
    motor.freeze()
    with monkeypatch.context() as patch:
        patch.setattr("sim_iocs.fault_line.FAULT_TIMEOUT", 0.2)
        with pytest.raises(FleetError, match=r"motor did not answer to .* within 0.2 s: is it fro"):
            motor.delay(0)
    motor.thaw()
    motor.delay(0)
    assert service.reading("motor.x_rbv")["severity"] == 0
    with pytest.raises(FleetError, match="NO_SUCH"):
        motor.alarm("NO_SUCH", "MAJOR")
    with pytest.raises(InputError, match="severity 'BAD': expected one of NO_ALARM"):
        motor.alarm("X.RBV", "BAD")
