"""Puts that wait for their answer."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

from orchestrator.errors import PutError
from orchestrator.ioc import current_put
from orchestrator.ports import Offer
from orchestrator.types import Command, Reply, Verb

_MOST = 500
"""Texts of CMD that may be unanswered; nothing else bounds what clients put without callback."""


class Requests:
    """Sends commands, and gives the replies to those who wait for them."""

    def __init__(self, pull: Offer[Command]) -> None:
        self._pull = pull
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._texts: set[int] = set()
        self._refusal = 0

    async def ask(self, verb: Verb, text: str = "", args: str = "") -> None:
        """Send a command for the client whose put is being served.

        Returns when it has been answered and the client has been sent every update before
        that; at once for a client that does not wait.

        Raises:
            PutError: It was refused, or what it started has failed.
        """
        put = current_put()
        # Also where nobody waits: what comes of one command must not be taken for another's.
        number = next(self._numbers)
        command = Command(verb, number, text, args, owner=put.owner)
        if verb is Verb.COMMAND:
            self._admit(command)
        if not put.waiting:
            self._pull.offer(command)
            return
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._pull.offer(command)
            error = await answer
        finally:
            del self._waiting[number]
        await put.updates_sent()
        if error:
            raise PutError(error)

    def _admit(self, command: Command) -> None:
        """Refuse a text of CMD while too many are unanswered; one refusal at a time is told."""
        if len(self._texts) < _MOST:
            self._texts.add(command.request)
            return
        reason = f"{_MOST} commands wait already: this one and those after it are refused"
        if not self._refusal:
            self._refusal = command.request
            self._pull.offer(replace(command, text="", refused=reason))
        raise PutError(reason)

    def tell(self, verb: Verb, text: str) -> None:
        """Send what nobody waits for."""
        self._pull.offer(Command(verb, text=text, owner=current_put().owner))

    def resolve(self, reply: Reply) -> None:
        """Give an answer to whoever waits for it."""
        self._texts.discard(reply.request)
        if reply.request == self._refusal:
            self._refusal = 0
        answer = self._waiting.get(reply.request)
        if answer is not None and not answer.done():
            answer.set_result(reply.error)
