"""What an INDEX shows, whatever an IOC has there."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.device.channel_table import ChannelTable
from orchestrator.engine.steps.server_moves import NO_INDEX, ServerMove, pair_of
from orchestrator.language.names import ServerChannels
from orchestrator.types import LinkChange, Metadata, NativeType, Reading


@pytest.mark.parametrize(
    ("value", "pair"),
    [
        (np.array([3, 5], dtype=np.int32), (3, 5)),
        (np.array([3.0, 5.0]), (3, 5)),
        (np.array([np.nan, 5.0]), NO_INDEX),
        (np.array([3.0, np.inf]), NO_INDEX),
        (("3", "x"), NO_INDEX),
        (np.array([]), NO_INDEX),
        (np.arange(1_000_000), NO_INDEX),
        (3, None),
        ("3, 5", None),
    ],
)
def test_an_index_is_two_whole_numbers_or_none(value: object, pair: object) -> None:
    table = ChannelTable()
    table.take_link(LinkChange("s.INDEX", True, Metadata(NativeType.DOUBLE, count=2)))
    table.take_reading(Reading("s.INDEX", value, 1.0))  # type: ignore[arg-type]  # what IOCs may have
    assert pair_of(table.channel("s.INDEX")) == pair


SERVER = ServerChannels("s", "s.CMD", "s.ACK", "s.message", "s.values", "s.INDEX")


@pytest.mark.parametrize(
    ("index", "ack", "reached"),
    [
        ((3, 5), 1, True),
        ((3, 5), 0, False),
        ((3, 5), "1", True),
        ((3, 5), "0", False),
        ((3, 4), 1, False),
        ((2, 5), 1, False),
    ],
)
def test_a_server_is_there_when_its_index_shows_it_and_it_has_acknowledged(
    index: tuple[int, int], ack: int | str, reached: bool
) -> None:
    table = ChannelTable()
    kinds = {"s.INDEX": Metadata(NativeType.LONG, count=2), "s.ACK": Metadata(NativeType.LONG)}
    for name, metadata in kinds.items():
        table.take_link(LinkChange(name, True, metadata))
    move = ServerMove(SERVER, (3, 5), table)
    assert not move.reached()
    table.take_reading(Reading("s.INDEX", np.array(index, dtype=np.int32), 1.0))
    assert not move.reached()
    table.take_reading(Reading("s.ACK", ack, 1.0))
    assert move.reached() == reached
