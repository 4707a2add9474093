"""Updates of a channel, kept one by one until they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from orchestrator.engine.readings.trust import Trust
from orchestrator.errors import ReadError
from orchestrator.ports import ChannelView, View
from orchestrator.types import Reading, Severity
from orchestrator.verbs.awaited import NOTHING_MORE, Accept

MOST_UPDATES = 100_000
"""That wait to be taken, of one channel."""


class UpdateQueue:
    """The updates of one channel that nobody has taken yet, oldest first.

    Those that satisfy no wait are left out: INVALID ones, and the first value after a
    reconnection, which is no update.
    """

    def __init__(
        self,
        view: View,
        name: str,
        trust: Trust,
        tell: Callable[[str, Severity], None],
        most: int = MOST_UPDATES,
    ) -> None:
        """From now on; `tell` is told what is lost where that is no error."""
        self.name = name
        self._channel = view.channel(name)
        self._trust = trust
        self._tell = tell
        self._most = most
        self._last = self._channel.reading
        self._waiting: deque[tuple[Reading, str]] = deque()
        self._lost = 0
        self._dropped = 0
        self._unwatch = view.watch((name,), self._updated, every=True)

    def __bool__(self) -> bool:
        """Whether there is one to take, or an error to tell."""
        return bool(self._waiting) or self._lost > 0

    def take(self, accept: Accept = NOTHING_MORE, *, drop: bool = False) -> Reading | None:
        """The oldest; None where there is none that is accepted.

        Args:
            accept: What counts beside what always does.
            drop: Whether those that were lost are only told of.

        Raises:
            ReadError: Too many waited: tells how many were lost. The next one is what came then.
        """
        lost, self._lost = self._lost, 0
        if lost and not drop:
            self._waiting.clear()
            raise ReadError(
                f"{self.name}: its updates come faster than they are taken: {self._most:,} waited, "
                f"and {lost:,} more were lost"
            )
        if lost:
            self._dropped += lost
            if self._dropped == lost:
                text = f"{self.name}: its updates come faster than they are taken; the oldest go"
                self._tell(text, Severity.MINOR)
        while self._waiting:
            reading, doubt = self._waiting.popleft()
            if not doubt or _accepted(reading, accept):
                return reading
        return None

    def close(self) -> None:
        """Nobody takes any more; tells how many went."""
        self._unwatch()
        if self._dropped:
            text = f"{self.name}: {self._dropped:,} updates were dropped, nobody took them in time"
            self._tell(text, Severity.MINOR)

    def _updated(self, channel: ChannelView) -> None:
        reading = channel.reading
        if reading is None or reading is self._last or not channel.connected:
            return
        self._last = reading
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append((reading, self._trust.doubt(channel)))


def _accepted(reading: Reading, accept: Accept) -> bool:
    """Whether what is in doubt counts all the same."""
    invalid = reading.severity is Severity.INVALID
    return (accept.restart or not reading.unconfirmed) and (accept.invalid or not invalid)
