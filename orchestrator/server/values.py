"""Writing an update's value into a channel, if the channel can take it."""

from __future__ import annotations

import time
from typing import Any

from orchestrator.ioc import fitting, publish
from orchestrator.types import Alarm, Severity, Update


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
