"""The connections: who is too slow to ask, or stands still while he is answered, is given up."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.config import HttpConfig
from orchestrator.web.service_link import ServiceLink

_HEAD_S = 15.0
"""s in which the head of a request has to come."""
_STILL_S = 30.0
"""s that a reader may stand still with an answer waiting."""
_IDLE_S = 30
"""s that a connection without a request stays open."""
_SILENT_MS = 60_000
"""ms without an acknowledgement of what was sent, after which the host is taken to be dead."""


class PatientProtocol(H11Protocol):
    """A connection, with bounds for what uvicorn waits for without one."""

    _still: asyncio.TimerHandle | None = None
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_MS)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        if self._asks_nothing:
            self._await_head()
        else:
            self._cancel_head()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._still = self.loop.call_later(_STILL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._cancel_still()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._cancel_head()
        self._cancel_still()
        super().connection_lost(exc)

    @property
    def _asks_nothing(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        """Not anew for each byte of it: who sends one at a time is no quicker."""
        if self._head is None:
            self._head = self.loop.call_later(_HEAD_S, self._no_head)

    def _no_head(self) -> None:
        self._head = None
        if self._asks_nothing:
            self.transport.abort()

    def _cancel_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _cancel_still(self) -> None:
        if self._still is not None:
            self._still.cancel()
            self._still = None


async def serve(
    app: Any, config: HttpConfig, listening: list[socket.socket], link: ServiceLink
) -> None:
    """Serve an app until the service has closed the link."""
    settings = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=config.connections,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve(sockets=listening), name="HTTP")
    try:
        await link.listen()
    finally:
        server.should_exit = True
        await serving
