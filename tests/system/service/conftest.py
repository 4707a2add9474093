"""Fleets that tests share, and a service for each module."""

from collections.abc import Iterator

import pytest
from service_rig import Rig, rig_of

from sim_iocs.fleet import Fleet


@pytest.fixture(scope="session")
def steady_fleet() -> Iterator[Fleet]:
    """IOCs that nobody harms."""
    with Fleet(["motor", "records", "digital_io"], seed=1) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def module_rig(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(steady_fleet, tmp_path_factory.mktemp("service") / "rig") as rig:
        rig.until("CHAIN:stage:STATUS", "Connected")
        rig.until("CHAIN:rec:STATUS", "Connected")
        yield rig


@pytest.fixture
def rig(module_rig: Rig) -> Iterator[Rig]:
    """The module's service, idle before and after."""
    module_rig.quieten()
    yield module_rig
    module_rig.quieten()
