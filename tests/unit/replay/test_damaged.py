"""Recordings that are damaged, or not ours: told as such, never by a traceback, never endless."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.replay import Player, RecordingReader
from orchestrator.replay.codec import RecordingError, decode

JOURNAL = Path(__file__).parents[2] / "journals" / "pause_and_samples.jsonl"


def damaged(folder: Path, is_it: Callable[[Any], bool], damage: Callable[[Any], None]) -> Path:
    """The journal with the first line that is it damaged."""
    lines = [json.loads(line) for line in JOURNAL.read_text().splitlines()]
    damage(next(line for line in lines if is_it(line)))
    file = folder / "damaged.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def later_turn(line: Any) -> bool:
    return line.get("t", 0) > 0 and "in" in line


def brings_items(line: Any) -> bool:
    return any("items" in crossed for crossed in line.get("in", ()))


def is_header(line: Any) -> bool:
    return "recording" in line


@pytest.mark.parametrize(
    ("is_it", "damage"),
    [
        (is_header, lambda line: line["recording"].update(config={"!Config": []})),
        (is_header, lambda line: line["recording"].update(config={"!Config": {"chain": 7}})),
        (is_header, lambda line: line["recording"].update(config=None)),
        (is_header, lambda line: line["recording"].update(w=[])),
        (is_header, lambda line: line["recording"].update(modules=3)),
        (later_turn, lambda line: line.update(t={})),
        (later_turn, lambda line: line.update(t=1e300)),
        (later_turn, lambda line: line.pop("w")),
        (later_turn, lambda line: line.update(w=1e300)),
        (later_turn, lambda line: line.update(out=[{}])),
        (later_turn, lambda line: line.update(out=[{"pv": [{}, 1]}])),
        (later_turn, lambda line: line.update({"in": [{"begin": "nobody"}]})),
        (brings_items, lambda line: line.update({"in": [{"items": [5]}]})),
        (brings_items, lambda line: line.update({"in": [{"items": [{"!CheckError": 3}]}]})),
    ],
)
def test_a_damage_is_told_with_the_file_and_never_by_a_traceback(
    tmp_path: Path, is_it: Callable[[Any], bool], damage: Callable[[Any], None]
) -> None:
    file = damaged(tmp_path, is_it, damage)
    with pytest.raises(RecordingError, match=r"damaged\.jsonl"):
        Player(RecordingReader(file)).play()


@pytest.mark.parametrize(
    "data",
    [
        {"!Reading": []},
        {"!CheckError": 3},
        {"!number": ["<f8", ""]},
        {"!array": ["O", [1], ""]},
        {"!array": ["nonsense", [1], ""]},
        {"!tuple": 5},
        {"!Severity": {}},
    ],
)
def test_a_value_that_is_none_is_an_error_of_the_recording(data: Any) -> None:
    with pytest.raises(RecordingError, match=next(iter(data))[1:]):
        decode(data)
