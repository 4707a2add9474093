"""`schema`: the JSON Schema of sequence documents."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.language.text.schema import json_schema
from orchestrator.verbs.own import register_verbs


def schema(file: Path | None) -> int:
    """Print it, with the verbs of the configuration.

    Raises:
        InputError: The configuration is wrong, or one of its verbs.
    """
    register_verbs(settings(file))
    typer.echo(json.dumps(json_schema(), indent=2))
    return Code.SUCCESS
