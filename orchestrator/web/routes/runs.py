"""Runs: start one, watch it, act on it, and what is left of those that have ended."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.config import Config
from orchestrator.types import MAIN_LANE, fields
from orchestrator.web.kept_runs import KeptRun, find_run, list_runs
from orchestrator.web.problems import ProblemError
from orchestrator.web.routes.asking import Caller, Configured, Lane, Link, ToBeRunInLane
from orchestrator.web.service_link import ServiceLink
from orchestrator.web.streamed import lines_of_file, pieces_of_file

router = APIRouter(tags=["runs"])

_LOOKS = 40
_A_LOOK_S = 0.05
_CSV, _HDF5 = "text/csv", "application/x-hdf5"
_JOURNAL = "application/x-ndjson"


class Started(BaseModel):
    """A run that has begun."""

    run_id: str = Field(description="Names the run from now on.")


class KeptRuns(BaseModel):
    """Runs, the newest first."""

    runs: list[KeptRun] = Field(description="The newest first.")
    before: str | None = Field(
        description="What to ask for the next ones by; null: there are none."
    )


class Why(BaseModel):
    """What goes with a control."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", description="Why, for the record.", max_length=1000)


class AnswerGiven(BaseModel):
    """What is answered."""

    model_config = ConfigDict(extra="forbid")

    answer: str = Field(
        "", description="A choice, or a value as text; nothing where none is asked for."
    )


class ServiceStatus(BaseModel):
    """How the service is."""

    fields: dict[str, Any] = Field(description="By name, as its PVs have them.")
    alarms: dict[str, tuple[str, int]] = Field(
        description="Of those in alarm the severity and alarm status."
    )


async def _found(run_id: str, config: Config, link: ServiceLink) -> KeptRun:
    """A run as it is kept, no older than what the service has told of it.

    It tells its beginning and its end a moment before they are in the file of its journal: who has
    heard that a run has ended would wait for ever for the end of one that is still under way here.
    """
    for _ in range(_LOOKS):
        try:
            run = await asyncio.to_thread(find_run, config.store, run_id)
        except ProblemError:
            if run_id not in link.begun:
                raise
        else:
            if run.status is not None or not _has_ended(run_id, link):
                return run
        await asyncio.sleep(_A_LOOK_S)
    return await asyncio.to_thread(find_run, config.store, run_id)


def _has_ended(run_id: str, link: ServiceLink) -> bool:
    known = (told.fields for told in link.lanes.values())
    is_last = any(
        told.get(fields.RUN_ID.name) == run_id and told.get(fields.BUSY.name) == 0 for told in known
    )
    return run_id in link.ended or is_last


@router.get("/status", tags=["service"])
async def show_status(link: Link, lane: Lane) -> ServiceStatus:
    """All fields of the service, those of a lane and its run included, as its PVs show them.

    What has happened in the last 0.1 s may not be among them yet.
    """
    told = link.lanes.get(lane)
    if told is None or not told.known:
        raise ProblemError(503, "the service has not told how it is yet", {"Retry-After": "1"})
    return ServiceStatus(fields=told.fields, alarms=told.alarms)


@router.post("/runs", status_code=201)
async def start_run(
    asked: ToBeRunInLane, link: Link, config: Configured, caller: Caller, response: Response
) -> Started:
    """Start a run; answered when it has begun.

    Refused with 409 while another one is under way in its lane, with 422 where it can't be run. How
    it goes on is told by the event stream and by the run itself.
    """
    told = await link.ask("ask", verb="run", owner=caller, **asked.asked(config))
    response.headers["Location"] = f"/api/v1/runs/{told['run_id']}"
    return Started(run_id=told["run_id"])


@router.get("/runs")
async def show_runs(
    config: Configured,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    before: Annotated[str, Query(description="Only those before this run.")] = "",
) -> KeptRuns:
    """The runs that are kept, the newest first, the one under way included."""
    runs, more = await asyncio.to_thread(list_runs, config.store, limit, before)
    return KeptRuns(runs=runs, before=runs[-1].run_id if more and runs else None)


