"""The runs that wait for their turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.errors import InputError
from orchestrator.types import QueueChanged, QueuedRun, QueueLeft, RunRequest, RunStatus

MOST = 1000
"""Runs that may wait: nobody oversees more, and a client that submits in a loop ends here."""


class RunQueue:
    """Runs in the order in which they will be started; held after one that did not succeed.

    A run stays at the head while it is under way. One that did not succeed stays there, with what
    it ended in, until it is started again or removed.
    """

    def __init__(self) -> None:
        self._last_number = 0
        self._items: list[tuple[QueuedRun, RunRequest]] = []
        self._running = False
        self.held = False
        self.autostart = True

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[QueuedRun]:
        return (item for item, _ in self._items)

    @property
    def changed(self) -> QueueChanged:
        """The event that tells what it holds now."""
        waiting = tuple(item for item, _ in self._items[self._running :])
        running = self._items[0][0] if self._running else None
        return QueueChanged(waiting, self.held, self.autostart, running)

    def submit(self, request: RunRequest, name: str = "") -> QueuedRun:
        """Add a run at the end, shown by that name.

        Raises:
            InputError: There are `MOST` already.
        """
        if len(self._items) >= MOST:
            raise InputError(f"the queue is full, {MOST} runs are in it; remove some, or clear it")
        args = request.args if isinstance(request.args, dict) else {}
        name = name or request.name or request.origin or "a sequence"
        self._last_number += 1
        asked = replace(request, request=0, always_a_run=True, waits=True)
        item = QueuedRun(self._last_number, name, args, request.owner, request=asked)
        self._items.append((item, asked))
        return item

    def restore(self, left: QueueLeft) -> None:
        """Take what an earlier service has left; held until somebody says so.

        Called before any other is submitted.
        """
        for item in left.waiting:
            by_name = RunRequest(0, item.name, args=item.args, owner=item.owner, how="queue")
            asked = item.request or by_name
            asked = replace(asked, request=0, always_a_run=True, waits=True, lane=left.lane)
            self._items.append((replace(item, request=asked), asked))
            self._last_number = max(self._last_number, item.number)
        self.held, self.autostart = bool(left.waiting), left.autostart

    def remove(self, number: int) -> QueuedRun:
        """Take a waiting run out.

        Raises:
            InputError: There is no such run, or it is under way.
        """
        return self._items.pop(self._index(number))[0]

    def move(self, number: int, position: int) -> QueuedRun:
        """Move a waiting run to `position` among the waiting, 1 = the next one.

        Raises:
            InputError: There is no such run, or it is under way.
        """
        index = self._index(number)
        item = self._items.pop(index)
        place = min(max(position, 1), len(self._items) + 1)  # what is beyond is the end
        self._items.insert(self._running + place - 1, item)
        return item[0]

    def clear(self) -> int:
        """Take all waiting runs out; returns how many."""
        count = len(self._items) - self._running
        del self._items[self._running :]
        self.held = False
        return count

    def take(self) -> RunRequest | None:
        """The run to be started now, None = none; it is under way from here on."""
        if self._running or self.held or not self.autostart or not self._items:
            return None
        self._running = True
        return self._items[0][1]

    def ended(self, status: RunStatus, message: str) -> None:
        """A run has ended: the one that was taken, or else one that was not queued."""
        if status is not RunStatus.SUCCESS:
            self.held = bool(self._items)
        if not self._running:
            return
        self._running = False
        item, request = self._items.pop(0)
        if status is not RunStatus.SUCCESS:
            told = replace(item, ended=f"{status}: {message}")
            self._items.insert(0, (told, request))

    def _index(self, number: int) -> int:
        waiting = range(self._running, len(self._items))
        for index in waiting:
            if self._items[index][0].number == number:
                return index
        known = ", ".join(str(self._items[i][0].number) for i in waiting) or "none"
        raise InputError(f"no run {number} is waiting; waiting are {known}")
