"""What is known of a run at its start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import load_config
from orchestrator.engine.sequences.registry import load
from orchestrator.types import (
    Command,
    Limits,
    Metadata,
    NativeType,
    RunHeader,
    RunStarted,
    Verb,
)
from tests.unit.engine.bench import Bench

Play = Callable[..., Any]
COUNTS = Metadata(NativeType.LONG, units="counts", display=Limits(0, 10))

PLANS = """
from orchestrator import Run, function, sequence

@sequence
async def scan(run: Run, points: int = 3) -> None:
    \"\"\"Look around.\"\"\"

@function
def centre(a: float) -> float:
    return a / 2
"""

INNER = """
parameters: {far: 2}
steps:
  - sample: [sim.det]
  - set: {pv: sim.y, value: $(far)}
"""
TEXT = """
name: outer
parameters: {far: 1, near: 0}
steps:
  - set: {pv: sim.x, value: $(near)}
  - run: {sequence: inner, args: {far: $(far)}}
  - run: inner
  - run: scan
  - call: {function: centre, args: {a: 1}}
  - sample: [sim.x, sim.counts]
"""


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "plans_of_headers", raising=False)
    (tmp_path / "plans_of_headers.py").write_text(PLANS)
    (tmp_path / "inner.yaml").write_text(INNER)
    return tmp_path


def header_of(play: Play, command: Command, **options: Any) -> tuple[RunHeader, Bench]:
    async def scenario(it: Bench) -> tuple[RunHeader, Bench]:
        it.sim.add("sim.counts", 5, metadata=COUNTS)
        it.pull.offer(command)
        await asyncio.sleep(60)
        (header,) = it.store.headers
        return header, it

    found: tuple[RunHeader, Bench] = play(scenario, **options)
    return found


def test_a_document_s_header_has_all_that_it_includes(plans: Path, play: Play) -> None:
    registry = load(["plans_of_headers"], plans)
    file = plans / "plans_of_headers.py"
    file.write_text("# another one by now\n")
    command = Command(
        Verb.START, 1, args={"far": 7}, document=TEXT, origin="a.yaml", owner="me@here"
    )
    header, it = header_of(play, command, registry=registry, directory=plans)
    assert header.run_id == next(e.run_id for e in it.events if isinstance(e, RunStarted))
    assert (header.name, header.owner, header.lane) == ("outer", "me@here", "main")
    assert header.arguments == {"far": 7, "near": 0}, "those left at their default too"
    own, inner, scan, centre = header.sources
    assert (own.name, own.text, own.origin) == ("outer", TEXT, "a.yaml")
    assert (inner.name, inner.text, inner.origin) == ("inner", INNER, "inner.yaml")
    assert (scan.module, scan.qualname, scan.origin) == ("plans_of_headers", "scan", str(file))
    assert scan.text == centre.text == PLANS, "as it was when it was imported"
    assert (centre.name, centre.qualname) == ("centre", "centre")
    assert list(header.channels) == ["sim.det", "sim.x", "sim.counts"]
    assert header.channels["sim.counts"] == COUNTS
    assert header.started is not None
    assert header.started.utcoffset() is not None
    assert header.versions["python"].startswith("3.")
    assert header.versions["orchestrator"]


def test_a_python_sequence_s_header_has_its_module(plans: Path, play: Play) -> None:
    registry = load(["plans_of_headers"], plans)
    command = Command(Verb.START, 1, text="scan", args='{"points": "4"}')
    header, _ = header_of(play, command, registry=registry)
    (source,) = header.sources
    assert (header.name, header.arguments) == ("scan", {"points": 4})
    assert (source.name, source.text, source.module) == ("scan", PLANS, "plans_of_headers")


@pytest.mark.parametrize(
    ("how", "command"),
    [
        ("START", Command(Verb.START, 1, text="inner")),
        ("CMD", Command(Verb.COMMAND, 1, text="run inner")),
        ("queue", Command(Verb.COMMAND, 1, text="submit inner")),
        ("run", Command(Verb.START, 1, text="inner", how="run")),
    ],
)
def test_a_header_says_how_its_run_was_started(
    plans: Path, play: Play, how: str, command: Command
) -> None:
    header, _ = header_of(play, command, directory=plans)
    assert (header.how, header.name) == (how, "inner")


def test_a_header_knows_the_configuration_by_its_digest(tmp_path: Path, play: Play) -> None:
    file = tmp_path / "orchestrator.toml"
    file.write_text('prefix = "A:"\n')
    digest = load_config(file).digest
    # sha256sum orchestrator.toml
    assert digest == "4b20f9f377ec14eff6e076f05e8e7441d8634c9351e61034870b631adce8df24"
    command = Command(Verb.START, 1, document="steps: [{delay: 1}]")
    header, _ = header_of(play, command, digest=digest)
    assert header.versions["configuration"] == digest
