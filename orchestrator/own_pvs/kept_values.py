"""The values of own PVs that survive a restart: a file of lines, written by a thread."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_SYNC = 1.0
"""s after which what was written is on the disk itself: what the loss of power may cost."""
_MOST_LINES = 10_000
"""Lines of the file after which it is written anew, with one for each value."""
_END = 10.0
"""s that the last values get at the end."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A value on its way to the file."""

    name: str
    value: object
    done: Callable[[], object]
    """To be called in the loop."""


def own_file(store: Path) -> Path:
    """Where a store has the values of own PVs."""
    return store / "own.jsonl"


def _nobody(_why: str) -> None:
    """For those who only read."""


class KeptValues:
    """Appends a line for each put, `{"own": "own.best", "value": 1.5, "time": …}`; the last counts.

    A put goes on only when its line is with the operating system, so that what anybody has seen
    is there after the process is killed. What can't be written is told, and the put goes on.
    """

    def __init__(
        self,
        path: Path,
        *,
        alone: bool = False,
        lost: Callable[[str], None] = _nobody,
    ) -> None:
        """The file is made with the first value.

        Args:
            path: The file.
            alone: Whether no other process writes it anew: a service has its store for itself.
            lost: Called in a thread, with why values are not kept.
        """
        self.path = path
        self._alone = alone
        self._lost = lost
        self._latest: dict[str, str] = {}
        self._lines = 0
        self._waiting: queue.SimpleQueue[_Kept | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._file: int | None = None
        self._unsynced = 0.0
        self._failing = False

    def read(self) -> Mapping[str, object]:
        """The last value of each; not for the event loop.

        A line that a loss of power has torn is left out.
        """
        values: dict[str, object] = {}
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return values
        except OSError as error:
            log.warning("kept values can't be read", file=str(self.path), error=error.strerror)
            return values
        torn = 0
        for line in text.splitlines():
            try:
                kept = json.loads(line)
                values[kept["own"]] = kept["value"]
            except (ValueError, TypeError, KeyError, RecursionError):
                torn += 1
            else:
                self._latest[kept["own"]] = f"{line}\n"
                self._lines += 1
        if torn:
            log.warning("lines of kept values can't be read", file=str(self.path), lines=torn)
        return values

    def keep(self, name: str, value: object, done: Callable[[], object]) -> None:
        """Have a value written, and `done` called in the running loop when it is."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            work = threading.Thread(target=self._write, name="kept values", daemon=True)
            self._thread = work
            work.start()
        self._waiting.put(_Kept(name, value, done))

    async def close(self) -> None:
        """What waits is written, and on the disk; bounded."""
        if self._thread is None:
            return
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join, _END)
        if self._thread.is_alive():
            log.warning("the disk did not take all kept values", file=str(self.path))

    # The thread ---------------------------------------------------------------------------------

    def _write(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._next()
            if batch:
                self._take(batch)
            elif self._failing:
                self._try(())
            if self._unsynced and (ended or time.monotonic() - self._unsynced >= _SYNC):
                self._sync()
        self._close_file()

    def _next(self) -> tuple[list[_Kept], bool]:
        """All that waits; and whether it is the last."""
        batch: list[_Kept] = []
        try:
            first = self._waiting.get(timeout=_SYNC if self._unsynced or self._failing else None)
            while first is not None:
                batch.append(first)
                first = self._waiting.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _take(self, batch: list[_Kept]) -> None:
        lines = []
        for kept in batch:
            facts = {"own": kept.name, "value": kept.value, "time": time.time()}
            lines.append(f"{json.dumps(facts)}\n")
            self._latest[kept.name] = lines[-1]
        self._try(lines)
        for kept in batch:
            self._report(kept.done)

    def _try(self, lines: Sequence[str]) -> None:
        """Write lines; those that could not be written before as well."""
        try:
            self._append(tuple(self._latest.values()) if self._failing else lines)
        except OSError as error:
            self._failed(error)
        else:
            self._failing = False

    def _report(self, done: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(done)

    def _append(self, lines: Sequence[str]) -> None:
        if self._lines + len(lines) > _MOST_LINES and self._alone:
            self._write_anew()
        else:
            data = "".join(lines).encode()
            if os.write(self._opened(), data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._lines += len(lines)
        self._unsynced = self._unsynced or time.monotonic()

    def _opened(self) -> int:
        """The file, opened anew where another process has written it anew."""
        if self._file is not None and os.fstat(self._file).st_nlink:
            return self._file
        self._close_file()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")  # behind a line that was torn
        return file

    def _write_anew(self) -> None:
        new = self.path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.writelines(self._latest.values())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)  # at every moment one of the two is whole
        self._lines = len(self._latest)
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _sync(self) -> None:
        self._unsynced = 0.0
        try:
            if self._file is not None:
                os.fsync(self._file)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """Tell once, until it works again."""
        self._close_file()  # opened anew, what is torn is ended
        if not self._failing:
            self._failing = True
            self._lost(f"values of own PVs are not kept in {self.path}: {error.strerror}")
