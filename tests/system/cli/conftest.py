"""Simulated IOCs for all tests of the commands, and a folder for each test."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cli_rig import QUICK, SLOW, Served, Shell, serving

from sim_iocs.fleet import Fleet
from sim_iocs.testing import Client

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """IOCs that nobody harms."""
    kinds = ["motor", "detector", "temperature", "shutter", "records"]
    with Fleet(kinds, seed=1) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def client(fleet: Fleet) -> Iterator[Client]:
    """Reads and writes their PVs where not a command is what a test is about."""
    with Client(fleet.env) as client:
        yield client


@contextmanager
def configured(fleet: Fleet, folder: Path) -> Iterator[Shell]:
    """A folder with the examples' configuration; what is started in it is stopped."""
    for name in ("orchestrator.toml", "plans.py"):
        (folder / name).write_text((EXAMPLES / name).read_text())
    (folder / "sequences").mkdir()
    with closing(Shell(fleet.env, folder)) as shell:
        shell.write("sequences/slow.yaml", SLOW)
        shell.write("sequences/quick.yaml", QUICK)
        yield shell


@pytest.fixture
def shell(fleet: Fleet, tmp_path: Path) -> Iterator[Shell]:
    """A configured folder of the test's own."""
    with configured(fleet, tmp_path) as shell:
        yield shell


@pytest.fixture(scope="module")
def servers_shell(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The same for a service that the tests of a module share."""
    with configured(fleet, tmp_path_factory.mktemp("service")) as shell:
        yield shell


@pytest.fixture(scope="module")
def service(servers_shell: Shell) -> Iterator[Served]:
    """It has a slow and a quick sequence."""
    with serving(servers_shell) as served:
        yield served


@pytest.fixture
def served(service: Served) -> Served:
    """The module's service, idle: a test need not clean up, and may not end it."""
    service.settle()
    return service


@pytest.fixture
def own_served(shell: Shell) -> Iterator[Served]:
    """A service that the test may end."""
    with serving(shell) as served:
        yield served
