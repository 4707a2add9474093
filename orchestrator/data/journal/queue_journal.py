"""The queue of runs, kept as a run is: in a journal whose last line tells what waits."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from orchestrator.data.journal import entries
from orchestrator.data.journal.buffer import LineBuffer, new_buffer
from orchestrator.data.journal.file import JournalFile, file_name
from orchestrator.data.journal.queued_request import request_of, request_text
from orchestrator.data.journal.reader import entries_of_any, is_held
from orchestrator.errors import InputError
from orchestrator.types import QueueChanged, QueueLeft, RunRequest, RunStatus
from orchestrator.types.event_json import event_of

log = structlog.get_logger(__name__)

_BUFFER = 1 << 20
"""Bytes of lines that may wait for the disk."""
_OF_LANE = "queue-"
"""The folder of another lane's queue begins so; beside it stands that of the main lane."""
_FILES = 3
"""Files that it has at most; of what waits the last line tells."""
_TELL_ALL = 1 << 22
"""Bytes after which a line tells again with what each run is started: files in the middle go."""
_MOST = 1 << 22
"""Characters of what the runs that wait are started with that are kept."""
_NAME = re.compile(r"\d+(-\d+)?$")
_KILLED = f"{RunStatus.INTERRUPTED.value}: its service was killed"


def lanes_with_queues(store: Path) -> list[str]:
    """The lanes of which a store may have a queue; the main one, "", is the first."""
    named = (path.name.removeprefix(_OF_LANE) for path in store.glob(f"{_OF_LANE}*"))
    return ["", *sorted(named)]


