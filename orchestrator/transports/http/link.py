"""Answers what the process that serves HTTP asks, and tells it all that happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import structlog

from orchestrator.api import Api, Caller
from orchestrator.api.frames import Frame, frame_of, framed, read_frame
from orchestrator.api.stream import Messages
from orchestrator.config import ChannelConfig
from orchestrator.errors import OrchestratorError
from orchestrator.ports import View
from orchestrator.transports.http.channel_facts import channel_facts
from orchestrator.types import (
    Accepted,
    Access,
    Command,
    Reply,
    RunRefused,
    RunStarted,
    Verb,
    fields,
)

log = structlog.get_logger(__name__)

TOLD = tuple(
    field
    for field in fields.ALL
    if not (field.is_of_ioc or field.is_of_channel)
    and field.access is not Access.KEEP
    and field not in (fields.CMD, fields.EVENTS, fields.SNAPSHOT, fields.NESTED_INDICES)
    and field not in (fields.CLIENTS, fields.CLIENTS_COUNT, fields.PUSH_DROPPED, fields.TASKS)
)
"""The fields that HTTP tells of: all but what clients write, and what the server of the PVs knows
of itself."""

_MESSAGES_S = 0.05
"""Between two messages: what comes meanwhile is told together."""

_MOST_ASKED = 256
"""Questions that are answered at the same time; the next one is not read before."""

_OWN = "own."

_BEGIN = (Verb.RUN, Verb.SUBMIT)


class Behind(Protocol):
    """What HTTP tells of beside what is published: a part of the service."""

    @property
    def view(self) -> View:
        """The channels."""

    @property
    def channels(self) -> Mapping[str, ChannelConfig]:
        """Those of the configuration, by alias."""

    async def sequences(self) -> Iterable[str]:
        """The names that can be run."""

    async def sequence(self, name: str) -> Mapping[str, Any]:
        """A sequence: its text and what it takes.

        Raises:
            InputError: There is none of that name, or it can't be read.
        """

    async def put(self, name: str, value: object, timeout: float) -> None:
        """Put to a channel, and return when its put-callback has come.

        Raises:
            OrchestratorError: It can't be done, or was not within `timeout` s.
        """


class HttpLink:
    """One process that serves HTTP, for as long as it lives."""

    def __init__(
        self,
        api: Api,
        behind: Behind,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lanes: Iterable[str] = (),
    ) -> None:
        """The near end of the socket to it; `lanes`: those beside the main one."""
        self._api = api
        self._behind = behind
        self._reader = reader
        self._writer = writer
        self._messages = {lane: Messages(api, TOLD, lane) for lane in ("", *lanes)}
        self._places = asyncio.Semaphore(_MOST_ASKED)
        self._answers: dict[str, Callable[[Frame], Awaitable[Frame]]] = {
            "ask": self._ask,
            "sequences": self._sequences,
            "sequence": self._sequence,
            "channels": self._channels,
            "put": self._put,
        }

    async def run(self) -> None:
        """Return when the process has gone."""
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = [
                    tasks.create_task(self._tell(lane), name=f"events to HTTP {lane}".strip())
                    for lane in self._messages
                ]
                try:
                    await self._listen(tasks)
                finally:
                    for task in telling:
                        task.cancel()
        finally:
            for messages in self._messages.values():
                messages.subscription.close()

    async def told(self) -> None:
        """Return when the process has been sent all that has happened."""
        for messages in self._messages.values():
            await messages.subscription.idle()

    async def _tell(self, lane: str) -> None:
        messages, of = self._messages[lane], json.dumps(lane)
        self._send(framed(f'{{"lane": {of}, "snapshot": {messages.snapshot()}}}'))
        while texts := await messages.batch():
            for text in texts:
                self._send(framed(f'{{"lane": {of}, "message": {text}}}'))
            await self._drained()
            await asyncio.sleep(_MESSAGES_S)

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        while (frame := await read_frame(self._reader)) is not None:
            if "log" in frame:
                _log(frame)
                continue
            await self._places.acquire()
            tasks.create_task(self._answer(frame), name=f"HTTP asks {frame['ask']}")

    async def _answer(self, frame: Frame) -> None:
        try:
            answer = await self._answers[frame["ask"]](frame)
        except OrchestratorError as error:
            answer = {"error": str(error), "kind": error.kind}
        except Exception as error:  # the top of a request: the next one is answered
            log.exception("a request over HTTP could not be answered", asked=frame["ask"])
            answer = {"error": f"internal error: {type(error).__name__}: {error}", "kind": "other"}
        finally:
            self._places.release()
        self._send(frame_of(answer | {"id": frame["id"]}))
        await self._drained()

    def _send(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def _drained(self) -> None:
        with suppress(ConnectionError):  # it has gone: what listens to it ends
            await self._writer.drain()

    # What is asked ------------------------------------------------------------------------------

    async def _ask(self, frame: Frame) -> Frame:
        verb = Verb(frame["verb"])
        command = Command(
            verb,
            text=frame.get("text", ""),
            args=frame.get("args", {}),
            document=frame.get("document", ""),
            origin=frame.get("origin", ""),
            how="HTTP" if verb is Verb.RUN else "",
            run_id=frame.get("run_id", ""),
            lane=frame.get("lane", ""),
        )
        caller = Caller(frame["owner"])
        if verb not in _BEGIN:
            return _replied(await self._api.ask(command, caller))
        match await self._api.begin(command, caller):
            case RunStarted(run_id=run_id):
                return {"run_id": run_id}
            case Accepted(number=number, text=text):
                return {"number": number, "text": text}
            case Reply() as reply:
                return _replied(reply)

    async def _sequences(self, _frame: Frame) -> Frame:
        return {"names": list(await self._behind.sequences())}

    async def _sequence(self, frame: Frame) -> Frame:
        return dict(await self._behind.sequence(frame["name"]))

    async def _put(self, frame: Frame) -> Frame:
        name, value = frame["name"], frame["value"]
        # Own PVs are put as by Channel Access: some are for sequences only. Without any of them an
        # IOC may be called own.
        if name.startswith(_OWN) and name not in self._behind.channels:
            await self._api.put(name, value, Caller(frame["owner"]))
        else:
            await self._behind.put(name, value, frame["timeout"])
        log.info("channel put", channel=name, value=f"{value!r:.200}", by=frame["owner"])
        return {}

    async def _channels(self, frame: Frame) -> Frame:
        """One channel with its whole value; without a name, all."""
        name, known = frame.get("name", ""), self._behind.channels
        if name and name not in known:
            return {"channels": []}
        configs = [known[name]] if name else known.values()
        view = self._behind.view
        facts = [channel_facts(view.channel(c.name), c, whole=bool(name)) for c in configs]
        return {"channels": facts}


def _replied(reply: Reply) -> Frame:
    if not reply.error:
        return {}
    refused = reply.outcome if isinstance(reply.outcome, RunRefused) else None
    return {"error": reply.error, "kind": "refused", "cause": refused.cause if refused else ""}


def _log(frame: Frame) -> None:
    level, text = str(frame["log"]), str(frame.get("text", ""))
    details = {str(name): value for name, value in frame.get("details", {}).items()}
    if level == "ERROR":
        log.error(text, **details)
    else:
        log.warning(text, **details)
