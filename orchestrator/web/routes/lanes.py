"""The lanes: where one sequence runs at a time, beside those of others."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestrator.types import MAIN_LANE, fields
from orchestrator.web.routes.asking import Link

router = APIRouter(tags=["service"])


class LaneNow(BaseModel):
    """A lane, and its current or last run."""

    name: str = Field(description="`main` is the main one.")
    state: str = Field(description="Idle, Running, Paused …")
    status: str = Field(description="How the last run ended.")
    run_id: str = Field(description="Of the current or last run; empty before the first.")
    sequence: str = Field(description="What it runs, or ran.")
    message: str = Field(description="The last thing that was told.")


class LanesNow(BaseModel):
    """All lanes."""

    lanes: list[LaneNow] = Field(description="The main one first.")


_SHOWN = {
    "state": fields.STATE,
    "status": fields.STATUS,
    "run_id": fields.RUN_ID,
    "sequence": fields.RUN_NAME,
    "message": fields.MESSAGE,
}


@router.get("/lanes")
async def list_lanes(link: Link) -> LanesNow:
    """The lanes of the service, and what goes on in each."""
    return LanesNow(
        lanes=[
            LaneNow(
                name=lane or MAIN_LANE,
                **{key: str(told.fields.get(field.name, "")) for key, field in _SHOWN.items()},
            )
            for lane, told in link.lanes.items()
        ]
    )