@router.get("/runs/{run_id}")
async def show_run(run_id: str, config: Configured, link: Link) -> KeptRun:
    """A run: what was run, with which arguments, and how it has ended."""
    return await _found(run_id, config, link)


@router.get(
    "/runs/{run_id}/journal",
    response_class=StreamingResponse,
    responses={200: {"content": {_JOURNAL: {}}}},
)
async def show_journal(run_id: str, config: Configured, link: Link) -> StreamingResponse:
    """All that has happened in it so far: its journal, an object of JSON a line."""
    run = await _found(run_id, config, link)
    return StreamingResponse(lines_of_file(*run.journals(config.store)), media_type=_JOURNAL)


@router.get(
    "/runs/{run_id}/data",
    response_class=StreamingResponse,
    responses={200: {"content": {_CSV: {}, _HDF5: {}}}},
)
async def show_data(
    run_id: str,
    config: Configured,
    link: Link,
    format: Annotated[Literal["csv", "hdf5"], Query(description="How they are written.")] = "csv",
) -> StreamingResponse:
    """The rows that it has sampled so far; of one that goes on those that are whole.

    As HDF5 (NeXus) when it has ended: 409 before.
    """
    run = await _found(run_id, config, link)
    file = await asyncio.to_thread(run.data, config.store, format)
    named = {"Content-Disposition": f'attachment; filename="{run.run_id}{file.suffix}"'}
    if format == "hdf5":
        return StreamingResponse(pieces_of_file(file), media_type=_HDF5, headers=named)
    return StreamingResponse(lines_of_file(file), media_type=_CSV, headers=named)


async def _control(
    verb: str, run_id: str, text: str, config: Config, link: ServiceLink, owner: str
) -> Response:
    lane = (await _found(run_id, config, link)).lane
    if lane != MAIN_LANE and lane not in config.lanes:
        raise ProblemError(409, f"the run {run_id} is not under way: there is no lane {lane} now")
    asked = {"verb": verb, "text": text, "run_id": run_id, "owner": owner}
    await link.ask("ask", lane="" if lane == MAIN_LANE else lane, **asked)
    return Response(status_code=204)


@router.post("/runs/{run_id}/pause", status_code=204)
async def pause(run_id: str, config: Configured, link: Link, caller: Caller) -> Response:
    """Pause it; what is in flight is awaited. 409 where it is not under way."""
    return await _control("pause", run_id, "", config, link, caller)


@router.post("/runs/{run_id}/resume", status_code=204)
async def resume(run_id: str, config: Configured, link: Link, caller: Caller) -> Response:
    """Go on with it."""
    return await _control("resume", run_id, "", config, link, caller)


@router.post("/runs/{run_id}/stop", status_code=204)
async def stop(run_id: str, config: Configured, link: Link, caller: Caller) -> Response:
    """End it at its next boundary; its finalisers run."""
    return await _control("stop", run_id, "", config, link, caller)


@router.post("/runs/{run_id}/abort", status_code=204)
async def abort(
    run_id: str, config: Configured, link: Link, caller: Caller, why: Why | None = None
) -> Response:
    """Interrupt it at once; its finalisers run. Again: harder."""
    return await _control("abort", run_id, why.reason if why else "", config, link, caller)


@router.post("/runs/{run_id}/skip", status_code=204)
async def skip(run_id: str, config: Configured, link: Link, caller: Caller) -> Response:
    """Interrupt the step that runs and go on with the next."""
    return await _control("skip", run_id, "", config, link, caller)


@router.post("/runs/{run_id}/answer", status_code=204)
async def answer(
    run_id: str, config: Configured, link: Link, caller: Caller, what: AnswerGiven | None = None
) -> Response:
    """Answer the question of a step `ask`: it goes on. 422 where the answer is none."""
    return await _control("answer", run_id, what.answer if what else "", config, link, caller)
