"""Sends what is to be told: not too often, not at night, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from importlib.util import find_spec

import structlog

from orchestrator.api import Api, Item, Subscription
from orchestrator.config import NotifyConfig
from orchestrator.errors import InputError
from orchestrator.notify.messenger import Sent, send
from orchestrator.notify.watch import NEEDED, Notice, Watch

log = structlog.get_logger(__name__)

LOOK = 1.0
"""s between two looks at what goes on."""
GATHER = 3.0
"""s in which more may come that belongs together, before a message is sent."""
APART = 60.0
"""s between two messages: what happens meanwhile is one message."""
MOST = 200
"""Notices that wait; beyond, the oldest are dropped and counted."""
_LINES = 20
"""Notices that a message has; more are counted."""
_LAST = 5.0
"""s that the last message may take when the service ends."""

Send = Callable[[str, str], Awaitable[Sequence[Sent]]]
"""Sends a title and a text."""


def look_for_the_extra() -> None:
    """Look whether messages can be sent.

    Raises:
        InputError: The extra is not installed.
    """
    if not find_spec("apprise"):
        raise InputError(
            "notify: apprise is not installed: pip install 'ioc-orchestrator[notify]', "
            "or leave [notify] out of the configuration"
        )


class Notifier:
    """Watches one service, and tells people by messages."""

    def __init__(
        self,
        config: NotifyConfig,
        prefix: str,
        api: Api,
        tell: Callable[[str], None],
        *,
        wall: Callable[[], datetime] = datetime.now,
        sending: Send | None = None,
    ) -> None:
        """Nothing is watched yet.

        Args:
            config: Whom to tell of what.
            prefix: Names the service in messages.
            api: The door.
            tell: Told when nobody can be told.
            wall: The local time.
            sending: Sends a message; by apprise unless given.
        """
        self._config = config
        self._prefix = prefix
        self._api = api
        self._tell = tell
        self._wall = wall
        self._send = sending or partial(send, config.urls)
        self._watch = Watch(config.on)
        self._waiting: deque[Notice] = deque()
        self._dropped = 0
        self._came = asyncio.Event()
        self._failing = False
        self._sending = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for the time of the block; what is still to be told then is, in bounded time.

        Raises:
            InputError: The extra is not installed.
        """
        look_for_the_extra()
        subscription = self._api.subscribe(NEEDED)
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look(subscription), name="look for notices")
            sending = tasks.create_task(self._keep_sending(), name="send notices")
            try:
                yield
            finally:
                subscription.close()
                await looking
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST):
                        await self._send_all()
                sending.cancel()

    async def _look(self, subscription: Subscription) -> None:
        """Until it is closed, and all of it has been taken."""
        clock = asyncio.get_running_loop().time
        while True:
            items: list[Item] | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    items = await subscription.batch()
            if items is not None and not items:
                return
            for item in items or ():
                self._note(self._watch.take(item, clock()))
            self._note(self._watch.due(clock()))

    def _note(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            if len(self._waiting) == MOST:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(notice)
            self._came.set()

    async def _keep_sending(self) -> None:
        while True:
            await self._came.wait()
            await asyncio.sleep(GATHER)
            await self._send_all()
            await asyncio.sleep(APART)

    async def _send_all(self) -> None:
        """One message of all that waits; it waits on where nobody got it."""
        async with self._sending:  # not again while that is on its way
            if self._waiting and not self._is_quiet():
                await self._send_now()

    async def _send_now(self) -> None:
        notices, dropped = list(self._waiting), self._dropped
        sent = await self._send(*self._message(notices, dropped))
        failures = [f"{each.to}: {each.error}" for each in sent if each.error]
        if failures and not self._failing:
            text = f"people can't be told: {'; '.join(failures)}"
            log.error(text)
            self._tell(text)
        self._failing = bool(failures)
        if len(failures) == len(sent):
            return
        told = set(map(id, notices))  # others may have been dropped meanwhile, and not been told
        self._waiting = deque(n for n in self._waiting if id(n) not in told)
        self._dropped -= dropped
        if not self._waiting:
            self._came.clear()

    def _message(self, notices: Sequence[Notice], dropped: int) -> tuple[str, str]:
        kinds = ", ".join(dict.fromkeys(notice.kind for notice in notices))
        lines = [notice.text for notice in notices[-_LINES:]]
        if more := dropped + len(notices) - len(lines):
            lines.insert(0, f"({more} before these)")
        return f"{self._prefix} {kinds}", "\n".join(lines)

    def _is_quiet(self) -> bool:
        if self._config.quiet is None:
            return False
        wall = self._wall()
        (begins, ends), now = self._config.quiet, wall.hour * 60 + wall.minute
        return begins <= now < ends if begins <= ends else now >= begins or now < ends
