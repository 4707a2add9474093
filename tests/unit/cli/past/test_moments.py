"""Times are understood as people write them; what is none is told."""

from __future__ import annotations

from datetime import datetime

import pytest

from orchestrator.cli.past.moments import moment
from orchestrator.errors import InputError


def here(text: str) -> datetime:
    """A moment of this place, or with the offset that it names."""
    return datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-12-01T15:30:10"),
        ("today", "2026-12-01"),
        ("Yesterday", "2026-11-30"),
        ("2h", "2026-12-01T13:30:10"),
        ("1.5 hours ago", "2026-12-01T14:00:10"),
        ("30min", "2026-12-01T15:00:10"),
        ("3 days", "2026-11-28T15:30:10"),
        ("1w", "2026-11-24T15:30:10"),
        ("9:05", "2026-12-01T09:05"),
        ("09:05:30", "2026-12-01T09:05:30"),
        ("2026-11-30", "2026-11-30"),
        ("2026-07-30", "2026-07-30"),  # in summer time, where there is one
        ("2026-11-30 16:04", "2026-11-30T16:04"),
        ("2026-11-30T16:04Z", "2026-11-30T16:04+00:00"),
    ],
)
def test_a_time_is_understood(text: str, meant: str) -> None:
    assert moment(text, "--since", here("2026-12-01T15:30:10")) == here(meant)


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-13-01", "2 fortnights", ""])
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(InputError, match=f"--since {text}: expected a time such as 2026-11-30"):
        moment(text, "--since", here("2026-12-01T15:30:10"))
