"""Every example runs, and the command of its header, against the simulated IOCs as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim_iocs.testing import Fleet, Service
from tests.pages import ROOT

EXAMPLES = ROOT / "examples"
SEQUENCES = sorted((EXAMPLES / "sequences").glob("*.yaml"))
PLANS = EXAMPLES / "plans.py"
IN_PYTHON = re.findall(r"^async def (\w+)", PLANS.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    header = (EXAMPLES / "orchestrator.toml").read_text()
    command = next(line for line in header.splitlines() if "orchestrator sim" in line)
    with Fleet(command.split("sim")[1].split()) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def service(fleet: Fleet) -> Iterator[Service]:
    with Service(fleet, config=EXAMPLES / "orchestrator.toml") as service:
        yield service


@pytest.mark.parametrize("name", [*(file.stem for file in SEQUENCES), *IN_PYTHON])
def test_an_example_runs(service: Service, name: str) -> None:
    file = PLANS if name in IN_PYTHON else EXAMPLES / "sequences" / f"{name}.yaml"
    assert f"orchestrator run {name}" in file.read_text()
    outcome = service.run(name)
    assert outcome.status == "Success", outcome.message


def test_a_service_inside_another_program(fleet: Fleet, tmp_path: Path) -> None:
    page, file = ROOT / "docs/how-to/embed.md", EXAMPLES / "embed.py"
    assert f"```python\n{file.read_text()}```" in page.read_text()
    for name in ("embed.py", "orchestrator.toml", "plans.py"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    (tmp_path / "sequences").symlink_to(EXAMPLES / "sequences")
    with (tmp_path / "out").open("w") as out:
        command = [sys.executable, "embed.py"]
        env = os.environ | fleet.env
        done = subprocess.run(command, env=env, cwd=tmp_path, stdout=out, stderr=out, timeout=60)
    said = (tmp_path / "out").read_text()
    assert done.returncode == 0, said
    events = [line for line in said.splitlines() if line.isidentifier()]
    assert (events[0], events[-1]) == ("RunStarted", "RunEnded"), said
    assert re.search(r"^Success .*\.h5$", said, re.MULTILINE), said
    assert "state: Idle" in said


@pytest.mark.parametrize("name", ["scan", IN_PYTHON[0]])
def test_an_example_runs_by_the_command_that_it_names(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    config = (EXAMPLES / "orchestrator.toml").read_text()
    config = config.replace('"sequences"', f'"{EXAMPLES / "sequences"}"')
    (tmp_path / "orchestrator.toml").write_text(config)
    (tmp_path / PLANS.name).write_text(PLANS.read_text())
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "run", name],
            env=os.environ | fleet.env,
            cwd=tmp_path,
            stdout=out,
            stderr=out,
            timeout=60,
        )
    assert done.returncode == 0, (tmp_path / "out").read_text()


def test_chained_sequence_servers(tmp_path: Path) -> None:
    config = (EXAMPLES / "chained" / "orchestrator.toml").read_text()
    sequence = (EXAMPLES / "chained" / "raster.yaml").read_text()
    assert "orchestrator run raster" in sequence
    command = next(line for line in config.splitlines() if "orchestrator sim" in line)
    with Fleet(command.split("sim", 1)[1].split()) as fleet:
        served = config.replace("port = 5064", f"port = {fleet.service_port}")
        served += "\n[ca]\nconnect_timeout = 15\n"
        (tmp_path / "orchestrator.toml").write_text(served)
        (tmp_path / "raster.yaml").write_text(sequence)
        with (tmp_path / "out").open("w") as out:
            done = subprocess.run(
                [sys.executable, "-m", "orchestrator", "run", "raster", "columns=3"],
                env=os.environ | fleet.env,
                cwd=tmp_path,
                stdout=out,
                stderr=out,
                timeout=60,
            )
    said = (tmp_path / "out").read_text()
    assert done.returncode == 0, said
    assert "The last point is at 1 and 1 mm" in said
    [rows] = (tmp_path / "runs").glob("runs/*/data.csv")
    assert len([line for line in rows.read_text().splitlines() if line[:1].isdigit()]) == 6
