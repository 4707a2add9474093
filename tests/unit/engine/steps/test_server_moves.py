"""What an INDEX shows, whatever an IOC has there."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.device.world import World
from orchestrator.engine.steps.server_moves import NO_INDEX, pair_of
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
    world = World()
    world.take_link(LinkChange("s.INDEX", True, Metadata(NativeType.DOUBLE, count=2)))
    world.take_reading(Reading("s.INDEX", value, 1.0))  # type: ignore[arg-type]  # what IOCs may have
    assert pair_of(world.channel("s.INDEX")) == pair
