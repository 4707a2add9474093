"""Simulated IOCs for all tests of the commands, and a folder for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import QUICK, SLOW, Served, Shell, serving

from sim_iocs.fleet import Fleet

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """IOCs that nobody harms."""
    kinds = ["motor", "detector", "temperature", "shutter", "digital_io", "records"]
    with Fleet(kinds, seed=1) as fleet:
        yield fleet


@pytest.fixture
def shell(fleet: Fleet, tmp_path: Path) -> Iterator[Shell]:
    """A folder with the examples' configuration; what is started in it is stopped."""
    text = (EXAMPLES / "orchestrator.toml").read_text()
    (tmp_path / "orchestrator.toml").write_text(text)
    (tmp_path / "plans.py").write_text((EXAMPLES / "plans.py").read_text())
    (tmp_path / "sequences").mkdir()
    shell = Shell(fleet.env, tmp_path)
    yield shell
    shell.close()


@pytest.fixture
def served(shell: Shell) -> Iterator[Served]:
    """A service with a slow and a quick sequence."""
    shell.write("sequences/slow.yaml", SLOW)
    shell.write("sequences/quick.yaml", QUICK)
    with serving(shell) as served:
        yield served
