"""What can't be published is logged; what stands behind it in the queue is published."""

from __future__ import annotations

import asyncio
from typing import Any

import caproto as ca
import numpy as np
import pytest
from structlog.testing import capture_logs

from orchestrator.api import Api
from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.queues import request_queue
from orchestrator.transports.ca.server import Server
from orchestrator.types import (
    Metadata,
    MirrorOpened,
    NativeType,
    PushItem,
    Reply,
    Severity,
    Update,
)


class Ioc:
    """As much of a running IOC as the drain looks at."""

    backlog = 0


def served() -> tuple[Server, Api]:
    channels = {"s.a": ChannelConfig("s.a", "S:A")}
    api = Api(request_queue())  # takes no commands
    config = Config(chain={"s": ChainConfig("s", "S:", channels=channels)})
    return Server(config, api), api


async def published(*items: PushItem) -> Server:
    """The server, whose drain has taken these and goes on."""
    server, api = served()
    draining = asyncio.create_task(server._drain(Ioc()))  # type: ignore[arg-type]
    for item in items:
        api.offer(item)
    await server.published.idle()
    assert not draining.done()
    draining.cancel()
    await asyncio.wait([draining])
    return server


LARGEST = 2**31 - 1


def integers(server: Server) -> list[tuple[str, str]]:
    """Field and key of each integer PV that the service publishes."""
    table = server._table
    own = [(name, "") for name, pv in table.service.attr_pvdb.items() if _is_integer(pv)]
    keyed = [at for at, name in table._names.items() if _is_integer(table.pvdb[name])]
    return [*own, *keyed]


def _is_integer(pv: Any) -> bool:
    return isinstance(pv, ca.ChannelInteger)


@pytest.mark.parametrize("beyond", [2**31, 2**40, np.int64(2**40), 10**30])
async def test_every_integer_pv_shows_what_is_beyond_32_bits_as_the_largest(beyond: int) -> None:
    fields = integers(served()[0])
    assert {("step", ""), ("loop_index", ""), ("chain_reconnects", "s")} <= set(fields)
    assert len(fields) > 15
    arrays = dict.fromkeys(("loop_index", "index"), np.array([min(beyond, 2**40), 7]))
    with capture_logs() as lines:
        updates = [Update(field, arrays.get(field, beyond), key) for field, key in fields]
        server = await published(*updates, *updates)
    for field, key in fields:
        pv = server._table._channel(Update(field, 0, key))
        shown = pv.value[0] if field in arrays else pv.value
        assert (field, shown) == (field, LARGEST)
        assert pv.alarm.severity == Severity.MINOR
    assert {line["event"] for line in lines} == {
        "a number is beyond 32 bits: its PV shows the largest"
    }
    assert len(lines) == len(fields), "each is told once"


async def test_what_32_bits_hold_is_shown_as_it_is() -> None:
    for number in (0, LARGEST, -LARGEST - 1):
        server = await published(Update("step", number))
        pv = server._table.service.attr_pvdb["step"]
        assert (pv.value, pv.alarm.severity) == (number, Severity.NO_ALARM)


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
