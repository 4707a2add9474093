"""A new user does what README and docs say, in an empty folder, and it works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from sim_iocs.ports import PortHold
from sim_iocs.testing import Client
from tests.pages import ROOT, NewUser, blocks

TUTORIAL = ROOT / "docs/tutorials/first-sequence.md"

pytestmark = pytest.mark.timeout(600)  # a page is up to dozens of processes, one after the other


@contextmanager
def new_user(folder: Path) -> Iterator[NewUser]:
    with ExitStack() as stack:
        ports = {written: stack.enter_context(closing(PortHold())).port for written in (5064, 5066)}
        yield stack.enter_context(NewUser(folder, ports))


@pytest.fixture
def user(tmp_path: Path) -> Iterator[NewUser]:
    with new_user(tmp_path) as user:
        yield user


@pytest.fixture(scope="module")
def tutor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewUser]:
    """Has the IOCs of the tutorial running, for all who have read it."""
    with new_user(tmp_path_factory.mktemp("tutor")) as tutor:
        tutor.follow(TUTORIAL, only=("start",))
        yield tutor


@pytest.fixture
def reader(user: NewUser, tutor: NewUser) -> NewUser:
    """Has written the files of the tutorial, and finds its IOCs."""
    user.follow(TUTORIAL, only=("file",))
    user.env |= {name: tutor.env[name] for name in tutor.env if name.startswith("EPICS_CA_")}
    return user


def test_readme(user: NewUser) -> None:
    user.follow(ROOT / "README.md")
    said = user.said
    assert "lab.temperature" in said
    assert said.count("outcome: Success") == 3  # embedded, on the service, and its status
    assert "ORCH:STATUS" in said
    assert len(list((user.folder / "runs").glob("*warm_up.csv"))) == 3
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


def test_make_an_ioc_misbehave(user: NewUser) -> None:
    user.follow(ROOT / "docs/how-to/make-an-ioc-misbehave.md")
    assert "Success" in user.said
    assert "SIM:FAULTY:Readback" in user.said, "the error names what did not come"


def test_queue_and_from_any_client(reader: NewUser) -> None:
    _configure_service(reader)
    reader.start("serve", "orchestrator serve")
    reader.follow(ROOT / "docs/how-to/queue.md")
    assert "scan" in reader.said
    assert "submitted as run 2" in reader.said
    with Client(reader.env) as client:
        client.until("ORCH:QUEUE_LEN", 0)
        client.until("ORCH:BUSY", 0)
        assert client.get("ORCH:STATUS") == "Success"
    reader.follow(ROOT / "docs/how-to/any-client.md")


def _configure_service(user: NewUser) -> None:
    config = user.folder / "orchestrator.toml"
    port = user.env["EPICS_CAS_SERVER_PORT"]
    config.write_text(
        f'[server]\nport = {port}\n[sequences]\ndirectory = "."\n{config.read_text()}'
    )
    user.env["EPICS_CA_ADDR_LIST"] += f" 127.0.0.1:{port}"


def test_python_sequences_and_robust_ones(reader: NewUser) -> None:
    reader.follow(ROOT / "docs/how-to/python-sequences.md")
    assert re.search(r"ended (bright|dark)", reader.said)
    assert reader.said.count("outcome: Success") == 2
    reader.type("orchestrator run align points=many", 2)
    reader.follow(ROOT / "docs/how-to/robust-sequences.md")
    assert reader.said.count("outcome: Success") == 3
    assert '"$schema"' in (reader.folder / "sequence.schema.json").read_text()


def test_sequence_servers(user: NewUser) -> None:
    user.follow(ROOT / "docs/how-to/chain-sequence-servers.md")
    assert user.said.count("outcome: Success") == 1
    assert "5 points" in user.said or "points: 5" in user.said


def test_a_night_as_a_test(reader: NewUser) -> None:
    _configure_service(reader)
    reader.follow(ROOT / "docs/how-to/turn-a-night-into-a-test.md")
    assert "the same" in reader.said
    assert "the recorded world has no answer from here on" in reader.said


def test_suspend(reader: NewUser) -> None:
    # It trips the shutter that the other readers use: so it comes last.
    reader.follow(ROOT / "docs/how-to/suspend.md")
    assert "no longer suspended by interlock" in reader.said


def test_patterns_of_an_ioc(user: NewUser) -> None:
    user.follow(ROOT / "docs/how-to/write-an-ioc.md")
    assert "hello.txt: 14 bytes" in user.said
    assert re.search(r"SIM:RPC:Bragg:Retval.* 14\.2", user.said)
    assert "HIHI" in user.said


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
