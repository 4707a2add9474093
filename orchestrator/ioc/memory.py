"""Giving memory back when a client that took much has left."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_MUCH = 2000
"""Requests of one client that are worth it: they may have taken some MB."""


class Returns:
    """Asks the C library to return what is free, after clients that had much.

    glibc keeps it: what one client's 20,000 subscriptions took (50 MB) would stay ours for ever,
    free but scattered. Other libraries have no such call, and need none.
    """

    def __init__(self) -> None:
        self._due = False

    def left(self, requests: int) -> None:
        """A client has left that had made so many requests."""
        self._due = self._due or requests >= _MUCH

    def tick(self) -> None:
        """Return what is free, if it is worth it: up to some 20 ms."""
        if self._due:
            self._due = False
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)
