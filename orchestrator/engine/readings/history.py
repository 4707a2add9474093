"""What expressions ask of a run beside values: the time, and which channels have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np

from orchestrator.ports import ChannelView, View
from orchestrator.types import Reading


class History:
    """The clocks of one run, and the order in which the channels that it follows have changed.

    Changes are told apart by counting them, not by the loop's clock: uvloop's stands still for a
    turn of the loop, in which a step may begin and an update come.
    """

    def __init__(
        self, view: View, clock: Callable[[], float], wall: Callable[[], datetime]
    ) -> None:
        """`clock` is the run's, which stands still in pauses; `wall` the time of day."""
        self._view = view
        self._clock = clock
        self._wall = wall
        self._began = clock()
        self._values: dict[str, object] = {}
        self._changes: dict[str, int] = {}
        self._unwatch: list[Callable[[], None]] = []
        self._followed: set[str] = set()
        self.count = 0
        """How many changes there were so far: a moment, for `changed`."""

    def now(self) -> float:
        """S since 1970."""
        return self._wall().timestamp()

    def elapsed(self) -> float:
        """S since the run began, without pauses."""
        return self._clock() - self._began

    def follow(self, names: Iterable[str]) -> None:
        """Note from now on when these change; their values now are what they change from."""
        new = set(names) - self._followed
        if not new:
            return
        self._followed |= new
        for name in new:
            self._updated(self._view.channel(name))
        self._unwatch.append(self._view.watch(new, self._updated))

    def changed(self, name: str, reading: Reading, since: int) -> bool:
        """Whether a channel has had another value since a moment; `reading` is its newest."""
        self.follow((name,))
        self._note(name, reading.value)
        return self._changes.get(name, 0) > since

    def _updated(self, channel: ChannelView) -> None:
        if channel.connected and channel.reading is not None:
            self._note(channel.name, channel.reading.value)

    def _note(self, name: str, value: object) -> None:
        known = self._values.get(name)
        if known is None or not _equal(known, value):
            self._values[name] = value
            if known is not None:
                self.count += 1
                self._changes[name] = self.count

    def close(self) -> None:
        """The run is over."""
        for unwatch in self._unwatch:
            unwatch()
        self._unwatch.clear()


def _equal(one: object, other: object) -> bool:
    """Whether two values of one channel are the same; NaN is itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        a, b = np.asarray(one), np.asarray(other)
        return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
    return one == other or (one != one and other != other)
