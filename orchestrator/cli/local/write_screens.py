"""`screens`: writes operator screens, and lists for an alarm server or archiver."""

from __future__ import annotations

from pathlib import Path

import typer

from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.errors import InputError
from orchestrator.screens import FORMATS, screens_of


def screens(folder: Path, wanted: str, file: Path | None, verbose: int) -> int:
    """Write the files of a format, those that are there anew.

    Raises:
        InputError: There is no such format, or they can't be written.
    """
    set_up_logs(level_of(verbose))
    if wanted not in FORMATS:
        raise InputError(f"--format {wanted}: expected one of {', '.join(FORMATS)}")
    made = screens_of(settings(file), wanted)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
            typer.echo(folder / name)
    except OSError as error:
        raise InputError(f"{folder}: can't be written: {error.strerror}") from error
    return Code.SUCCESS
