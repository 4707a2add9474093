"""What routes have in common: the service, who asks, and what can be run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.config import Config
from orchestrator.types import MAIN_LANE
from orchestrator.web.gate import CALLER
from orchestrator.web.problems import ProblemError
from orchestrator.web.service_link import ServiceLink


def _link(request: Request) -> ServiceLink:
    link: ServiceLink = request.app.state.link
    return link


def _config(request: Request) -> Config:
    config: Config = request.app.state.config
    return config


def _caller(request: Request) -> str:
    return str(request.scope[CALLER])


def _lane(
    request: Request,
    lane: Annotated[
        str, Query(max_length=100, description="Which lane; without it the main one.")
    ] = "",
) -> str:
    return known_lane(_config(request), lane)


def known_lane(config: Config, lane: str) -> str:
    """A lane as the service has it: the main one is empty.

    Raises:
        ProblemError: There is none of that name.
    """
    if lane in ("", MAIN_LANE):
        return ""
    if lane not in config.lanes:
        lanes = ", ".join((MAIN_LANE, *config.lanes))
        raise ProblemError(404, f"there is no lane {lane!r}; the lanes are {lanes}")
    return lane


Link = Annotated[ServiceLink, Depends(_link)]
Configured = Annotated[Config, Depends(_config)]
Caller = Annotated[str, Depends(_caller)]
"""user@host."""
Lane = Annotated[str, Depends(_lane)]
"""Empty = the main one."""


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


class ToBeRunInLane(ToBeRun):
    """What is to be run, and where."""

    lane: str = Field("", max_length=100, description="In which lane; empty = the main one.")

    def asked(self, config: Config) -> dict[str, Any]:
        """As the service is asked for it.

        Raises:
            ProblemError: There is no such lane.
        """
        return self.facts | {"lane": known_lane(config, self.lane)}
