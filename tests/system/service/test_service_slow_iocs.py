"""IOCs that answer late: what is run at once waits for the limits and labels that it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sim_iocs.pytest_plugin import ServiceFactory
from sim_iocs.testing import Fleet, Outcome, Service

LATE = 0.3
"""s until an IOC's answer reaches a client; a connection takes several answers."""


@pytest.fixture(scope="module")
def late() -> Iterator[Fleet]:
    """IOCs that answer late."""
    with Fleet(["motor", "shutter"], seed=1) as fleet:
        for ioc in fleet:
            ioc.delay(LATE)
        yield fleet


@pytest.fixture
def slow(late: Fleet, orchestrator_service: ServiceFactory) -> Service:
    """A service whose IOCs answer nothing yet, and late once they are thawed."""
    for ioc in late:
        ioc.freeze()
    return orchestrator_service(late, connected=False)


def _run_at_once(service: Service, pv: str, value: str) -> Outcome:
    """Run a `set` that begins as soon as its channels are connected."""
    assert service.fleet is not None
    run = service.start(f"steps:\n  - set: {{pv: {pv}, value: {value}, timeout: 10}}\n")
    assert service.get("CHAIN:CONNECTED") == 0
    for ioc in service.fleet:
        ioc.thaw()
    return run.wait()


def test_a_value_beyond_limits_is_refused_however_late_they_are_known(slow: Service) -> None:
    """The value is made as the step is entered, where `check` did not know it."""
    outcome = _run_at_once(slow, "motor.x", '"=max(motor.x_rbv, 0) + 1000"')
    assert outcome.status == "Failed"
    assert "limits" in outcome.message
    assert slow.get("SIM:STAGE:X") == 0


def test_a_label_is_understood_however_late_labels_are_known(slow: Service) -> None:
    assert _run_at_once(slow, "shutter.state", "Open").status == "Success"
    slow.until("MON:shutter:state", "Open")


def test_an_unknown_label_is_refused_however_late_labels_are_known(slow: Service) -> None:
    refused = _run_at_once(slow, "shutter.state", "Ajar")
    assert refused.status == "Failed"
    assert "0 = Closed, 1 = Open" in refused.message
