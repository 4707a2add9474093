"""`schema`: the JSON Schema of sequence documents."""

from __future__ import annotations

import json

import typer

import orchestrator.verbs  # noqa: F401 - by this the verbs are known
from orchestrator.cli.codes import Code
from orchestrator.language.text.schema import json_schema


def schema() -> int:
    """Print it."""
    typer.echo(json.dumps(json_schema(), indent=2))
    return Code.SUCCESS
