"""A monitor of another IOC's PV inside an IOC, by caproto's client: without libca."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import caproto

_LOGGER = logging.getLogger(__name__)
_CAPROTO = os.path.dirname(caproto.__file__)

ASKING = 1.0
"""Seconds between two reads that show whether a connected IOC still answers."""

PATIENCE = 2.0
"""Seconds that an answer may take, and for which it is searched for by one client."""

CLOSING = 0.5
"""Seconds that disconnecting may take."""


class Monitor:
    """Follows a PV of another IOC over restarts and freezes.

    Each connection is that of a new client. caproto's would come back by itself from a closed
    connection only: not from one that was refused, nor from an IOC that was frozen.

    >>> from orchestrator.ioc import Monitor
    >>> async def took(response) -> None:
    ...     print(response.data[0])
    >>> async def lost() -> None:
    ...     print("lost")
    >>> monitor = Monitor("SR:Current", took, lost)  # and then, in a task: await monitor.watch()
    >>> monitor.connections
    0
    """

    def __init__(
        self,
        name: str,
        took: Callable[[Any], Awaitable[None]],
        lost: Callable[[], Awaitable[None]],
        *,
        data_type: Any = "time",
        data_count: int | None = None,
    ) -> None:
        """Know its name; nothing is asked for before `watch`.

        Args:
            name: Of the PV.
            took: Called with each update, caproto's `EventAddResponse`, one after the other. The
                first of a connection may be one that came before: `connections` tells.
            lost: Called when a connection has ended, also one that never came to an update.
            data_type: As which it is asked for; by default its own, with its time.
            data_count: Elements; None = as many as it can have, 0 = as many as it has.
        """
        self.name = name
        self.connections = 0
        """Clients that were connected so far; tells one connection from the next."""
        self._took = took
        self._given_up = lost
        self._data_type = data_type
        self._data_count = data_count
        self._lost = asyncio.Event()

    async def watch(self) -> None:
        """Follow it for ever, as it comes and goes."""
        asyncio.get_running_loop().set_exception_handler(_handle)
        while True:
            _end_if_cancelled()
            self._lost.clear()
            async with _client() as client:
                try:
                    await self._follow(client)
                except Exception as error:  # noqa: BLE001 - the next client will tell
                    _LOGGER.debug("%s lost: %r", self.name, error)
                await self._given_up()

    async def _follow(self, client: Any) -> None:
        """Follow it until it is lost or does not answer: a frozen IOC stays connected."""
        (pv,) = await client.get_pvs(self.name, connection_state_callback=self._link)
        subscription = pv.subscribe(data_type=self._data_type, data_count=self._data_count)
        subscription.add_callback(self._update)
        await pv.wait_for_connection(timeout=PATIENCE)
        while not await self._ended(ASKING):
            _end_if_cancelled()
            await pv.read(timeout=PATIENCE)

    async def _ended(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return self._lost.is_set()
        return True

    async def _link(self, pv: Any, state: str) -> None:
        del pv
        if state == "connected":
            self.connections += 1
        else:
            self._lost.set()

    async def _update(self, subscription: Any, response: Any) -> None:
        del subscription
        await self._took(response)


def _end_if_cancelled() -> None:
    """Raise a cancellation that was swallowed: an IOC that waits for its end never stopped.

    caproto awaits by `asyncio.wait_for`, which before Python 3.12 returns as if nothing were when
    what it waits for is there in the same turn of the loop (python/cpython#86296).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def _client() -> AsyncIterator[Any]:
    # Only an IOC that watches another one pays for the import.
    from caproto.asyncio.client import Context

    client = Context()
    client.broadcaster.protocol = None  # its disconnect() looks there, though it never searched
    try:
        yield client
    finally:
        # caproto may wait for ever for a circuit that is lost at this moment
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await client.disconnect()


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what went wrong in a task, unless it is one that caproto's client left behind.

    It awaits neither its connecting nor its callback task: a refused connection or a lost
    circuit would be a traceback on the terminal.
    """
    task = context.get("task") or context.get("future")
    code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
    if code is None or not code.co_filename.startswith(_CAPROTO):
        loop.default_exception_handler(context)
