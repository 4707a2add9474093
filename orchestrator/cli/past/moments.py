"""Times as people write them on the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from orchestrator.errors import InputError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|hours?|d|days?|w|weeks?)(?:\s+ago)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MOMENTS = "2026-11-30, 2026-11-30T16:04, 16:04, today, yesterday, 2h or 3d (so long ago)"
"""Examples of all that is understood."""


def moment(text: str, option: str, now: datetime) -> datetime:
    """A moment: a date, a date and time, a time of today, a word, or how long ago.

    Args:
        text: Such as `MOMENTS`; without an offset it is local time.
        option: It was given with, for the error.
        now: With its offset to UTC.

    Raises:
        InputError: It is none.
    """
    word = text.strip().lower()
    midnight = datetime(now.year, now.month, now.day).astimezone()
    if word in ("now", "today"):
        return now if word == "now" else midnight
    if word == "yesterday":
        return (midnight.replace(tzinfo=None) - timedelta(days=1)).astimezone()
    if ago := _AGO.fullmatch(word):
        return now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2][0]])
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", word):
            word = f"{now:%Y-%m-%d}T{word.zfill(5) if word.count(':') == 1 else word.zfill(8)}"
        found = datetime.fromisoformat(word.upper())
    except ValueError:
        raise InputError(f"{option} {text}: expected a time such as {MOMENTS}") from None
    return found if found.tzinfo else found.astimezone()  # with the offset of then: summer time
