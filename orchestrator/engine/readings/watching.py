"""Waiting for something to become so, update by update."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from orchestrator.ports import ChannelView, View

AGE_PERIOD = 0.1
"""s between two looks at what asks for the age of a channel."""


async def until(
    view: View,
    names: Iterable[str],
    holds: Callable[[], bool],
    touch: Callable[[], None] = lambda: None,
    *,
    timed: bool = False,
    also: asyncio.Future[object] | None = None,
) -> None:
    """Return once `holds` is true: now, or right after an update of one of the channels.

    What `holds` raises is raised here. `touch` is called with each update. With `timed` it is
    looked at from time to time as well: it asks for an age, of which no update tells. It is looked
    at when `also` is done, too.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    again: asyncio.TimerHandle | None = None

    def look(_channel: ChannelView | None = None) -> None:
        if done.done():
            return
        try:
            if holds():
                done.set_result(None)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            done.set_exception(error)

    def updated(channel: ChannelView) -> None:
        touch()
        look(channel)

    def look_again() -> None:
        nonlocal again
        again = loop.call_later(AGE_PERIOD, look_again)
        look()

    def answered(_future: asyncio.Future[object]) -> None:
        look()

    unwatch = view.watch(names, updated)
    try:
        if also is not None:
            also.add_done_callback(answered)
        look()
        if timed:
            look_again()
        await done
    finally:
        unwatch()
        if also is not None:
            also.remove_done_callback(answered)
        if again is not None:
            again.cancel()
