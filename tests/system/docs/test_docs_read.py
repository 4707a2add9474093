"""Who has read the tutorial does what the how-tos say, and it works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim_iocs.testing import Client
from tests.pages import ROOT, TUTORIAL, NewUser, new_user

pytestmark = pytest.mark.timeout(600)  # a page is up to dozens of processes, one after the other


@pytest.fixture
def user(tmp_path: Path) -> Iterator[NewUser]:
    with new_user(tmp_path, forks=True) as user:
        yield user


@pytest.fixture(scope="module")
def tutor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewUser]:
    """Has the IOCs of the tutorial running, for all who have read it."""
    with new_user(tmp_path_factory.mktemp("tutor"), forks=True) as tutor:
        tutor.follow(TUTORIAL, only=("start",))
        yield tutor


@pytest.fixture
def reader(user: NewUser, tutor: NewUser) -> NewUser:
    """Has written the files of the tutorial, and finds its IOCs."""
    user.follow(TUTORIAL, only=("file",))
    user.env |= {name: tutor.env[name] for name in tutor.env if name.startswith("EPICS_CA_")}
    return user


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


def test_a_step_of_ones_own(reader: NewUser) -> None:
    reader.follow(ROOT / "docs/how-to/write-a-step.md")
    assert reader.said.count("outcome: Success") == 2
    # From where those before have left the stage, at half a unit per s.
    assert re.search(r"takes: about [\d.]+ s\n", reader.said)
    assert '"RampStep"' in reader.said
    reader.type("sed -i 's/to: 1,/to: 1000,/' slowly.yaml")
    reader.type("orchestrator check slowly.yaml", 2)
    assert re.search(r"stage\.x: 1000.* limits", reader.said)


def test_a_night_as_a_test(reader: NewUser) -> None:
    _configure_service(reader)
    reader.follow(ROOT / "docs/how-to/turn-a-night-into-a-test.md")
    assert "the same" in reader.said
    assert "the recorded world has no answer from here on" in reader.said


def test_suspend(reader: NewUser) -> None:
    # It trips the shutter that the other readers use: so it comes last.
    reader.follow(ROOT / "docs/how-to/suspend.md")
    assert "no longer suspended by interlock" in reader.said
