"""Sequences: what there is to run."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestrator.web.routes.asking import Configured, Link

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
