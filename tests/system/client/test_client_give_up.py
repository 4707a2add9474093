"""Channels that documents have named are given up once nobody needs them."""

import asyncio

from aioca import get_channel_infos
from client_iocs import Ioc, client_of, until, value_of

from orchestrator.types import LinkChange

UNKNOWN = [f"NO:SUCH:PV:{number}" for number in range(1000)]


def open_channels() -> set[str]:
    return {info.name for info in get_channel_infos()}


async def test_what_is_nowhere_is_searched_for_no_more() -> None:
    """Ten documents of 2000 unknown PVs each were 20,000 searches for ever, and 55 MB."""
    client, _ = client_of()
    async with client:
        assert await client.connect(UNKNOWN, 0.1) == UNKNOWN
        assert set(UNKNOWN) <= open_channels()
        client.tend(UNKNOWN[:1], after=0)
        await until(lambda: client.tend(UNKNOWN[:1], after=0) or len(open_channels()) == 1)
        assert open_channels() == {UNKNOWN[0]}
        assert set(client._links) == set(client._channels) == {UNKNOWN[0]}


async def test_one_that_is_given_up_says_so_and_is_found_anew(c_ioc: Ioc) -> None:
    pv = c_ioc.prefix + "X"
    client, taken = client_of()
    async with client:
        for _ in range(3):
            assert await client.connect([pv], 5) == []
            await client.put(pv, 1.5, completion=True, timeout=5)
            await until(lambda: value_of(taken.of(pv)[-1]) == 1.5)
            client.tend([], after=0)
            assert taken.of(pv)[-1] == LinkChange(pv, connected=False, forgotten=True)
            assert pv not in open_channels()
        count = len(taken.of(pv))
        await asyncio.sleep(0.2)  # what libca had under way then comes to nobody
        assert len(taken.of(pv)) == count


async def test_those_of_the_configuration_and_those_in_use_stay(c_ioc: Ioc) -> None:
    declared, used = c_ioc.channel("N"), c_ioc.prefix + "X"
    client, taken = client_of(declared)
    async with client:
        assert await client.connect([declared.name, used], 5) == []
        client.tend([used], after=0)
        client.tend([], after=60)  # its time begins
        client.tend([], after=60)
        assert {declared.pv, used} <= open_channels()
        await client.put(used, 2.5, completion=True, timeout=5)
        await until(lambda: value_of(taken.of(used)[-1]) == 2.5)


async def test_one_whose_put_is_outstanding_stays_until_that_has_ended(c_ioc: Ioc) -> None:
    pv = c_ioc.prefix + "SLOW.A"
    client, _ = client_of()
    async with client:
        assert await client.connect([pv], 5) == []
        put = asyncio.create_task(client.put(pv, 1, completion=True, timeout=5))
        await until(lambda: client.outstanding(pv) is not None)
        client.tend([], after=0)
        assert pv in open_channels()
        await put
        client.tend([], after=0)
        assert pv not in open_channels()
