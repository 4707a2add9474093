"""Puts that wait for their answer."""

from __future__ import annotations

import asyncio

from orchestrator.api import Api, Caller, Subscription
from orchestrator.errors import PutError
from orchestrator.ioc import current_put
from orchestrator.types import Command, Reply, Verb

_MOST = 500
"""Texts of CMD that may be unanswered; nothing else bounds what clients put without callback."""


class Requests:
    """Asks for the clients, and has their puts wait for the answers."""

    def __init__(self, api: Api, published: Subscription, lane: str = "") -> None:
        """For the PVs of one lane.

        Args:
            api: Where they go.
            published: What clients are sent; an answer comes behind all before it there.
            lane: Empty = the main one.
        """
        self._lane = lane
        self._api = api
        self._published = published
        self._texts: list[asyncio.Future[Reply]] = []
        """Of texts of CMD, some of them there by now."""
        self._refusal: asyncio.Future[Reply] | None = None

    def of_lane(self, lane: str) -> Requests:
        """The same, of another lane."""
        return Requests(self._api, self._published, lane)

    async def ask(self, verb: Verb, text: str = "", args: str = "") -> None:
        """Send a command for the client whose put is being served.

        Returns when it has been answered and the client has been sent every update before
        that; at once for a client that does not wait.

        Raises:
            PutError: It was refused, or what it started has failed.
        """
        put = current_put()
        if verb is Verb.COMMAND:
            self._admit(put.owner)
        command = Command(verb, text=text, args=args, lane=self._lane)
        answer = self._api.ask(command, self._caller(put.owner))
        if verb is Verb.COMMAND:
            self._texts.append(answer)
        if not put.waiting:
            return
        reply = await asyncio.shield(answer)
        await put.updates_sent()
        if reply.error:
            raise PutError(reply.error)

    async def put(self, own: str, value: object) -> None:
        """Put an own PV for the client whose put is being served.

        Returns as `ask` does, but for that a client that does not wait is answered as late.

        Raises:
            PutError: It can't be put, or can't hold the value.
        """
        put = current_put()
        await self._api.put(own, value, self._caller(put.owner))
        if put.waiting:
            await put.updates_sent()

    def _admit(self, owner: str) -> None:
        """Refuse a text of CMD while too many are unanswered; one refusal at a time is told."""
        if len(self._texts) >= _MOST:
            self._texts = [answer for answer in self._texts if not answer.done()]
        if len(self._texts) < _MOST:
            return
        reason = f"{_MOST} commands wait already: this one and those after it are refused"
        if self._refusal is None or self._refusal.done():
            command = Command(Verb.COMMAND, refused=reason, lane=self._lane)
            self._refusal = self._api.ask(command, self._caller(owner))
        raise PutError(reason)

    def _caller(self, owner: str) -> Caller:
        return Caller(owner, self._published)

    def tell(self, verb: Verb, text: str) -> None:
        """Send what nobody waits for."""
        self._api.tell(Command(verb, text=text, lane=self._lane), Caller(current_put().owner))
