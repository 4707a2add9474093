"""Lines to a file whose reader may stand still: by a bounded queue, and a thread of their own."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

_MOST_WAITING = 4 * 2**20
"""Bytes that may wait for the reader; more is dropped, and counted."""
_PIECE = 65_536
"""Bytes that are handed to the operating system at a time."""
_LOOK = 0.2
"""s between two looks at a reader who takes nothing, where a write would not wait for him."""


class LineWriter:
    """Writes lines in their order; whoever offers one never waits for the reader.

    A terminal stopped by Ctrl-S and a hung journald take nothing: a write to them waits for ever,
    and with it the event loop that writes a log line. What does not fit meanwhile is dropped, the
    newest first; when the reader is back a line says how many were.
    """

    def __init__(
        self,
        fd: int,
        dropped: Callable[[int], str],
        failed: Callable[[OSError], None] = lambda _error: None,
        most_waiting: int = _MOST_WAITING,
        encoding: str = "utf-8",
    ) -> None:
        """The thread begins with the first line.

        Args:
            fd: Where to; not closed by this. No Python file: its lock would be held by a thread
                that waits, and the end of the process waits for that lock.
            dropped: The line that tells of so many dropped ones.
            failed: Called once, in the thread, when nothing can be written any more (a full disk,
                a reader who has gone); from then on lines are dropped in silence.
            most_waiting: Bytes that may wait.
            encoding: Of the lines; what it has not is written as Python's escapes.
        """
        self._fd = fd
        self._told = dropped
        self._failed = failed
        self._most = most_waiting
        self._encoding = encoding
        self._news = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._unwritten = 0
        self._dropped = 0
        self._ends = False
        self._thread: threading.Thread | None = None

    def offer(self, line: str) -> None:
        """Take a line, with its end, at once; from any thread."""
        text = self._encoded(line)
        with self._news:
            if self._ends or self._waiting + len(text) > self._most:
                self._dropped += 1
                return
            self._tell_dropped()
            self._append(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
                self._thread.start()
            self._news.notify()

    def drain(self, grace: float) -> bool:
        """Wait until all is written, for `grace` s at most; whether it is."""
        with self._news:
            return self._news.wait_for(lambda: not self._unwritten, grace)

    def close(self, grace: float | None) -> bool:
        """Write what waits, for `grace` s at most (None = as long as it takes); whether it is."""
        with self._news:
            self._ends = True
            self._news.notify()
        if self._thread is None:
            return True
        self._thread.join(grace)
        return not self._thread.is_alive()

    def _encoded(self, line: str) -> bytes:
        return line.encode(self._encoding, "backslashreplace")

    def _append(self, text: bytes) -> None:
        self._lines.append(text)
        self._waiting += len(text)
        self._unwritten += len(text)

    def _tell_dropped(self) -> None:
        count, self._dropped = self._dropped, 0
        if count:
            self._append(self._encoded(self._told(count)))

    def _run(self) -> None:
        try:
            while piece := self._next():
                self._write(piece)
                with self._news:
                    self._unwritten -= len(piece)
                    self._news.notify_all()
        except OSError as error:
            with self._news:
                self._most = self._unwritten = 0
                self._lines.clear()
                self._news.notify_all()
            self._failed(error)

    def _next(self) -> bytes:
        """The next lines; empty at the end."""
        with self._news:
            if not self._lines:
                self._tell_dropped()
            while not self._lines and not self._ends:
                self._news.wait()
            piece = bytearray()
            while self._lines and len(piece) < _PIECE:
                piece += self._lines.popleft()
            self._waiting -= len(piece)
            return bytes(piece)

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # whoever shares the file has made it so
                select.select([], [self._fd], [], _LOOK)


def spare(fd: int) -> None:
    """Let what is still written to `fd` vanish, if its reader takes nothing: the end must come."""
    try:
        if select.select([], [fd], [], 0)[1]:
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, fd)
        os.close(nowhere)
    except (OSError, ValueError):
        return  # it is closed: nothing can be written to it
