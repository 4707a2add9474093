"""Which services and foreground runs use a store now: a file each, which tells where they serve.

A command in another terminal finds by it what it is to talk to. The file is locked as long as its
process lives, so that one that was killed is seen to be gone, whoever has its number by then.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import structlog

log = structlog.get_logger(__name__)

_FOLDER = ".running"
_SIZE = 4096
"""Bytes of a file, filled up with blanks: it is written anew in one piece, at any time."""

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
"""What a file system without locks says."""


@dataclass(frozen=True, slots=True)
class Present:
    """One that uses a store."""

    kind: Literal["service", "run"]
    """A `run` ends with its sequence, a `service` when it is told to."""
    prefix: str
    """Of its PVs."""
    address: str
    """host:port at which they are served."""
    pid: int
    host: str
    """Where it runs: a store may be shared."""
    started: float
    """Unix s."""
    name: str = ""
    """A run's sequence."""
    run_id: str = ""
    """Empty as long as a run has not begun."""
    lanes: Sequence[str] = ()
    """Prefixes of the PVs of a service's lanes beside the main one."""

    @property
    def title(self) -> str:
        """What people call it: `the run align 20260131T142501.037Z-k3`, `the service ORCH:`."""
        which = self.prefix if self.kind == "service" else f"{self.name} {self.run_id}".strip()
        return f"the {self.kind} {which}"


class Announcement:
    """What a process has written of itself."""

    def __init__(self, file: int | None, present: Present) -> None:
        """Made by `announced`; without a file nothing is told."""
        self._file = file
        self.present = present

    def began(self, name: str, run_id: str) -> None:
        """A run has begun."""
        self.present = replace(self.present, name=name, run_id=run_id)
        self.write()

    def write(self) -> None:
        """Write it down, in one piece."""
        if self._file is None:
            return
        text = json.dumps(asdict(self.present)).encode()
        try:
            os.pwrite(self._file, text.ljust(_SIZE), 0)
        except OSError as error:  # the disk is full: it is found by its prefix alone
            log.warning("commands in other terminals will not find it", error=error.strerror)


@contextmanager
def announced(
    store: Path,
    kind: Literal["service", "run"],
    prefix: str,
    address: str,
    name: str = "",
    lanes: Sequence[str] = (),
) -> Iterator[Announcement]:
    """Tell others, for the time of the block, that this process uses a store.

    Where nothing can be written it goes on without; that is logged.

    Args:
        store: The directory; it exists.
        kind: See `Present`.
        prefix: Of the PVs.
        address: host:port.
        name: Of a run's sequence, as far as it is known.
        lanes: Prefixes of the PVs of a service's lanes beside the main one.
    """
    here, number = socket.gethostname(), os.getpid()
    present = Present(kind, prefix, address, number, here, time.time(), name, lanes=lanes)
    try:
        file, path = _create(store / _FOLDER)
    except OSError as error:
        log.warning("commands in other terminals will not find it", error=error.strerror)
        yield Announcement(None, present)
        return
    try:
        announcement = Announcement(file, present)
        announcement.write()
        shown = path.with_suffix(".json")
        path.rename(shown)  # not before it is locked and whole
        try:
            yield announcement
        finally:
            shown.unlink(missing_ok=True)
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _create(folder: Path) -> tuple[int, Path]:
    folder.mkdir(exist_ok=True)
    path = folder / f"{socket.gethostname()}-{os.getpid()}.new"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    with suppress(OSError):  # where there are no locks the process's number has to do
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file, path


def find_present(store: Path) -> list[Present]:
    """What uses a store on this host now, the oldest first; what a dead process left is removed."""
    host = socket.gethostname()
    found: list[Present] = []
    for path in sorted((store / _FOLDER).glob("*.json")):
        with suppress(OSError):
            present = _read(path)
            if present is None or present.host != host:
                continue
            if _lives(path, present):
                found.append(present)
            else:
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda present: present.started)


def _read(path: Path) -> Present | None:
    try:
        return Present(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):  # none of ours, or of another version
        return None


def _lives(path: Path, present: Present) -> bool:
    file = os.open(path, os.O_RDONLY)  # it may be another user's
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return _exists(present.pid)
    finally:
        os.close(file)
    return False


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
