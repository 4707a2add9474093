"""What the process that serves HTTP asks, over the socket to it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from orchestrator.api import Api
from orchestrator.api.frames import frame_of, read_frame
from orchestrator.config import ChannelConfig
from orchestrator.transports.http.link import HttpLink


class Nowhere:
    """Takes what is asked for, and answers nothing."""

    def offer(self, item: Any) -> None:
        del item


class Behind:
    """Remembers what is put to the channels of the chain."""

    view: Any = None

    def __init__(self, *channels: str) -> None:
        self.channels = {name: ChannelConfig(name, name.upper()) for name in channels}
        self.puts: list[tuple[str, object]] = []

    async def put(self, name: str, value: object, timeout: float) -> None:
        del timeout
        self.puts.append((name, value))

    async def sequences(self) -> list[str]:
        return []

    async def sequence(self, name: str) -> dict[str, Any]:
        return {"name": name}


async def asked(behind: Behind, frame: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question."""
    near, far = socket.socketpair()
    near_reader, near_writer = await asyncio.open_connection(sock=near)
    link = HttpLink(Api(Nowhere()), behind, near_reader, near_writer)
    running = asyncio.create_task(link.run())
    reader, writer = await asyncio.open_connection(sock=far)
    writer.write(frame_of({"id": 1, **frame}))
    answer = None
    while answer is None or "id" not in answer:
        answer = await asyncio.wait_for(read_frame(reader), 10)
        assert answer is not None
    for end in (writer, near_writer):
        end.close()
        await end.wait_closed()
    await running
    return answer


PUT = {"ask": "put", "value": 3, "timeout": 1.0, "owner": "me@here"}


@pytest.mark.parametrize("name", ["stage.x", "own.x"])
async def test_a_channel_of_the_chain_is_put_whatever_its_ioc_is_called(name: str) -> None:
    """Without own PVs an IOC may be called own."""
    behind = Behind("stage.x", "own.x")
    assert "error" not in await asked(behind, PUT | {"name": name})
    assert behind.puts == [(name, 3)]


async def test_an_own_pv_is_put_by_the_door_of_all_clients() -> None:
    behind = Behind("stage.x")
    answer = await asked(behind, PUT | {"name": "own.x"})
    assert "there is no own PV" in answer["error"]
    assert not behind.puts
