"""Writing an update's value into a channel, if the channel can take it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from orchestrator.ioc import fitting, publish
from orchestrator.types import Alarm, Severity, Update

_LARGEST = 2**31 - 1
"""Channel Access has no wider integers."""


def held(value: Any) -> Any:
    """A whole number, or an array of them, as far as 32 bits hold it; the same where they do."""
    if isinstance(value, np.ndarray):
        if value.size == 0 or (value.max() <= _LARGEST and value.min() >= -_LARGEST - 1):
            return value
        return np.clip(value, -_LARGEST - 1, _LARGEST)
    if isinstance(value, int | np.integer) and not -_LARGEST - 1 <= value <= _LARGEST:
        return _LARGEST if value > 0 else -_LARGEST - 1
    return value


async def write(channel: Any, update: Update) -> None:
    """Post a value with its alarm and time, past every putter.

    Raises:
        ValueError: The channel can't take this value; nothing was posted.
    """
    stamp = time.time() if update.timestamp is None else update.timestamp
    value = fitting(channel, update.value)
    alarm = int(update.severity), int(update.status)
    await publish(channel, value, stamp, *alarm, nanoseconds=update.nanoseconds)


async def mark_invalid(channel: Any) -> None:
    """Post the former value as INVALID, since a newer one can't be shown."""
    await channel.write(
        channel.value,
        verify_value=False,
        severity=int(Severity.INVALID),
        status=int(Alarm.READ),
    )
