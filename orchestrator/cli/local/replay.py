"""`replay`: a recording, run again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.errors import InputError
from orchestrator.replay import Player, RecordingReader, Replay, RunRecord


def replay(file: Path, run: str, sequences: Sequence[str], verbose: int, *, as_json: bool) -> int:
    """Replay a recording and tell what came of it.

    Raises:
        InputError: It can't be read, or an option names what is not in it.
    """
    set_up_logs(level_of(verbose))
    outcome = Player(RecordingReader(file), _replaced(sequences)).play()
    if run:
        outcome = outcome.only(run)
    typer.echo(_json(outcome) if as_json else _text(outcome))
    return Code.SUCCESS if outcome.same else Code.FAILED


def _replaced(sequences: Sequence[str]) -> dict[str, Path]:
    files = {}
    for text in sequences:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise InputError(f"--sequence {text}: expected NAME=FILE")
        files[name] = Path(file)
    return files


def _json(outcome: Replay) -> str:
    runs = [
        {"name": run.name, "status": run.status, "message": run.message, "rows": run.rows}
        for run in outcome.runs
    ]
    same, notes = outcome.same, list(outcome.notes)
    told = {"same": same, "runs": runs, "differences": list(outcome.differences), "notes": notes}
    return json.dumps(told, ensure_ascii=False)


def _text(outcome: Replay) -> str:
    lines = [_line(run) for run in outcome.runs] or ["no run"]
    lines += [f"note: {note}" for note in outcome.notes]
    lines += [f"difference: {difference}" for difference in outcome.differences]
    return "\n".join([*lines, "the same" if outcome.same else "not the same"])


def _line(run: RunRecord) -> str:
    name = run.name or "(without a name)"
    rows = f"{run.rows} rows" if run.rows != 1 else "1 row"
    status = run.status or "no end"
    return f"{run.run_id}  {name}  {status}  {rows}" + (f"  {run.message}" if run.message else "")
