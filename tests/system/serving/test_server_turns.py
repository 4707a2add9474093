"""How much is published before other tasks have their turn: counted, not timed."""

from __future__ import annotations

import asyncio
import itertools

from service_kit import config, says, serving

from orchestrator.api import Api
from orchestrator.queues import request_queue
from orchestrator.transports.ca import Server
from orchestrator.types import Update


async def turns_until_published(seconds_each: float, items: int) -> int:
    """Turns of the loop until `items` updates, of `seconds_each` each, are published."""
    steps, api = itertools.count(), Api(request_queue())
    # Read once when a turn begins and once behind each item.
    server = Server(config(), api, clock=lambda: next(steps) * seconds_each)
    async with server.running():
        await server.published.idle()
        for number in range(items):
            api.offer(Update("state", "Running" if number % 2 else "Idle"))
        idle, turns = asyncio.create_task(server.published.idle()), 0
        while not idle.done():
            await asyncio.sleep(0)
            turns += 1
    return turns


async def test_items_that_take_long_are_published_in_turns_of_their_own() -> None:
    quick, slow = await turns_until_published(0.0, 100), await turns_until_published(1.0, 100)
    assert quick < 20
    assert slow >= 100


async def test_the_end_waits_for_a_batch_that_is_published_in_several_turns() -> None:
    steps, api = itertools.count(), Api(request_queue())
    server = Server(config(), api, clock=lambda: float(next(steps)))
    async with server.running() as ioc:
        await server.published.idle()
        for number in range(100):
            api.offer(Update("run_id", str(number)))
        while server.published.figures.waiting:  # noqa: ASYNC110 - it tells only its length
            await asyncio.sleep(0)
    assert ioc.port
    assert next(steps) >= 200, "all of them were published before the server ended"


async def test_every_edge_reaches_a_client_that_reads_however_fast_they_come() -> None:
    """caproto keeps 50 updates of a PV that a client has not read, and drops the older ones."""
    async with serving() as service:
        client = await service.clients.aioca("""
            seen = []
            camonitor("ORCH:QUEUE_LEN", lambda v: seen.append(int(v)), all_updates=True)
            while not seen:
                await asyncio.sleep(0.01)
            say("watches")
            while seen[-1] < 2000:
                await asyncio.sleep(0.01)
            say(seen)
        """)
        await says(client, ["watches"])
        service.publish(*(Update("queue_len", number) for number in range(1, 2001)))
        (seen,) = await client.said()
        assert seen == list(range(2001))
