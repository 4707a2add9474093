"""Choices of a menu that Channel Access does not list: their texts are learned as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator.client.channels.gets import ask
from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.ca_subscription import Flusher
from orchestrator.client.libca.decode import Decoder, decoder, worded
from orchestrator.client.libca.error_mapping import FAULTS
from orchestrator.types import Metadata, NativeType

MOST_LISTED = 16
"""Labels that DBR_CTRL_ENUM carries (MAX_ENUM_STATES of db_access.h)."""
LEARNED_WITHIN = 2.0
"""s that a server has to word a choice; then it goes without a text."""


def is_menu(pv: str, metadata: Metadata) -> bool:
    """Whether a channel is an enum that may have choices beside those that are listed.

    A menu such as `.STAT` or `.DTYP` may have more than are listed; the states of an mbbi or mbbo
    are as many at most. Channel Access does not tell one from the other: the field does.
    """
    is_enum = metadata.native is NativeType.ENUM and metadata.count == 1
    lists_all = len(metadata.labels) < MOST_LISTED
    return is_enum and not lists_all and pv.partition(".")[2] not in ("", "VAL")


class Menu:
    """What is known of the choices of one channel beyond those that are listed.

    Only the server knows their texts, and tells but that of the one that it holds (DBR_STRING).
    """

    def __init__(self, channel: Any, arrivals: Arrivals, flusher: Flusher) -> None:
        """Nothing is asked yet.

        Args:
            channel: aioca's.
            arrivals: The way of the answers into the loop.
            flusher: The way to the server.
        """
        self._channel = channel
        self._arrivals = arrivals
        self._flusher = flusher
        self._words: dict[int, str] = {}
        self._waiting: dict[int, list[Callable[[], None]]] = {}

    def knows(self, index: int) -> bool:
        """Whether a choice is listed, or its text known."""
        return not MOST_LISTED <= index < 2**16 or index in self._words

    def describe(self, metadata: Metadata) -> Metadata:
        """The metadata with all labels that are known, behind those that are listed."""
        listed, most = metadata.labels[:MOST_LISTED], max(self._words, default=-1) + 1
        more = (self._words.get(index, "") for index in range(len(listed), most))
        return replace(metadata, labels=(*listed, *more), menu=True)

    def forget(self) -> None:
        """The channel was lost: its server may come back with another menu."""
        self._words.clear()

    def learn(self, index: int, done: Callable[[], None]) -> None:
        """Ask for the text of a choice that the channel holds now; `done` is called in any case."""
        waiting = self._waiting.setdefault(index, [])
        waiting.append(done)
        if len(waiting) > 1:
            return  # asked already
        limit = self._arrivals.loop.call_later(LEARNED_WITHIN, self._end, index, "")
        text: list[str] = []
        try:
            # In this order: where it still holds the index then, the text was that of the index.
            self._ask(worded(), partial(self._take_text, text))
            number = decoder(self._channel, text_from=0)
            self._ask(number, partial(self._take_index, index, text, limit))
            self._flusher.send_soon()
        except FAULTS:
            limit.cancel()
            self._arrivals.loop.call_soon(self._end, index, "")

    async def learned(self, index: int) -> None:
        """Return when `knows` a choice that the channel holds now, or has given it up."""
        done = self._arrivals.loop.create_future()
        self.learn(index, lambda: None if done.done() else done.set_result(None))
        await done

    def _ask(self, how: tuple[int, int, Decoder], answered: Callable[[Any], None]) -> None:
        ask(self._channel, *how, self._arrivals, answered)

    def _take_text(self, text: list[str], answer: Any) -> None:
        if not isinstance(answer, BaseException):
            text.append(answer[0])

    def _take_index(
        self, index: int, text: list[str], limit: asyncio.TimerHandle, answer: Any
    ) -> None:
        limit.cancel()
        same = not isinstance(answer, BaseException) and answer[0] == index
        self._end(index, text[0] if same and text else "")

    def _end(self, index: int, text: str) -> None:
        waiting = self._waiting.pop(index, [])
        if waiting and text:
            self._words[index] = text
        for done in waiting:
            done()
