"""One service a store: a lock that ends with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from orchestrator.errors import InputError

log = structlog.get_logger(__name__)

_FILE = ".lock"


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
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(directory / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"can't write in the store {directory}: {error.strerror}") from error
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


def _lock(file: int, directory: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        prefix, _, process = os.pread(file, 256, 0).decode(errors="replace").partition(" ")
        raise InputError(
            f"the store {directory} is in use by the service {prefix or '?'} "
            f"(process {process or '?'}): send it the run with --server {prefix or 'PREFIX'}, "
            "or choose another [store] directory in the configuration"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            raise
        log.warning("this file system has no locks: two services may use one store", at=directory)
