"""A recorded night as a test: `orchestrator replay` in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import OrchestratorError
from sim_iocs.process import Process


class ReplayError(OrchestratorError):
    """A recording can't be replayed: the text says why."""


@dataclass(frozen=True, slots=True)
class ReplayedRun:
    """A run as it went now."""

    name: str
    """Of the sequence."""
    status: str
    """Empty: its end is not in the recording."""
    message: str
    """Why it did not succeed."""
    rows: int
    """How many it took."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: `assert orchestrator_replay("night.jsonl").same`."""

    same: bool
    """It came to the same."""
    runs: tuple[ReplayedRun, ...]
    """In the order in which they began."""
    differences: tuple[str, ...]
    """The first of each run, and how the run ended, in the order of time."""
    notes: tuple[str, ...]
    """Where the recording ends early, and what has changed since."""


def replay(
    file: Path | str,
    *,
    sequences: Mapping[str, Path | str] | None = None,
    run: str | int = "",
    path: Sequence[Path | str] = (),
    timeout: float = 120,
) -> Replayed:
    """Replay a recording.

    >>> from sim_iocs.testing import replay
    >>> replay("night.jsonl").same
    True

    Args:
        file: what `orchestrator serve --record` wrote.
        sequences: files to be run in place of the recorded documents, by name.
        run: tell of this one only, by its number from 1 or its id.
        path: where Python modules of the recording are looked for, besides beside it.
        timeout: seconds that it may take.

    Raises:
        ReplayError: it is no recording that this version can replay.
        ProcessError: it has not ended after `timeout` seconds.
    """
    options = [
        f"--sequence={name}={Path(own).resolve()}" for name, own in (sequences or {}).items()
    ]
    if run:
        options.append(f"--run={run}")
    command = [sys.executable, "-P", "-m", "orchestrator", "replay", str(Path(file).resolve())]
    inherited = os.environ.get("PYTHONPATH", "")
    places = [*(str(Path(each).resolve()) for each in path), inherited]
    env = os.environ | {"PYTHONPATH": ":".join(filter(None, places))}
    process = Process("orchestrator replay", [*command, "--json", *options], env)
    try:
        code = process.end(timeout)
        if code not in (0, 1) or not process.output:
            raise ReplayError(process.errors.strip())
        told = json.loads(process.output)
    finally:
        process.close()
    runs = tuple(ReplayedRun(**each) for each in told["runs"])
    return Replayed(told["same"], runs, tuple(told["differences"]), tuple(told["notes"]))
