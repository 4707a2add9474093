"""Sequences: what there is to run."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from orchestrator.web.checking import Checks
from orchestrator.web.routes.asking import Configured, Link, ToBeRun

router = APIRouter(tags=["sequences"])


class SequenceNames(BaseModel):
    """What can be run by name."""

    sequences: list[str] = Field(description="Sorted.")


class SequenceText(BaseModel):
    """A sequence as it is written."""

    name: str = Field(description="By which it is run.")
    description: str = Field(description="For people.")
    language: Literal["yaml", "python"] = Field(description="In which it is written.")
    origin: str = Field(description="The file that it is read from.")
    text: str = Field(description="All of it; of Python its whole module.")
    arguments: dict[str, Any] = Field(description="The JSON Schema of what it can be given.")


class ToBeChecked(ToBeRun):
    """What is looked at."""

    offline: bool = Field(False, description="At the files only, not at the IOCs.")


class Finding(BaseModel):
    """Something that is wrong, or probably not meant."""

    level: Literal["error", "warning"] = Field(description="With an error it can't be run.")
    where: str = Field(description="File, line and column.")
    text: str = Field(description="What is wrong, and what would be right.")


class Checked(BaseModel):
    """What a check has found; keys that are not known are null."""

    sequence: str = Field(description="Its name.")
    ok: bool = Field(description="Whether it can be run.")
    findings: list[Finding] = Field(description="All that was found.")
    not_connected: str = Field("", description="The channels that are not connected.")
    parameters: dict[str, Any] | None = Field(None, description="The values that they have.")
    writes: list[str] | None = Field(None, description="The channels that it may write.")
    reads: list[str] | None = Field(None, description="Those that it reads.")
    not_seen: list[str] | None = Field(
        None, description="Of Python: what is known only when it runs."
    )
    steps: int | None = Field(None, description="How many; null where that is not known.")
    seconds: float | None = Field(None, description="Estimated duration.")
    takes: str | None = Field(None, description="The same in words.")


@router.post("/check")
async def check(asked: ToBeChecked, request: Request) -> Checked:
    """Look at a sequence without running it, as `orchestrator check` does; nothing is written.

    It is done in a process for each, two at a time.
    """
    checks: Checks = request.app.state.checks
    return Checked(**await checks.check(asked.facts | {"offline": asked.offline}))


@router.get("/sequences")
async def list_sequences(link: Link) -> SequenceNames:
    """The names of the sequences that can be run."""
    return SequenceNames(sequences=(await link.ask("sequences"))["names"])


@router.get("/sequences/{name}")
async def show_sequence(name: str, link: Link) -> SequenceText:
    """A sequence: its text, and what it can be given."""
    told = await link.ask("sequence", name=name)
    return SequenceText(**{key: told[key] for key in SequenceText.model_fields})


@router.get("/schema")
def show_schema(config: Configured) -> dict[str, Any]:
    """The JSON Schema of sequence documents, with the verbs of the configuration."""
    return _schema(config.verbs)


@cache
def _schema(_verbs: tuple[str, ...]) -> dict[str, Any]:
    from orchestrator.language.text.schema import json_schema

    return json_schema()
