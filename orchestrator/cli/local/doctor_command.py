"""`doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import typer

from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config
from orchestrator.doctor import Grade, Symptom, examine

_COLOURS = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.ERROR: "red"}


def doctor(file: Path | None, verbose: int, *, as_json: bool) -> int:
    """Look at all that a service needs; 1 if something does not work.

    Raises:
        InputError: The configuration is wrong.
    """
    set_up_logs(level_of(verbose))
    found = asyncio.run(_examined(settings(file), tell=not as_json))
    errors = sum(symptom.grade is Grade.ERROR for symptom in found)
    warnings = sum(symptom.grade is Grade.WARNING for symptom in found)
    code = Code.FAILED if errors else Code.SUCCESS
    if as_json:
        symptoms = [
            {"grade": s.grade.value, "about": s.about, "text": s.text, "remedy": s.remedy}
            for s in found
        ]
        told = {"ok": not errors, "symptoms": symptoms, "exit_code": int(code)}
        typer.echo(json.dumps(told, indent=1))
    else:
        typer.echo(f"{errors} to mend, {warnings} to look at" if errors or warnings else "all well")
    return code


async def _examined(config: Config, *, tell: bool) -> list[Symptom]:
    found = []
    async for symptom in examine(config):
        found.append(symptom)
        if tell:
            _show(symptom)
    return found


def _show(symptom: Symptom) -> None:
    grade = typer.style(f"{symptom.grade.value:8}", fg=_COLOURS[symptom.grade])
    typer.echo(f"{grade}{symptom.about}: {symptom.text}")
    if symptom.remedy:
        typer.echo(f"{'':8}→ {symptom.remedy}")
