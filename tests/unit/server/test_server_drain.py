"""What can't be published is logged; what stands behind it in the queue is published."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.queues import MergeQueue, push_queue
from orchestrator.server.server import Server
from orchestrator.types import Metadata, MirrorOpened, NativeType, PushItem, Reply, Update


class Ioc:
    """As much of a running IOC as the drain looks at."""

    backlog = 0


def served() -> tuple[Server, MergeQueue[PushItem]]:
    channels = {"s.a": ChannelConfig("s.a", "S:A")}
    push = push_queue()
    config = Config(chain={"s": ChainConfig("s", "S:", channels=channels)})
    return Server(config, push_queue(), push), push  # type: ignore[arg-type]  # takes no commands


async def published(*items: PushItem) -> Server:
    """The server, whose drain has taken these and goes on."""
    server, push = served()
    draining = asyncio.create_task(server._drain(Ioc()))  # type: ignore[arg-type]
    for item in items:
        push.offer(item)
    await push.idle()
    assert not draining.done()
    draining.cancel()
    await asyncio.wait([draining])
    return server


ODD: tuple[Any, ...] = (None, 10**400, object(), "\ud800", float("nan"), [[]])


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
async def test_what_can_t_be_published_keeps_nothing_behind_it_back(odd: Any) -> None:
    nonsense: list[PushItem] = [
        Update("step", odd),
        Update("message", odd),
        Update("mon", odd, "s.a"),
        Update(odd, odd, odd) if not isinstance(odd, list) else Update("state", odd),
        MirrorOpened("s.a", odd),
        MirrorOpened(odd, Metadata(NativeType.DOUBLE)) if odd != [[]] else Update("state", odd),
        MirrorOpened("s.a", Metadata(NativeType.ENUM, labels=odd)),
        MirrorOpened("s.a", Metadata(NativeType.DOUBLE, count=odd)),
        Reply(odd, odd) if not isinstance(odd, list) else Update("state", odd),
    ]
    server = await published(*nonsense, Update("heartbeat", 7))
    assert server._table.service.attr_pvdb["heartbeat"].value == 7
