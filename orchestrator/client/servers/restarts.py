"""Finds IOCs again that come back, sooner than libca looks for them.

libca holds the channels of a lost circuit back for up to 10 s before it searches for them, whatever
beacons say (disconnectGovernorTimer.cpp). It searches for a new channel at once: so the lost ones
are made anew, once for a loss, when their server's port accepts connections again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from typing import Any

import structlog
from epicscorelibs.ca import cadef

from orchestrator.client.channels.link import Link
from orchestrator.client.servers.second_servers import Place, accepts, place_of

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.1
"""s from a loss to the first look whether its server is there again."""
LONGEST_PAUSE = 5.0
"""s between two looks, at most; before, a thirtieth of the time that it has been gone."""
AT_ONCE = 20
"""Servers that are looked at in one moment, at most."""
CALM = 10.0
"""s in which a server must not be lost again, or each time is waited four times as long."""
IN_ONE_GO = 200
"""Channels that are made anew in one go, at most."""
_NOWHERE = "<disconnected>"
"""What libca calls the host of a channel without a circuit (nciu.cpp)."""


class Restarts:
    """Looks at the port of each server that was lost; one look at a time a server."""

    def __init__(
        self,
        start: Callable[[Any, str], object],
        search: Callable[[Collection[Link]], None],
    ) -> None:
        """Made on the running loop.

        Args:
            start: Starts a task that ends with the client.
            search: Makes the channels of these lost links anew.
        """
        self._start = start
        self._search = search
        self._loop = asyncio.get_running_loop()
        self._lost: dict[str, set[Link]] = {}
        self._found: dict[str, float] = {}
        self._first_pauses: dict[str, float] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def lost(self, link: Link) -> None:
        """Look for the server that this link had, until it is connected again."""
        server = "" if link.metadata is None else link.metadata.host
        if not server or server == _NOWHERE:
            return
        if server not in self._lost:
            self._lost[server] = set()
            self._start(self._look(server), f"look for {server}")
        self._lost[server].add(link)

    async def _look(self, server: str) -> None:
        where = await place_of(server)
        known = not isinstance(where, str)
        back = known and await self._is_back(server, where)
        links = self._lost.pop(server)
        if back:
            await self._search_all(server, links)

    async def _is_back(self, server: str, where: Place) -> bool:
        """Return once it accepts connections; False if nobody waits for it any more."""
        began = self._loop.time()
        pause = self._first_pauses[server] = self._first_pause(server)
        while True:
            await asyncio.sleep(pause)
            waits = self._first_waiting(server)
            if waits is None:
                return False
            async with self._turns:
                # A frozen server's channels are there still, until libca gives its circuit up.
                if _is_nowhere(waits) and await accepts(where):
                    return True
            pause = min(max(pause, (self._loop.time() - began) / 30), max(LONGEST_PAUSE, pause))

    def _first_waiting(self, server: str) -> Link | None:
        """One of those that are lost: they shared a circuit, so that it stands for all."""
        lost = self._lost[server]
        while lost:
            link = next(iter(lost))
            if link.is_lost:
                return link
            lost.discard(link)
        return None

    def _first_pause(self, server: str) -> float:
        if self._loop.time() - self._found.get(server, -math.inf) > CALM:
            return FIRST_PAUSE
        return min(4 * self._first_pauses[server], CALM)

    async def _search_all(self, server: str, lost: Collection[Link]) -> None:
        self._found[server] = self._loop.time()
        links = list(lost)
        log.debug("A server is back", server=server, channels=len(links))
        for begin in range(0, len(links), IN_ONE_GO):
            some = links[begin : begin + IN_ONE_GO]
            self._search([each for each in some if _is_nowhere(each)])
            await asyncio.sleep(0)


def _is_nowhere(link: Link) -> bool:
    return link.is_lost and cadef.ca_host_name(link.channel) == _NOWHERE
