"""Starts the process that serves HTTP, and another one should it end."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import structlog

from orchestrator.api import Api
from orchestrator.api.frames import frame_of
from orchestrator.config import HttpConfig
from orchestrator.config.tokens import read_tokens
from orchestrator.errors import InputError
from orchestrator.transports.http.link import Behind, HttpLink

log = structlog.get_logger(__name__)

_PROGRAM = "orchestrator.web"
_PAUSES = (0.5, 1.0, 5.0, 30.0)
"""s until it is started again, after the first end, the second …; the last for all others."""
_LIVED = 60.0
"""s after which it counts as one that works."""
_END = 3.0
"""s that it has to end."""
_LAST = 1.0
"""s that the last messages may take."""
_BACKLOG = 256
"""Connections that wait while none accepts them."""


class HttpProcess:
    """Serves HTTP for one service.

    The sockets at which it listens are the service's: they stay open where the process ends, so
    that who connects meanwhile waits for the next one and is not turned away.
    """

    def __init__(
        self,
        config: HttpConfig,
        facts: Callable[[], Any],
        api: Api,
        behind: Behind,
        tell: Callable[[str], None],
        lanes: Collection[str] = (),
    ) -> None:
        """Nothing is opened yet.

        Args:
            config: Where to serve.
            facts: What the process is told of the configuration, as JSON has it.
            api: The door.
            behind: What else it may ask.
            tell: Told what an operator should know.
            lanes: Those beside the main one.
        """
        self._config = config
        self._facts = facts
        self._api = api
        self._behind = behind
        self._tell = tell
        self._lanes = lanes
        self.port = 0
        """At which it is served, once it is."""
        self._link: HttpLink | None = None
        self.pid = 0
        """Of the process that serves now."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for the time of the block.

        Raises:
            InputError: The port can't be had, the extra is not installed, or the file of tokens is
                wrong.
        """
        _look_for_the_extra()
        if self._config.token_file is not None:
            read_tokens(self._config.token_file)  # what is wrong with it is told at the start
        with ExitStack() as opened:
            listening = [opened.enter_context(s) for s in self._opened()]
            async with asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(self._keep(listening), name="HTTP")
                try:
                    yield
                finally:
                    await self._told()
                    keeping.cancel()

    async def _told(self) -> None:
        """The last of what has happened is sent, to a process that does not stand still."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                if self._link is not None:
                    await self._link.told()

    def _opened(self) -> list[socket.socket]:
        """A socket an interface, all at one port."""
        sockets: list[socket.socket] = []
        self.port = self._config.port
        for interface in self._config.interfaces:
            family = socket.AF_INET6 if ":" in interface else socket.AF_INET
            try:
                each = socket.create_server((interface, self.port), family=family, backlog=_BACKLOG)
            except OSError as error:
                for other in sockets:
                    other.close()
                where = f"http: {interface}, port {self.port}"
                raise InputError(f"{where}: can't be listened at: {error.strerror}") from error
            sockets.append(each)
            self.port = each.getsockname()[1]
        return sockets

    async def _keep(self, listening: list[socket.socket]) -> None:
        clock, failures = asyncio.get_running_loop().time, 0
        while True:
            began = clock()
            code = await self._once(listening)
            failures = 1 if clock() - began > _LIVED else failures + 1
            pause = _PAUSES[min(failures, len(_PAUSES)) - 1]
            text = f"the process that serves HTTP has ended ({code}); another one begins"
            log.error(text, code=code, seconds=pause)
            self._tell(text)
            await asyncio.sleep(pause)

    async def _once(self, listening: list[socket.socket]) -> int:
        """Start one, and return its exit code when it has ended."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await self._started(theirs, listening)
            self.pid = process.pid
            try:
                reader, writer = await asyncio.open_connection(sock=ours)
                try:
                    writer.write(frame_of({"config": self._facts()}))
                    self._link = HttpLink(self._api, self._behind, reader, writer, self._lanes)
                    await self._link.run()
                finally:
                    self._link = None
                    writer.close()
                return await process.wait()
            finally:
                await _ended(process)

    async def _started(
        self, link: socket.socket, listening: list[socket.socket]
    ) -> asyncio.subprocess.Process:
        numbers = [link.fileno(), *(each.fileno() for each in listening)]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _PROGRAM, *map(str, numbers)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=numbers,
            start_new_session=True,  # Ctrl-C is for the service, which ends it
        )


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It ends by itself when its link is closed, unless it has hardly begun, or stands still."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(_END):
            await process.wait()
            return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _look_for_the_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "prometheus_client", "uvicorn") if not find_spec(name)]
    if missing:
        raise InputError(
            f"http: {', '.join(missing)} not installed: pip install 'ioc-orchestrator[http]', "
            "or leave [http] out of the configuration"
        )
