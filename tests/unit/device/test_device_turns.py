"""How much the device examines before other tasks have their turn: counted, not timed."""

from __future__ import annotations

import asyncio

import numpy as np

from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.device import Device
from orchestrator.queues import pull_queue
from orchestrator.types import LinkChange, Metadata, NativeType, PullItem, Reading, Tick
from tests.doubles import run_virtual

DOUBLE = Metadata(NativeType.DOUBLE)


class Published:
    """The near end of the push queue: counts what is offered in each turn of the loop."""

    def __init__(self) -> None:
        self.turns = [0]

    def offer(self, _item: object) -> None:
        self.turns[-1] += 1


def chained(names: list[str], buffer: int = 0) -> Config:
    channels = {name: ChannelConfig(name, name.upper(), buffer=buffer) for name in names}
    return Config(chain={"s": ChainConfig("s", "S:", channels=channels)})


def turns_of(device: Device, *items: PullItem) -> list[int]:
    """Decisions in each turn in which there were any, until all is examined."""
    published = Published()

    async def examined() -> None:
        pull = pull_queue()
        task = asyncio.create_task(device.run(pull, published, published))
        await pull.idle()
        for item in items:
            pull.offer(item)
        idle = asyncio.create_task(pull.idle())
        while not idle.done():
            await asyncio.sleep(0)
            published.turns.append(0)
        task.cancel()
        await asyncio.wait([task])

    run_virtual(examined())
    return [count for count in published.turns if count]


def device_of(names: list[str], buffer: int = 0) -> Device:
    device = Device(chained(names, buffer))
    for name in names:
        device.examine(LinkChange(name, connected=True, metadata=DOUBLE))
        device.examine(Reading(name, 0.0, 0.0))
    return device


def test_many_updates_are_examined_in_several_turns() -> None:
    names = [f"s.c{i}" for i in range(1000)]
    turns = turns_of(device_of(names), *(Reading(name, 1.0, 0.0) for name in names))
    assert sum(turns) == 1000
    assert max(turns) <= 200


def test_the_statistics_of_many_buffers_are_computed_in_several_turns() -> None:
    names = [f"s.c{i}" for i in range(500)]
    turns = turns_of(device_of(names, buffer=10), Tick(1, 0.0))
    assert sum(turns) > 4 * 500, "RATE, BUF, MEAN and STD of each"
    assert max(turns) <= 200


def test_the_statistics_of_large_buffers_take_a_turn_each() -> None:
    names = [f"s.c{i}" for i in range(5)]
    device = device_of(names, buffer=400_000)
    for name in names:
        buffer = device.table.channel(name).buffer
        assert buffer is not None
        buffer.extend(np.zeros(400_000))
    # Each BUF ends a turn; the MEAN and STD computed from it begin the next one.
    assert len(turns_of(device, Tick(1, 0.0))) == len(names) + 1
