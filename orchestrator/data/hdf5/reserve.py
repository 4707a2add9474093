"""Room on the disk for what HDF5 is about to write.

HDF5 can't be told that a write has failed: it keeps half of its caches, can't close the file, and
ends the process by a segmentation fault when that does (2.0 with a full disk). So the disk has to
have agreed before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from pathlib import Path

_AHEAD = 8 << 20
"""Bytes that are asked for at a time, beside what is needed."""
_SPARE = 4 << 20
"""Bytes for what HDF5 keeps of its own; with them a file can always be closed."""
_KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE of `linux/falloc.h`: the file's size stays what it is."""
_NOT_THERE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""This file system can't (NFS before 4.2, some of FUSE)."""


class Reserve:
    """Room behind the end of one file."""

    def __init__(self, path: Path) -> None:
        """The file is there."""
        self._file = os.open(path, os.O_RDWR)
        self._until = 0

    def need(self, end: int, more: int) -> None:
        """See that a file that ends there can get so many bytes more.

        Raises:
            OSError: It can't: the disk is full, a quota or a limit is reached. Nothing has changed.
        """
        until = end + more + _SPARE
        if until <= self._until:
            return
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if most != resource.RLIM_INFINITY and until > most:
            raise _error(errno.EFBIG)
        for ahead in (_AHEAD + more, 0):
            fault = _allocate(self._file, until + ahead)
            if not fault:
                self._until = until + ahead
                if most != resource.RLIM_INFINITY:
                    self._until = min(self._until, most)
                return
        raise _error(fault)

    def release(self) -> None:
        """Give back what the file has not used."""
        file, self._file = self._file, -1
        if file >= 0:
            try:
                os.ftruncate(file, os.fstat(file).st_size)
            finally:
                os.close(file)


def _allocate(file: int, until: int) -> int:
    """Have the disk keep room up to there; an error's number, 0 = done."""
    fault = 0
    allocate = getattr(_libc, "fallocate", None)
    if allocate is not None and allocate(
        file, _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(until)
    ):
        fault = ctypes.get_errno()
    if allocate is None or fault in _NOT_THERE:
        free = os.fstatvfs(file)
        missing = until - os.fstat(file).st_size
        fault = errno.ENOSPC if missing > free.f_bavail * free.f_frsize else 0
    return fault


_libc = ctypes.CDLL(None, use_errno=True)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
