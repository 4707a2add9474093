"""One service a store, and any number of foreground runs: a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from orchestrator.errors import InputError
from orchestrator.present import NO_LOCKS

log = structlog.get_logger(__name__)

_FILE = ".lock"
_PATIENCE = 0.2
"""s for which a run that looks at the lock may have it."""


@contextmanager
def hold_store(directory: Path, prefix: str) -> Iterator[None]:
    """Keep other services off a store for the time of the block.

    The file stays when the lock is gone: removing it could take away one that another service
    has just locked. A file left by a process that died locks nothing.

    Args:
        directory: The store's; made if it isn't there.
        prefix: Of the service that holds it, for the others' error messages.

    Raises:
        InputError: Another service holds it, or the directory can't be written.
    """
    file = _open(directory)
    try:
        _lock(file, directory)
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, f"{prefix} {os.getpid()}".encode(), 0)
        except OSError as error:  # the disk is full
            raise InputError(f"can't write in the store {directory}: {error.strerror}") from error
        yield
    finally:
        os.close(file)


def look_at_store(directory: Path) -> None:
    """See that a foreground run can use a store: other runs may do so at the same time.

    Not while a service has it: what a run is to do there is the service's to do.

    Raises:
        InputError: A service holds it, or the directory can't be written.
    """
    file = _open(directory)
    try:
        _try(file, directory, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _open(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return os.open(directory / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"can't write in the store {directory}: {error.strerror}") from error


def _lock(file: int, directory: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            _try(file, directory, fcntl.LOCK_EX)
        except InputError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _try(file: int, directory: Path, kind: int) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        prefix, _, process = os.pread(file, 256, 0).decode(errors="replace").partition(" ")
        raise InputError(
            f"the store {directory} is in use by the service {prefix or '?'} "
            f"(process {process or '?'}): send it the run with --server {prefix or 'PREFIX'}, "
            "or choose another [store] directory in the configuration"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warning("this file system has no locks: two services may use one store", at=directory)
