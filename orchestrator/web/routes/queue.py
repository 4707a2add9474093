"""The runs that wait."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.types import fields
from orchestrator.web.routes.asking import Caller, Configured, Lane, Link, ToBeRunInLane

router = APIRouter(tags=["queue"])


class WaitingRuns(BaseModel):
    """The runs that wait, the next one first."""

    waiting: list[dict[str, Any]] = Field(
        description="number, name, args, owner and, of one that did not succeed, ended; the last "
        "may be left_out, how many more there are."
    )
    held: bool = Field(description="Whether none is started until somebody says so.")


class Submitted(BaseModel):
    """A run that waits."""

    number: int = Field(description="Names it in the queue.")
    message: str = Field(description="The same in words.")


class NewPosition(BaseModel):
    """Where to."""

    model_config = ConfigDict(extra="forbid")

    position: int = Field(ge=1, le=999_999_999, description="1 = the next one.")


@router.get("/queue")
async def show_queue(link: Link, lane: Lane) -> WaitingRuns:
    """The runs that wait in a lane, the next one first."""
    told = link.lanes.get(lane, link.happenings)
    waiting = json.loads(told.fields.get(fields.QUEUE.name) or "[]")
    return WaitingRuns(waiting=waiting, held=fields.QUEUE_LEN.name in told.alarms)


@router.post("/queue", status_code=201)
async def submit(asked: ToBeRunInLane, link: Link, config: Configured, caller: Caller) -> Submitted:
    """Put a run into the queue; it begins when those before it have ended well.

    What can't be run is refused at once.
    """
    told = await link.ask("ask", verb="submit", owner=caller, **asked.asked(config))
    return Submitted(number=told["number"], message=told["text"])


async def _command(text: str, link: Link, owner: str, lane: str) -> Response:
    await link.ask("ask", verb="command", text=f"queue {text}", owner=owner, lane=lane)
    return Response(status_code=204)


@router.delete("/queue", status_code=204)
async def clear(link: Link, caller: Caller, lane: Lane) -> Response:
    """Take all waiting runs out."""
    return await _command("clear", link, caller, lane)


@router.post("/queue/start", status_code=204)
async def start_queue(link: Link, caller: Caller, lane: Lane) -> Response:
    """Start waiting runs, also after one that did not succeed."""
    return await _command("start", link, caller, lane)


@router.post("/queue/hold", status_code=204)
async def hold_queue(link: Link, caller: Caller, lane: Lane) -> Response:
    """Let the run under way end, and begin no other."""
    return await _command("hold", link, caller, lane)


@router.delete("/queue/{number}", status_code=204)
async def remove(number: int, link: Link, caller: Caller, lane: Lane) -> Response:
    """Take a waiting run out."""
    return await _command(f"remove {number}", link, caller, lane)


@router.post("/queue/{number}/move", status_code=204)
async def move(number: int, to: NewPosition, link: Link, caller: Caller, lane: Lane) -> Response:
    """Move a waiting run to another place in the queue."""
    return await _command(f"move {number} {to.position}", link, caller, lane)
