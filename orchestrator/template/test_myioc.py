"""Tests of the IOC: its device alone, the IOC as a process, and a sequence across it."""

from pathlib import Path

import numpy as np
import pytest
from myioc import Myioc, SimulatedSupply

from sim_iocs.testing import Client, Member, RefusedError, until

HERE = Path(__file__).parent


@pytest.fixture
def fleet(ioc_fleet):
    """The IOC, on a port of its own; more can be started beside it."""
    return ioc_fleet(Member(script=HERE / "myioc.py", prefix="MYIOC:"))


@pytest.fixture
def client(fleet):
    """A Channel Access client; its `put` waits for the put-callback."""
    with Client(fleet.env) as client:
        yield client


def test_the_device_computes_mean_and_spread():
    results = Myioc().process(np.array([1.0, 3.0]))
    assert (results["mean"], results["std"], results["count"]) == (2.0, 1.0, 2)


def test_a_put_completes_when_the_readback_has_followed(client):
    for volts in (1.0, 2.5, 0.0):
        client.put("MYIOC:Voltage", volts)
        assert client.get("MYIOC:Voltage_RBV") == volts
    with pytest.raises(RefusedError):
        client.put("MYIOC:Voltage", 11.0)
    assert client.get("MYIOC:Voltage_RBV") == 0.0


def test_the_current_follows_the_voltage_and_each_measurement_is_posted(client):
    currents = client.monitor("MYIOC:Current")
    client.put("MYIOC:Output", "On")
    client.put("MYIOC:Voltage", 2.0)
    until(lambda: client.get("MYIOC:Count") >= 10, what="ten measurements")
    assert client.get("MYIOC:Mean") == pytest.approx(2.0 / SimulatedSupply.load, abs=1e-3)
    until(lambda: len(currents.values()) >= 10, what="ten currents")


def test_the_sequence_measures_a_curve(fleet, orchestrator_service):
    service = orchestrator_service(fleet, config=HERE / "orchestrator.toml")
    outcome = service.run("myioc_curve", top=4, points=3)
    assert outcome.status == "Success", outcome.message
    assert list(outcome.data["myioc.voltage_rbv"]) == [0, 2, 4]
    assert outcome.data["myioc.mean"] == pytest.approx([0, 0.1, 0.2], abs=1e-3)
    assert service.get("myioc.output") == "Off"
