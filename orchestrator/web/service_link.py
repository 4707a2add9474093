"""The service, as this process knows it: questions, and all that it tells."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from typing import Any

from orchestrator.api.frames import Frame, frame_of, read_frame
from orchestrator.web.happenings import Happenings
from orchestrator.web.problems import ProblemError, problem_of

_MOST_BEGUN = 100

_PATIENCE = 30.0
"""s that the service has for an answer: it gives each at once, or reads a file for it."""


class ServiceLink:
    """The far end of the socket that the service has given."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, config: Any
    ) -> None:
        """Made by `opened`."""
        self.config = config
        """The service's, as JSON."""
        self.happenings = Happenings()
        """What it tells of the main lane, and of what it has one of."""
        self.lanes = {"": self.happenings}
        """The same by lane: of each its own, and of what the service has one of."""
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self.begun: deque[str] = deque(maxlen=_MOST_BEGUN)
        """The ids of the runs that were begun last: their journals may come a moment later."""
        self.ended: deque[str] = deque(maxlen=_MOST_BEGUN)
        """Those of which the end was told last: as above."""
        self.works = True
        """Whether the service is at the other end."""

    @classmethod
    async def opened(cls, end: socket.socket) -> ServiceLink:
        """By its descriptor; once the service has told its configuration."""
        reader, writer = await asyncio.open_connection(sock=end)
        first = await read_frame(reader)
        if first is None:
            raise SystemExit(0)  # the service is gone already
        return cls(reader, writer, first["config"])

    async def listen(self) -> None:
        """Take what comes, until the service closes it."""
        try:
            while (frame := await read_frame(self._reader)) is not None:
                self._take(frame)
        finally:
            self.works = False
            for told in self.lanes.values():
                told.close()
            for asked in self._asked.values():
                asked.cancel()
            self._writer.close()

    def _take(self, frame: Frame) -> None:
        if "snapshot" in frame:
            self.lanes.setdefault(frame["lane"], Happenings()).begin(frame["snapshot"])
        elif "message" in frame:
            self.lanes[frame["lane"]].add(frame["message"])
            for event in frame["message"].get("events", ()):
                if event["event"] == "run_started":
                    self.begun.append(event["run_id"])
                elif event["event"] == "run_ended":
                    self.ended.append(event["run_id"])
        else:
            asked = self._asked.pop(frame["id"], None)
            if asked is not None and not asked.done():
                asked.set_result(frame)

    def tell(self, frame: Frame) -> None:
        """Say something that has no answer."""
        if self.works:
            self._writer.write(frame_of(frame))

    async def ask(self, about: str, **more: Any) -> Frame:
        """Ask something.

        Raises:
            ProblemError: The service refuses it, or has gone.
        """
        if not self.works:
            raise ProblemError(503, "the service is about to end")
        number = next(self._numbers)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._writer.write(frame_of({"ask": about, "id": number, **more}))
        try:
            async with asyncio.timeout(_PATIENCE):
                told = await answer
        except TimeoutError:
            text = f"the service has not answered within {_PATIENCE:g} s"
            text = f"{text}; whether it does what was asked is not known"
            raise ProblemError(504, text) from None
        except asyncio.CancelledError:
            if self.works:
                raise
            text = "the service has ended; whether it has done what was asked is not known"
            raise ProblemError(503, text) from None
        finally:
            self._asked.pop(number, None)
        if "error" in told:
            raise problem_of(told)
        if "run_id" in told:
            self.begun.append(told["run_id"])
        return told
