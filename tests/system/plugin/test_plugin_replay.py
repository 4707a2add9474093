"""The fixture that replays recordings, as a tester meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim_iocs.pytest_plugin import FleetFactory, Replayer, ServiceFactory
from sim_iocs.testing import ReplayError

JOURNALS = "../../journals"


def test_a_recording_beside_the_test_is_replayed(orchestrator_replay: Replayer) -> None:
    outcome = orchestrator_replay(f"{JOURNALS}/lost_motor.jsonl")
    assert outcome.same
    assert [(run.name, run.status) for run in outcome.runs] == [
        ("far", "Failed"),
        ("s1", "Success"),
    ]
    assert outcome.differences == outcome.notes == ()


def test_what_is_no_recording_is_an_error_that_names_it(
    orchestrator_replay: Replayer, tmp_path: Path
) -> None:
    with pytest.raises(ReplayError, match=r"none\.jsonl"):
        orchestrator_replay(tmp_path / "none.jsonl")


def test_a_test_of_today_is_recorded_and_a_change_is_told_tomorrow(
    ioc_fleet: FleetFactory,
    orchestrator_service: ServiceFactory,
    orchestrator_replay: Replayer,
    tmp_path: Path,
) -> None:
    night = tmp_path / "night.jsonl.gz"
    fleet = ioc_fleet("motor", "detector")
    service = orchestrator_service(fleet, sequences="my_sequences", options=["--record", night])
    service.put("detector.acquire_time", 0.01)
    service.run("align", start=-0.5, stop=0.5, points=3)
    service.run("align", start=0, stop=0.5, points=2)
    service.terminate()

    assert orchestrator_replay(night).same
    assert orchestrator_replay(night, run=2).runs[0].rows == 2

    changed = tmp_path / "changed.yaml"
    text = Path(__file__).with_name("my_sequences").joinpath("align.yaml").read_text()
    changed.write_text(text.replace("- sample:", "- delay: 5\n      - sample:"))
    outcome = orchestrator_replay(night, sequences={"align": changed})
    assert not outcome.same
    assert "run 1 (align)" in outcome.differences[0]
