"""The recordings in `tests/journals`, made by earlier versions on real IOCs, still replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.replay import Player, RecordingReader

JOURNALS = Path(__file__).parents[2] / "journals"

OUTCOMES = {
    "pause_and_samples": [("scan", "Success", 4)],
    "lost_motor": [("far", "Failed", 0), ("s1", "Success", 0)],
}


def test_there_is_an_outcome_for_each_journal() -> None:
    assert {file.stem for file in JOURNALS.glob("*.jsonl")} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_journal_replays_to_the_same(name: str) -> None:
    replay = Player(RecordingReader(JOURNALS / f"{name}.jsonl")).play()
    assert replay.same, replay.differences
    assert [(run.name, run.status, run.rows) for run in replay.runs] == OUTCOMES[name]
    assert replay.notes == []


def test_the_lost_motor_is_what_its_run_failed_of() -> None:
    replay = Player(RecordingReader(JOURNALS / "lost_motor.jsonl")).play()
    assert "stage.x" in replay.runs[0].message
    assert "steps[1] set stage.x" in replay.runs[0].message


def test_every_key_of_a_recording_is_in_its_reference() -> None:
    page = (JOURNALS.parents[1] / "docs/reference/recordings.md").read_text()
    for file in JOURNALS.glob("*.jsonl"):
        for line in map(json.loads, file.read_text().splitlines()):
            crossed = [*line.get("in", ()), *line.get("out", ())]
            for key in (next(iter(line)), *line, *(key for item in crossed for key in item)):
                assert f"`{key}`" in page, f"{key}: {line}"


@pytest.mark.parametrize("name", OUTCOMES)
def test_journals_hold_no_name_of_the_machine_that_made_them(name: str) -> None:
    text = (JOURNALS / f"{name}.jsonl").read_text()
    assert "/tmp" not in text  # noqa: S108 - a text
    assert len(text) < 200_000
    header: dict[str, Any] = json.loads(text.partition("\n")[0])
    assert header["recording"]["config"]["!Config"]["file"] == {"!path": "orchestrator.toml"}
