"""Fresh reads of channels that are connected: asked and answered together."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

from aioca import CANothing
from epicscorelibs.ca import cadef

from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.decode import Sample, decoder
from orchestrator.client.libca.thread_states import keep_state
from orchestrator.types import Reading


@cadef.event_handler  # type: ignore[untyped-decorator]  # epicscorelibs has no types
def _answered(arguments: Any) -> None:
    """Called once for each question, in a thread of libca."""
    keep_state()
    question: _Get = arguments.usr
    ctypes.pythonapi.Py_DecRef(question)
    answer: Any
    try:
        if arguments.status == cadef.ECA_NORMAL:
            answer = question.decode(arguments.raw_dbr, arguments.type, arguments.count)
        else:
            answer = CANothing(question.name, arguments.status)
    except Exception as error:  # noqa: BLE001 - whatever a value was that could not be converted
        answer = error
    question.arrivals.report(question.answered, answer)


class _Get:
    """One read that is under way."""

    __slots__ = ("answered", "arrivals", "decode", "name")

    def __init__(
        self,
        name: str,
        decode: Callable[[int, int, int], Any],
        arrivals: Arrivals,
        answered: Callable[[Any], None],
    ) -> None:
        self.name = name
        self.decode = decode
        self.arrivals = arrivals
        self.answered = answered


def ask(
    channel: Any,
    code: int,
    count: int,
    decode: Callable[[int, int, int], Any],
    arrivals: Arrivals,
    answered: Callable[[Any], None],
) -> None:
    """Ask a server once; the question leaves with the next flush.

    libca is called here as aioca's caget does it, without a task and an event for each.

    Args:
        channel: aioca's, connected.
        code: The DBR code in which to ask.
        count: Of elements; 0 = as many as there are.
        decode: Reads the answer where it lies in memory: address, code, count.
        arrivals: The way into the loop.
        answered: Called in the loop with what `decode` gave, or with what went wrong.

    Raises:
        CAException: libca refused the question.
        cadef.Disconnected: It isn't connected any more.
    """
    question = _Get(channel.name, decode, arrivals, answered)
    # libca keeps a bare pointer to it; `_answered` lets go of it.
    ctypes.pythonapi.Py_IncRef(question)
    try:
        cadef.ca_array_get_callback(code, count, channel, _answered, ctypes.py_object(question))
    except BaseException:
        ctypes.pythonapi.Py_DecRef(question)
        raise


class Reads:
    """Several reads that are waited for together."""

    def __init__(self, arrivals: Arrivals) -> None:
        """Nothing is asked yet."""
        self.answers: dict[str, Reading | Exception] = {}
        """By name, as they come: the reading, or what libca or the conversion said."""
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        self._left = 0
        self._done: asyncio.Future[None] = self._loop.create_future()

    def ask(self, name: str, channel: Any, *, text_from: int) -> None:
        """Ask for one channel's value; `text_from` as `decoder`.

        Raises:
            CAException: libca refused the question.
            cadef.Disconnected: It isn't connected any more.
        """
        code, count, decode = decoder(channel, text_from=text_from)
        ask(channel, code, count, decode, self._arrivals, partial(self.take, name))
        self._left += 1

    async def wait(self, timeout: float | None) -> None:
        """Return when all have answered, or after `timeout` s; None: the caller sets the limit."""
        if self._left == 0:
            return
        cadef.ca_flush_io()
        limit = None if timeout is None else self._loop.call_later(timeout, self.end)
        try:
            await self._done
        finally:
            if limit is not None:
                limit.cancel()

    def end(self) -> None:
        """Wait no longer."""
        if not self._done.done():
            self._done.set_result(None)

    def take(self, name: str, answer: Any) -> None:
        """An answer has come; called in the loop."""
        if self._done.done():
            return  # nobody waits any more
        if isinstance(answer, Exception):
            self.answers[name] = answer
        else:
            sample: Sample = answer
            now = self._loop.time()
            self.answers[name] = Reading(name, *sample[:4], received=now, nanoseconds=sample[4])
        self._left -= 1
        if self._left == 0:
            self.end()
