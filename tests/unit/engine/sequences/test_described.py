"""A sequence as those are told of it who want to run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import Config
from orchestrator.engine import described, library_of
from orchestrator.errors import InputError

TEXT = """\
description: Goes there.
parameters:
  to: {type: float, min: -1, max: 1, units: mm, description: Where to.}
  speed: 2
  mode: {default: fast, choices: [fast, slow]}
steps: [{log: $(to)}]
"""


def test_what_it_takes_is_a_schema(tmp_path: Path) -> None:
    (tmp_path / "go.yaml").write_text(TEXT)
    shown = described(library_of(Config(sequences=tmp_path)), "go")
    assert (shown["language"], shown["text"], shown["origin"]) == ("yaml", TEXT, "go.yaml")
    assert shown["description"] == "Goes there."
    taken = shown["arguments"]
    assert taken["required"] == ["to"]
    assert taken["properties"]["to"] == {
        "type": "number",
        "minimum": -1,
        "maximum": 1,
        "units": "mm",
        "description": "Where to.",
    }
    assert taken["properties"]["speed"] == {"type": "number", "default": 2}
    assert taken["properties"]["mode"]["enum"] == ["fast", "slow"]


def test_one_that_is_not_there_or_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("steps: [{lock: x}]")
    library = library_of(Config(sequences=tmp_path))
    with pytest.raises(InputError, match="there is no sequence 'go'"):
        described(library, "go")
    with pytest.raises(InputError, match="lock"):
        described(library, "bad")
