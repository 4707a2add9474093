"""Faults of an IOC, byte by byte: what a client that does not keep to the rules gets."""

from __future__ import annotations

import caproto as ca
from ioc_kit_clients import until
from ioc_kit_pvs import small_ioc
from ioc_kit_raw import RawClient

from orchestrator.faults import Delay, RefuseWrites


async def test_a_put_that_comes_without_write_access_is_answered_as_by_a_c_ioc() -> None:
    async with small_ioc() as (ioc, server, _), await RawClient.connect(server.port) as client:
        channel = await client.channel("T:number")
        await server.faults.obey(RefuseWrites(True))
        told = await client.receive(ca.AccessRightsResponse)
        assert (told.cid, told.access_rights) == (channel.cid, ca.AccessRights.READ)
        await client.send(channel.write((5.0,), notify=True))
        answer = await client.receive(ca.WriteNotifyResponse)
        assert answer.status == ca.CAStatus.ECA_NOWTACCESS.value
        await client.send(channel.write((5.0,), notify=False))
        error = await client.receive(ca.ErrorResponse)
        assert error.status == ca.CAStatus.ECA_NOWTACCESS.value
        assert ioc.number.value == 1.0
        await server.faults.obey(RefuseWrites(False))
        told = await client.receive(ca.AccessRightsResponse)
        assert ca.AccessRights.WRITE in told.access_rights


async def test_a_put_is_done_without_delay_though_its_answer_is_late() -> None:
    async with small_ioc() as (ioc, server, _), await RawClient.connect(server.port) as client:
        channel = await client.channel("T:number")
        await server.faults.obey(Delay(1000))
        await client.send(channel.write((5.0,), notify=True))
        await until(lambda: ioc.number.value == 5.0)
        async with await RawClient.connect_unanswered(server.port) as other:
            await server.faults.obey(Delay(0))
            await other.receive(ca.VersionResponse)
        await client.receive(ca.WriteNotifyResponse)


async def test_a_client_that_leaves_while_something_is_held_for_it_harms_nobody() -> None:
    async with small_ioc() as (_, server, _):
        await server.faults.obey(Delay(0.2))
        async with await RawClient.connect_unanswered(server.port):
            pass
        await until(lambda: not server.clients)
        async with await RawClient.connect(server.port) as client:
            await client.channel("T:number")
