"""The event stream (Server-Sent Events, as browsers read them)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from orchestrator.web.happenings import Happenings
from orchestrator.web.routes.asking import Lane, Link

router = APIRouter(tags=["service"])

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY_MS = 1000
"""After which a browser comes back."""


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}},
)
async def events(
    link: Link,
    lane: Lane,
    last_event_id: Annotated[
        str, Header(max_length=100, description="Of the last event that was seen.")
    ] = "",
) -> StreamingResponse:
    """What happens in a lane, and to what the service has one of, as Server-Sent Events.

    It begins with the event `snapshot`, `{"fields": …, "alarms": …}`: all fields by the names of
    the PVs, and the severity and alarm status of those in alarm. What comes behind it are events
    `change`, with those that have changed, and `events`, what has happened to runs.

    With the header `Last-Event-ID`, as browsers send it when they come back, it goes on behind that
    event; where what followed is not kept any more, and where a reader is too slow, a `snapshot`
    stands in its place. A line that begins with `:` says that nothing has happened.
    """
    told = _texts(link.lanes.get(lane, link.happenings), last_event_id)
    return StreamingResponse(told, media_type=MEDIA_TYPE, headers=_HEADERS)


async def _texts(happenings: Happenings, last_id: str) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    async for told in happenings.follow(last_id):
        if told.id:
            yield f"id: {told.id}\nevent: {told.kind}\ndata: {told.text}\n\n"
        else:
            yield ": quiet\n\n"
