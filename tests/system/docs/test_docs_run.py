"""A new user does what README and docs say, in an empty folder, and it works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from sim_iocs.testing.polling import until
from tests.pages import ROOT, TUTORIAL, NewUser, blocks, new_user

pytestmark = pytest.mark.timeout(600)  # a page is up to dozens of processes, one after the other


@pytest.fixture
def user(tmp_path: Path) -> Iterator[NewUser]:
    with new_user(tmp_path) as user:
        yield user


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[NewUser]:
    """Who knows by README and tutorial that the commands start."""
    with new_user(tmp_path, forks=True) as user:
        yield user


def test_readme(user: NewUser) -> None:
    user.follow(ROOT / "README.md")
    said = user.said
    assert "lab.temperature" in said
    assert said.count("outcome: Success") == 3  # embedded, on the service, and its status
    assert "ORCH:STATUS" in said
    assert len(list((user.folder / "runs").glob("runs/*/data.csv"))) == 3
    user.type("orchestrator run warm_up.yaml power=80", 2)
    wrong = (user.folder / "warm_up.yaml").read_text().replace("lab.heater,", "lab.heatre,")
    (user.folder / "wrong.yaml").write_text(wrong)
    user.type("orchestrator check --offline wrong.yaml", 2)
    assert "did you mean 'lab.heater'" in user.said


def test_tutorial(user: NewUser) -> None:
    user.follow(TUTORIAL)
    assert "The peak is at" in user.said
    far = (user.folder / "move.yaml").read_text().replace("value: -1,", "value: -100,")
    (user.folder / "far.yaml").write_text(far)
    user.type("orchestrator run far.yaml", 2)
    assert "limit" in user.said


def test_in_ci(user: NewUser) -> None:
    user.follow(TUTORIAL, only=("file",))
    user.follow(ROOT / "docs/how-to/use-in-ci.md")
    assert '"status": "Success"' in (user.folder / "outcome.json").read_text()


def test_make_an_ioc_misbehave(reader: NewUser) -> None:
    reader.follow(ROOT / "docs/how-to/make-an-ioc-misbehave.md")
    assert "Success" in reader.said
    assert "SIM:FAULTY:Readback" in reader.said, "the error names what did not come"


def test_sequence_servers(reader: NewUser) -> None:
    reader.follow(ROOT / "docs/how-to/chain-sequence-servers.md")
    assert reader.said.count("outcome: Success") == 1
    assert "5 points" in reader.said or "points: 5" in reader.said


def test_patterns_of_an_ioc(reader: NewUser) -> None:
    reader.follow(ROOT / "docs/how-to/write-an-ioc.md")
    assert "hello.txt: 14 bytes" in reader.said
    assert re.search(r"SIM:RPC:Bragg:Retval.* 14\.2", reader.said)
    assert "HIHI" in reader.said
    ask = reader._with_ports("env EPICS_CA_ADDR_LIST=127.0.0.1:5064 orchestrator get LAB:Distance")

    def is_far() -> bool:  # the first value of the other IOC may be on its way
        reader.type(ask)
        return bool(re.search(r"LAB:Distance +2\.5", reader.said))

    until(is_far, 20, "the IOC has heard of the other one")


def test_own_ioc(user: NewUser) -> None:
    for block in blocks(ROOT / "docs/how-to/own-ioc.md"):
        user.do(block)
        if "new-ioc" in block.text and block.does == "run":
            user.folder /= "laser"  # `cd laser`
            config = user.folder / "orchestrator.toml"
            config.write_text(user._with_ports(config.read_text()))
    assert user.said.count("outcome: Success") == 1
    assert "4 points up to 5 V" in user.said
    assert "4 passed" in user.said


@pytest.mark.parametrize("kind", ["github-actions", "gitlab-ci"])
def test_a_workflow_does_what_it_says(user: NewUser, kind: str) -> None:
    """All of its commands but those that install, which has been done.

    On the files of the page that tells of testing, whose own command is in the workflow's.
    """
    page = ROOT / "docs/how-to/test-your-sequences.md"
    user.follow(page, only=("file",))
    (own,) = [block.text.strip() for block in blocks(page) if block.does == "run"]
    wanted = map(Requirement, (user.folder / "requirements.txt").read_text().splitlines())
    for requirement in wanted:
        ours = metadata.distribution(requirement.name).name == "ioc-orchestrator"
        assert bool(requirement.url) is ours, "we are on no index"
    workflow = YAML(typ="safe", pure=True).load(ROOT / f"examples/ci/{kind}.yml")
    installed, *commands = _commands(workflow)
    assert installed == "python -m pip install -r requirements.txt"
    check, test = commands
    user.type(f"set -e\n{check}")  # as both run them
    assert test == f"{own} -n auto --junitxml=report.xml"
    if kind == "github-actions":  # the other's is the same
        user.type(test.replace("auto", "2"))
        assert "3 passed" in user.said
        assert (user.folder / "report.xml").exists()
    user.type("sed -i s/stage.x_rbv/stage.x_rvb/ sequences/align.yaml")
    user.type(f"set -e\n{check}", 2)


def _commands(workflow: dict[str, Any]) -> list[str]:
    if "jobs" in workflow:
        steps = workflow["jobs"]["test"]["steps"]
        return [step["run"] for step in steps if "run" in step]
    return list(workflow["test"]["script"])


def test_pages_that_are_followed_say_what_to_do() -> None:
    for page in (ROOT / "README.md", TUTORIAL, ROOT / "docs/how-to/use-in-ci.md"):
        assert [block for block in blocks(page) if block.does in ("run", "start")]
