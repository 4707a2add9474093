"""Puts that wait for their answer."""

from __future__ import annotations

import asyncio
import itertools

from orchestrator.errors import PutError
from orchestrator.ioc import current_put
from orchestrator.ports import Offer
from orchestrator.types import Command, Reply, Verb


class Requests:
    """Sends commands, and gives the replies to those who wait for them."""

    def __init__(self, pull: Offer[Command]) -> None:
        self._pull = pull
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}

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

    def tell(self, verb: Verb, text: str) -> None:
        """Send what nobody waits for."""
        self._pull.offer(Command(verb, text=text, owner=current_put().owner))

    def resolve(self, reply: Reply) -> None:
        """Give an answer to whoever waits for it."""
        answer = self._waiting.get(reply.request)
        if answer is not None and not answer.done():
            answer.set_result(reply.error)
