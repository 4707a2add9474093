"""The service's IOC: serves the PVs and drains the push queue into them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from orchestrator.api import Api, Filter, Item
from orchestrator.api.stream import Messages
from orchestrator.config import Config
from orchestrator.ioc import IocServer, serve
from orchestrator.transports.ca.client_list import client_updates
from orchestrator.transports.ca.requests import Requests
from orchestrator.transports.ca.table import PVTable
from orchestrator.types import Access, MirrorOpened, Reply, Update, fields

_BATCH = 200
"""Items published before other tasks have their turn; some 20 µs each."""

_A_TURN_S = 0.002
"""s after which they have it in any case: the first value of a mirror or an array costs more."""

_CLIENTS_S = 1.0
"""How often the PVs about clients are looked after."""

_EVENTS_S = 0.05
"""Between two posts of EVENTS: what comes meanwhile is told together."""

_UNTOLD = {
    *(field for field in fields.OF_SERVICE if field.access is Access.KEEP),
    *(fields.CMD, fields.EVENTS, fields.SNAPSHOT),
    *(fields.CLIENTS, fields.CLIENTS_COUNT, fields.PUSH_DROPPED, fields.TASKS),
}
"""Fields that EVENTS does not tell of: what clients write, and what is known here only."""

_CHAIN = (fields.CHAIN_COUNT, fields.CHAIN_CONNECTED, fields.CHAIN_DISCONNECTED)
"""Of what the service has one of, that of which the EVENTS of a lane tell as well."""

_DRAIN_S = 1.0
"""How long stopping waits for what is still to be published."""

logger = structlog.get_logger(__name__)


class Server:
    """The service's IOC. It decides nothing: puts leave as commands, updates arrive as items."""

    def __init__(
        self,
        config: Config,
        api: Api,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Makes the PVs; nothing is served yet.

        Args:
            config: What is chained, and where to serve. Its port may be 0: a free one.
            api: Where puts go, as commands, and what is published comes from.
            clock: Measures the turns in which it is published.

        Raises:
            InputError: Two PVs would have the same name.
        """
        self._where = config.server
        self._limits = config.limits
        self._api = api
        # No bound of its own: it is taken as fast as clients can be sent it, which is bounded.
        self.published = api.subscribe(Filter(channels=True, events=False), most=None)
        """What is to be shown."""
        self._clock = clock
        self._table = PVTable(config, Requests(api, self.published))
        self._messages: dict[str, Messages] = {}
        for lane, own in self._table.lanes.items():
            told = (*fields.OF_LANE, *_CHAIN) if lane else fields.OF_SERVICE
            messages = Messages(api, [field for field in told if field not in _UNTOLD], lane)
            self._messages[lane], own.read_snapshot = messages, messages.snapshot

    @asynccontextmanager
    async def running(self) -> AsyncIterator[IocServer]:
        """Serve for the time of the `async with` block; clients can connect once it is entered.

        On leaving, what waits in the push queue is published first.

        Raises:
            PortTakenError: The configured port is in use.
        """
        pvdb, where = self._table.pvdb, self._where
        async with serve(
            pvdb, port=where.port, interfaces=where.interfaces, limits=self._limits
        ) as ioc:
            ioc.spawn(self._drain(ioc), "push queue to PVs")
            ioc.spawn(self._tell_clients(ioc), "clients")
            for lane in self._messages:
                ioc.spawn(self._tell_events(ioc, lane), f"events {lane}".strip())
            yield ioc
            await self._drained()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with self.running():
            await asyncio.Event().wait()

    async def _drain(self, ioc: IocServer) -> None:
        while True:
            items = await self.published.batch(_BATCH)
            until = self._clock() + _A_TURN_S
            for item in items:
                try:
                    await self._take(item, ioc)
                except Exception:  # the top of an item: the next one is published
                    logger.exception("an item could not be published", kind=type(item).__name__)
                if self._clock() > until:
                    await asyncio.sleep(0)
                    until = self._clock() + _A_TURN_S
            if ioc.backlog:  # `batch` has suspended already
                await ioc.room()

    async def _tell_clients(self, ioc: IocServer) -> None:
        shown: dict[str, object] = {}
        while True:
            for update in client_updates(ioc):
                if shown.get(update.field) != update.value:
                    shown[update.field] = update.value
                    await self._table.publish(update, ioc)
            await asyncio.sleep(_CLIENTS_S)

    async def _tell_events(self, ioc: IocServer, lane: str) -> None:
        while True:
            for text in await self._messages[lane].batch():
                await self._table.publish(Update(fields.EVENTS, text, lane=lane), ioc)
            await asyncio.sleep(_EVENTS_S)

    async def _take(self, item: Item, ioc: IocServer) -> None:
        match item:
            case Update():
                await self._table.publish(item, ioc)
            case MirrorOpened():
                await self._table.open_mirror(item, ioc)
            case Reply():
                self._api.answer(item)
            case _:
                raise AssertionError("has no events")

    async def _drained(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self.published.idle()
                for messages in self._messages.values():
                    await messages.subscription.idle()
        except TimeoutError:
            logger.warning("not all was published", waiting=self.published.figures.waiting)