class QueueJournal:
    """Keeps the queue of one lane, in a folder of its own for each service that changes it."""

    def __init__(
        self,
        store: Path,
        lost: Callable[[str], None],
        lane: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is made before the first change.

        Args:
            store: Its directory.
            lost: Called in a thread, once, with why the queue can't be kept.
            lane: Whose queue it is; empty = the main lane's.
            check: Called in a thread before a folder is made; raises OSError where none is to be.
        """
        self._check = check
        self._store = store
        self._lane = lane
        self._folder = store / (f"{_OF_LANE}{lane}" if lane else "queue")
        self._lost = lost
        self._kept = QueueChanged((), held=False, autostart=True, lane=lane)
        self._awaited: set[int] = set()
        """The numbers of runs that a service before has left; empty once they are back."""
        self._former: list[Path] = []
        """Of services before: needed until there is one of our own."""
        self._next = 1
        self._file: JournalFile | None = None
        self._sizes: dict[int, int] = {}
        """Characters of that with which runs are started, of those that the journal has told of."""
        self._bytes = 0
        """Since it has of all."""

    def left(self) -> QueueLeft | None:
        """What waited when the last service ended. Reads files: not for the event loop.

        One that was under way then waits again, as the first: it did not end well.

        Raises:
            InputError: It can't be read.
        """
        if not self._folder.is_dir():
            return None
        there = sorted(_number(path) for path in self._folder.iterdir() if _NAME.match(path.name))
        self._next = there[-1][0] + 1 if there else 1
        for number in reversed(there):
            folder = self._folder / "-".join(str(part) for part in number if part)
            if _is_in_use(folder):
                log.warning("another service keeps its queue in this store", folder=str(folder))
                continue
            last, lost = _last_state(folder)
            self._former.append(folder)
            if last is not None:
                self._kept = last
                left = self._left(last, lost)
                self._awaited = {run.number for run in left.waiting} if left else set()
                return left
        return None

    def _left(self, last: QueueChanged, lost: Collection[int]) -> QueueLeft | None:
        waiting = last.waiting
        if last.running is not None:
            waiting = (replace(last.running, ended=_KILLED), *waiting)
        if not waiting:
            return None
        there = tuple(run for run in waiting if run.number not in lost)
        gone = tuple(run for run in waiting if run.number in lost)
        return QueueLeft(there, last.autostart, self._lane, gone)

    def keep(self, queue: QueueChanged) -> None:
        """The queue is another one now; a service that is killed does not lose it.

        What is told before all is back that was left (a lane may start a run by itself at once) is
        not the queue yet.
        """
        if self._awaited:
            if self._awaited.isdisjoint(run.number for run in queue.waiting):
                return
            self._awaited.clear()  # they come back all at once
        if queue == self._kept:
            return
        self._kept = queue
        line = entries.queue_changed(queue, self._requests(queue))
        self._bytes += len(line)
        if self._file is not None:
            self._file.append(line)
        else:
            self._file = self._begin(line)

    def _requests(self, queue: QueueChanged) -> dict[int, str]:
        """What is to be told of runs: with what each is started that is new, or all of them."""
        if self._bytes > _TELL_ALL:
            self._bytes = 0
            self._sizes.clear()
        runs = queue.waiting if queue.running is None else (queue.running, *queue.waiting)
        numbers = {run.number for run in runs}
        self._sizes = {n: size for n, size in self._sizes.items() if n in numbers}
        new: dict[int, str] = {}
        for run in runs:
            if run.number not in self._sizes and run.request is not None:
                text = request_text(run.request)
                fits = len(text) + sum(self._sizes.values()) <= _MOST
                new[run.number] = text if fits else "null"
                self._sizes[run.number] = len(new[run.number])
        return new

    def _begin(self, line: bytes) -> JournalFile:
        folder = self._folder / str(self._next)
        buffer = new_buffer(_BUFFER, self._store)
        forget, free = self._forget, LineBuffer.close
        file = JournalFile(folder, buffer, self._lost, forget, free, files=_FILES, make=self._make)
        file.begin(line)
        return file

    def _make(self, folder: Path) -> None:
        self._check()
        folder.mkdir(parents=True, exist_ok=True)

    def _forget(self, _folder: Path) -> None:
        """Called in the thread when there is a line of our own: those before are not needed."""
        while self._former:
            shutil.rmtree(self._former.pop(), ignore_errors=True)

    def close(self) -> None:
        """Nothing follows."""
        if self._file is not None:
            self._file.close()

    def join(self, timeout: float) -> None:
        """Wait for the disk. Blocks: not for the loop."""
        if self._file is not None:
            self._file.thread.join(timeout)


def _number(path: Path) -> tuple[int, int]:
    """Of a folder; where two services have begun one at a time the second has two."""
    first, _, second = path.name.partition("-")
    return int(first), int(second or 0)


def _is_in_use(folder: Path) -> bool:
    try:
        with (folder / file_name(1)).open("rb") as file:
            return is_held(file.fileno())
    except OSError:
        return False


def _last_state(folder: Path) -> tuple[QueueChanged | None, set[int]]:
    """What waits, and the numbers of those of which it is not kept with what they are started."""
    requests: dict[str, Mapping[str, Any] | None] = {}
    last: Mapping[str, Any] = {}
    try:
        for entry in entries_of_any(folder):
            last = entry
            requests |= entry.get("requests", {})
        event = event_of(last) if last.get("event") else None
        if not isinstance(event, QueueChanged):
            return None, set()
    except (InputError, OSError, ValueError, KeyError, TypeError) as error:
        text = f"the queue of runs that was left can't be read: {folder}: {error}"
        raise InputError(text) from error
    known = {int(number): _request(number, told) for number, told in requests.items()}
    waiting = tuple(replace(run, request=known.get(run.number)) for run in event.waiting)
    running = event.running and replace(event.running, request=known.get(event.running.number))
    lost = {number for number, request in known.items() if request is None}
    return replace(event, waiting=waiting, running=running), lost


def _request(number: str, told: Mapping[str, Any] | None) -> RunRequest | None:
    try:
        return None if told is None else request_of(told)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("what is to be run can't be read", number=number, error=str(error))
        return None
