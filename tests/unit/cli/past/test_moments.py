"""Times are understood as people write them; what is none is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cli.past.moments import moment
from orchestrator.errors import InputError

NOW = datetime(2026, 12, 1, 15, 30, 10, tzinfo=UTC).astimezone()
TODAY = datetime(NOW.year, NOW.month, NOW.day).astimezone()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("today", TODAY),
        ("Yesterday", (TODAY.replace(tzinfo=None) - timedelta(days=1)).astimezone()),
        ("2h", NOW - timedelta(hours=2)),
        ("1.5 hours ago", NOW - timedelta(minutes=90)),
        ("30min", NOW - timedelta(minutes=30)),
        ("3 days", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
        ("9:05", TODAY + timedelta(hours=9, minutes=5)),
        ("09:05:30", TODAY + timedelta(hours=9, minutes=5, seconds=30)),
        ("2026-11-30", datetime(2026, 11, 30).astimezone()),
        ("2026-11-30 16:04", datetime(2026, 11, 30, 16, 4).astimezone()),
        ("2026-11-30T16:04Z", datetime(2026, 11, 30, 16, 4, tzinfo=UTC)),
    ],
)
def test_a_time_is_understood(text: str, meant: datetime) -> None:
    assert moment(text, "--since", NOW) == meant


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-13-01", "2 fortnights", ""])
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(InputError, match=f"--since {text}: expected a time such as 2026-11-30"):
        moment(text, "--since", NOW)
