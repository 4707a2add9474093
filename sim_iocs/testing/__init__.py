"""What tests of sequences are made of: a fleet of IOCs, a service, a client.

The fixtures `ioc_fleet` and `orchestrator_service` make them for one test. For several tests, make
a fixture of a wider scope of them:

    @pytest.fixture(scope="module")
    def beamline():
        with Fleet(["motor", "detector"]) as fleet:
            with Service(fleet, sequences="sequences") as service:
                yield service

Neither caproto nor libca is loaded by any of it.
"""

from sim_iocs.fleet import Fleet, FleetError, Member, SimIoc
from sim_iocs.testing.chain import alias_of, chains_of
from sim_iocs.testing.client import Client, ClientError, Monitor, Pending, RefusedError
from sim_iocs.testing.outcome import Check, Command, Event, Finding, Outcome
from sim_iocs.testing.polling import until
from sim_iocs.testing.replayed import Replayed, ReplayedRun, ReplayError, replay
from sim_iocs.testing.service import Run, Service, ServiceError

__all__ = [
    "Check",
    "Client",
    "ClientError",
    "Command",
    "Event",
    "Finding",
    "Fleet",
    "FleetError",
    "Member",
    "Monitor",
    "Outcome",
    "Pending",
    "RefusedError",
    "ReplayError",
    "Replayed",
    "ReplayedRun",
    "Run",
    "Service",
    "ServiceError",
    "SimIoc",
    "alias_of",
    "chains_of",
    "replay",
    "until",
]
