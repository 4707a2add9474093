"""What clients do wrong: one line of the log for each client and kind, the rest counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

_PERIOD_S = 60.0
"""In which the same of the same client is told once, and its number at the end."""

_MOST = 200
"""Kinds and clients that are kept apart; a flood from many addresses is one client's."""

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Count:
    until: float
    more: int = 0


class Complaints:
    """Tells each kind once a minute for a client, by its host: a flood comes from many ports."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], _Count] = {}

    def tell(self, event: str, address: tuple[str, int], **values: object) -> None:
        """Log what a client did, or count it.

        Args:
            event: The kind; the same words each time.
            address: The client's host and port.
            **values: Particulars; those of the first are shown.
        """
        host, port = address
        key = (event, host if len(self._told) < _MOST else "others")
        told = self._told.get(key)
        if told is not None:
            told.more += 1
            return
        self._told[key] = _Count(self._clock() + _PERIOD_S)
        logger.warning(event, client=f"{host}:{port}", **values)

    def tick(self) -> None:
        """Tell the numbers of what came again; called now and then."""
        now = self._clock()
        for key in [key for key, told in self._told.items() if told.until <= now]:
            told = self._told.pop(key)
            if told.more:
                event, host = key
                logger.warning(event, client=host, more=told.more, within_s=_PERIOD_S)
                self._told[key] = _Count(now + _PERIOD_S)
