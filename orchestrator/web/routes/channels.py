"""Channels of the chained IOCs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from orchestrator.web.problems import ProblemError
from orchestrator.web.routes.asking import Caller, Link

router = APIRouter(tags=["channels"])


class ChannelNow(BaseModel):
    """A channel as the service knows it now; keys that are not known yet are null."""

    name: str = Field(description="Its alias, `ioc.channel`.")
    pv: str = Field(description="Its full name.")
    connected: bool = Field(description="Whether it is.")
    write: bool = Field(description="Whether it may be written.")
    value: Any = Field(
        None,
        description="The last one, also where it is disconnected; of an enum its index; null for "
        "what is no number. Arrays are given for a single channel only.",
    )
    label: str | None = Field(None, description="Of an enum.")
    elements: int | None = Field(None, description="Of an array.")
    severity: str | None = Field(None, description="Alarm severity.")
    alarm: str | None = Field(None, description="Alarm status.")
    timestamp: float | None = Field(None, description="The IOC's own, Unix s.")
    type: str | None = Field(None, description="As its IOC keeps it.")
    count: int | None = Field(None, description="The most elements that it can have.")
    units: str | None = Field(None, description="Engineering units.")
    precision: int | None = Field(None, description="Digits after the point.")
    labels: list[str] | None = Field(None, description="Of an enum, by index.")
    control_limits: tuple[float, float] | None = Field(None, description="For writing; null: none")
    display_limits: tuple[float, float] | None = Field(None, description="For displays; null: none")
    host: str | None = Field(None, description="host:port of its server.")


class NewValue(BaseModel):
    """What is put."""

    model_config = ConfigDict(extra="forbid")

    value: bool | int | float | str | list[Any] = Field(
        description="Of an enum its label or index, of an array a list."
    )
    timeout: float = Field(10.0, gt=0, le=25, description="s for the put-callback.")


class ChannelsNow(BaseModel):
    """The channels of the configuration."""

    channels: list[ChannelNow] = Field(description="In the order of the configuration.")


@router.get("/channels")
async def list_channels(link: Link) -> ChannelsNow:
    """All channels of the configuration, with their values but for those of arrays."""
    told = (await link.ask("channels"))["channels"]
    states = await run_in_threadpool(lambda: [_channel(each) for each in told])
    return ChannelsNow(channels=states)


@router.get("/channels/{name}")
async def show_channel(name: str, link: Link) -> ChannelNow:
    """A channel, by its alias."""
    told = (await link.ask("channels", name=name))["channels"]
    if not told:
        text = f"there is no channel {name!r} in the configuration; /api/v1/channels lists them"
        raise ProblemError(404, text)
    return await run_in_threadpool(_channel, told[0])


@router.put("/channels/{name}", status_code=204)
async def put_channel(name: str, new: NewValue, link: Link, caller: Caller) -> Response:
    """Put a value to a channel; answered when its put-callback has come.

    It is looked at as in a sequence: limits, labels, what its type can hold, `write` of the
    configuration. 409 where a run under way may put to it, 424 where the channel is not connected,
    504 without a put-callback in time.
    """
    asked = {"name": name, "value": new.value, "timeout": new.timeout, "owner": caller}
    await link.ask("put", **asked)
    return Response(status_code=204)


def _channel(facts: Mapping[str, Any]) -> ChannelNow:
    known = {key: value for key, value in facts.items() if key in ChannelNow.model_fields}
    if "array" in facts:
        data = np.frombuffer(base64.b64decode(facts["array"]), facts["dtype"])
        known["value"] = _numbers(data)
    return ChannelNow(**known)


def _numbers(data: np.ndarray[Any, Any]) -> list[Any]:
    """As JSON has them: null for what is no number."""
    values: list[Any] = data.tolist()
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        finite = np.isfinite(data).tolist()
        return [value if known else None for value, known in zip(values, finite, strict=True)]
    return values
