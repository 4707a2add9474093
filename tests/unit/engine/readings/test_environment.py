"""Which of two readings of a channel is the newer one: its update, or what was read after a put."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.device.channel_table import ChannelTable
from orchestrator.engine.readings.environment import RunEnvironment, in_words
from orchestrator.engine.readings.history import History
from orchestrator.types import Metadata, NativeType, Reading


def newest(seen: Reading, fresh: Reading) -> object:
    table = ChannelTable()
    table.take_reading(seen)
    history = History(table, lambda: 0.0, lambda: datetime.now(UTC))
    return RunEnvironment(table, {}, {}, {"t.x": fresh}, history=history).reading("t.x").value


def reading(value: str, stamp: float, received: float) -> Reading:
    return Reading("t.x", value, stamp, received=received)


def test_an_update_that_was_on_its_way_before_the_put_is_older_than_what_was_read_after_it() -> (
    None
):
    update, read = reading("update", 100.0, 10.001), reading("read", 100.5, 10.0)
    assert newest(update, read) == "read"


def test_an_update_since_then_is_the_newer_one() -> None:
    update, read = reading("update", 100.6, 10.001), reading("read", 100.5, 10.0)
    assert newest(update, read) == "update"


@pytest.mark.parametrize(("update_at", "expected"), [(9.9, "read"), (10.1, "update")])
def test_where_the_time_stamp_stands_still_the_later_to_reach_us_is_the_newer_one(
    update_at: float, expected: str
) -> None:
    """A put to a field that does not process leaves the time stamp of its record as it was."""
    update, read = reading("update", 100.0, update_at), reading("read", 100.0, 10.0)
    assert newest(update, read) == expected


@pytest.mark.parametrize(
    ("stamps", "received", "expected"),
    [
        ((-1e9, 100.5), (10.1, 10.0), "update"),
        ((99.9, 100.5), (13.0, 10.0), "update"),
        ((100.5, -1e9), (9.9, 10.0), "read"),
    ],
)
def test_an_ioc_whose_clock_was_set_back_is_believed_all_the_same(
    stamps: tuple[float, float], received: tuple[float, float], expected: str
) -> None:
    """As that of an IOC which restarted and has not heard of NTP yet: its stamps begin in 1990."""
    update, read = (
        reading("update", stamps[0], received[0]),
        reading("read", stamps[1], received[1]),
    )
    assert newest(update, read) == expected


def test_an_update_may_overtake_the_reply_to_a_get() -> None:
    update, read = reading("update", 100.6, 9.999), reading("read", 100.5, 10.0)
    assert newest(update, read) == "update"


@pytest.mark.parametrize(
    ("value", "labels", "seen"),
    [
        (1, ("Off", "On"), "On"),
        (17, ("Off", "On"), "17"),
        (-1, ("Off", "On"), "-1"),
        (1, ("Off", "", "On"), "1"),
        (1, (), 1),
        (("a", "b"), (), ["a", "b"]),
    ],
)
def test_an_enum_is_its_label_where_there_is_one_and_an_array_of_text_a_list(
    value: int | tuple[str, ...], labels: tuple[str, ...], seen: object
) -> None:
    """A C mbbo takes an index for which it has no label without a word; it stays a text."""
    assert in_words(Reading("t.x", value, 100.0), Metadata(NativeType.ENUM, labels=labels)) == seen
