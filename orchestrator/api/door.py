"""Commands go in with their caller, answers and everything that happens come out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.api.subscription import MOST_WAITING, Filter, Subscription
from orchestrator.errors import InputError
from orchestrator.ports import Offer, OwnValues
from orchestrator.types import Accepted, Command, Field, Published, Reply, RunStarted, Update, Verb


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str = ""
    """user@host, as it claims; the OWNER of what it starts."""
    listens: Subscription | None = None
    """Where it sees what it has caused: its answer comes there, behind all that must be seen first,
    and whoever takes it from there hands it to `Api.answer`. None = it is answered at once."""


@dataclass(slots=True)
class _Question:
    """A command without its answer."""

    listens: Subscription | None
    answer: asyncio.Future[Reply]
    began: asyncio.Future[RunStarted | Accepted | Reply] | None = None
    """For who wants to know what has begun by it, and not how that ends."""


class Api:
    """The door of one service.

    >>> import asyncio
    >>> from orchestrator import Caller, Config, ServerConfig, open_service
    >>> from orchestrator.types import Command, Verb
    >>> config = Config(server=ServerConfig(port=0, interfaces=("127.0.0.1",)))
    >>> async def main() -> None:
    ...     async with open_service(config) as service:
    ...         command = Command(Verb.COMMAND, text="ping")
    ...         reply = await service.api.ask(command, Caller("me@here"))
    ...         print(reply.error or "accepted")
    >>> asyncio.run(main())
    accepted
    """

    def __init__(
        self,
        pull: Offer[Command],
        keep_all: frozenset[str] = frozenset(),
        own: OwnValues | None = None,
    ) -> None:
        """Made by the service.

        Args:
            pull: Where commands go.
            keep_all: Channels whose mirrors are not merged.
            own: Takes puts to own PVs.
        """
        self._own = own
        self._pull = pull
        self._keep_all = keep_all
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}
        self._subscriptions: tuple[Subscription, ...] = ()
        self._of_channels: tuple[Subscription, ...] = ()
        """Those who want to be told of channels: of these there are thousands of updates."""
        self._last: dict[str, dict[Field, Update]] = {}
        """By lane; what the service has one of stands with the main lane."""

    # Who asks and listens -----------------------------------------------------------------------

    def ask(self, command: Command, caller: Caller = Caller()) -> asyncio.Future[Reply]:
        """Ask for something; never waits.

        Args:
            command: What is asked; its number and owner are filled in.
            caller: Who asks.

        Returns:
            Done when it is answered: a START when its run has ended, others when they are accepted
            or refused. To cancel it withdraws nothing.
        """
        return self._ask(command, caller, None)

    def _ask(
        self,
        command: Command,
        caller: Caller,
        began: asyncio.Future[RunStarted | Accepted | Reply] | None,
    ) -> asyncio.Future[Reply]:
        number = next(self._numbers)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._questions[number] = _Question(caller.listens, answer, began)
        owner = command.owner or caller.name
        self._pull.offer(replace(command, request=number, owner=owner))
        return answer

    def begin(
        self, command: Command, caller: Caller = Caller()
    ) -> asyncio.Future[RunStarted | Accepted | Reply]:
        """Ask for a run, and be told which it is; never waits.

        Returns:
            Done with the first that is heard of it: it has begun, it waits in the queue, or it was
            refused.
        """
        began: asyncio.Future[RunStarted | Accepted | Reply]
        began = asyncio.get_running_loop().create_future()
        self._ask(command, caller, began)
        return began

    def tell(self, command: Command, caller: Caller = Caller()) -> None:
        """Ask for what needs no answer, and cannot be refused."""
        self._pull.offer(replace(command, owner=command.owner or caller.name))

    async def put(self, own: str, value: object, caller: Caller = Caller()) -> None:
        """Put an own PV; returns when it has been published, to the caller last.

        Args:
            own: Its channel, `own.best`.
            value: In the terms of sequences: an enum is a label or an index.
            caller: Who puts.

        Raises:
            InputError: There is no such own PV.
            PutError: Clients may not put it, or it can't hold the value.
        """
        if self._own is None:
            raise InputError(f"there is no own PV {own!r}: the configuration has no [own.…]")
        await self._own.write(own, value)
        await asyncio.shield(self.ask(Command(Verb.PUT, text=own), caller))

    def subscribe(self, wanted: Filter, *, most: int | None = MOST_WAITING) -> Subscription:
        """Be told of everything from now on that the filter lets pass; close it when done.

        Args:
            wanted: What is kept.
            most: Items that may wait; None = all, for a listener that never stands still.
        """
        subscription = Subscription(wanted, self._keep_all, most, self._unsubscribe)
        self._listen((*self._subscriptions, subscription))
        return subscription

    def snapshot(self, lane: str = "") -> Mapping[Field, Update]:
        """The last value of each of the service's own fields, by field; of a lane: its own."""
        return dict(self._last.get(lane, {}))

    def answer(self, reply: Reply) -> None:
        """All that had to be seen before a reply has been: give it to who asked."""
        question = self._questions.pop(reply.request, None)
        if question is None:
            return
        if not question.answer.done():
            question.answer.set_result(reply)
        _set(question.began, reply)

    # The service --------------------------------------------------------------------------------

    def offer(self, item: Published | Reply) -> None:
        """Publish an item; at once. Called by the device, which alone decides what is published."""
        if isinstance(item, Reply):
            self._reply(item)
            return
        listening = self._subscriptions
        if isinstance(item, Update) and item.key:
            listening = self._of_channels
        elif isinstance(item, Update):
            self._last.setdefault(item.lane, {})[item.field] = item
        elif isinstance(item, RunStarted | Accepted) and item.request in self._questions:
            _set(self._questions[item.request].began, item)
        for subscription in listening:
            if subscription.wanted.wants(item):
                subscription.offer(item)

    def _reply(self, reply: Reply) -> None:
        question = self._questions.get(reply.request)
        if question is not None and question.listens is not None:
            question.listens.offer(reply)
        else:
            self.answer(reply)

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._listen(tuple(s for s in self._subscriptions if s is not subscription))

    def _listen(self, subscriptions: tuple[Subscription, ...]) -> None:
        self._subscriptions = subscriptions
        self._of_channels = tuple(s for s in subscriptions if s.wanted.channels)

    def close(self) -> None:
        """Nothing more is published: listeners take what waits, and are done."""
        for subscription in self._subscriptions:
            subscription.close()
        for question in self._questions.values():
            question.answer.cancel()
            if question.began is not None:
                question.began.cancel()


def _set(
    began: asyncio.Future[RunStarted | Accepted | Reply] | None, to: RunStarted | Accepted | Reply
) -> None:
    if began is not None and not began.done():
        began.set_result(to)
