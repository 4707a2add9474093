"""What routes have in common: the service, who asks, and what can be run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.config import Config
from orchestrator.web.gate import CALLER
from orchestrator.web.service_link import ServiceLink


def _link(request: Request) -> ServiceLink:
    link: ServiceLink = request.app.state.link
    return link


def _config(request: Request) -> Config:
    config: Config = request.app.state.config
    return config


def _caller(request: Request) -> str:
    return str(request.scope[CALLER])


Link = Annotated[ServiceLink, Depends(_link)]
Configured = Annotated[Config, Depends(_config)]
Caller = Annotated[str, Depends(_caller)]
"""user@host."""


class ToBeRun(BaseModel):
    """What is to be run."""

    model_config = ConfigDict(extra="forbid")

    sequence: str = Field("", description="The name of a sequence of the service.")
    document: str = Field("", description="A whole document, YAML or JSON, in place of a name.")
    arguments: dict[str, Any] = Field(default_factory=dict, description="By name.")

    @model_validator(mode="after")
    def _one(self) -> ToBeRun:
        if bool(self.sequence) == bool(self.document.strip()):
            raise ValueError("expected either `sequence`, a name, or `document`, a text")
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """As the service is asked for it."""
        facts = {"text": self.sequence, "document": self.document, "args": self.arguments}
        return facts | {"origin": "document" if self.document else ""}
