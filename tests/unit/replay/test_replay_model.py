"""Whatever runs, under whatever commands and faults: its recording replays to the same outcome."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from orchestrator.types import RunEnded
from tests.doubles import run_virtual
from tests.unit.engine.test_model import (
    REGISTRY,
    SEQUENCES,
    _attend,
    _happen,
    documents,
    happenings,
)

from .recorded import recorded_bench, replayed

EXAMPLES = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 40


@pytest.mark.timeout(0 if EXAMPLES > 1000 else 300)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(documents, happenings)
def test_every_recording_replays_to_the_same_outcome(
    document: dict[str, Any], events: list[Any]
) -> None:
    with TemporaryDirectory() as folder:
        sequences = Path(folder, "sequences")
        sequences.mkdir()
        for name, text in SEQUENCES.items():
            Path(sequences, f"{name}.yaml").write_text(text)
        file = Path(folder, "night.jsonl")
        ended = run_virtual(_play(json.dumps(document), events, sequences, file))
        replay = replayed(file, REGISTRY)
    assert replay.differences == []
    assert replay.same
    assert [(r.status, r.message) for r in replay.runs] == [
        (end.status.value, end.message) for end in ended
    ]


async def _play(text: str, events: list[Any], sequences: Path, file: Path) -> list[RunEnded]:
    async with recorded_bench(file, REGISTRY, directory=sequences) as it:
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(at, _happen, it, what, []) for at, what in events]
        timers += [loop.call_later(at, _attend, it) for at in range(100, 20_000, 100)]
        await it.run(text)
        for timer in timers:
            timer.cancel()
        await it.pull.idle()
        await it.push.idle()
        return [e for e in it.events if isinstance(e, RunEnded)]
