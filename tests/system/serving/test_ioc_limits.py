"""What clients may ask for is bounded: more is refused or waits, and the others notice nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import caproto as ca
from ioc_kit_clients import until
from ioc_kit_pvs import SmallIOC
from ioc_kit_raw import RawClient
from structlog.testing import capture_logs

from orchestrator.ioc import IocServer, serve
from orchestrator.ioc.serving.circuit import _SidCounter
from orchestrator.types import ClientLimits
from sim_iocs.fleet import Fleet
from sim_iocs.testing import Client

MANY = 300


@asynccontextmanager
async def limited(**limits: int) -> AsyncIterator[tuple[SmallIOC, IocServer]]:
    ioc = SmallIOC()
    async with serve(
        ioc.pvdb, port=0, interfaces=["127.0.0.1"], limits=ClientLimits(**limits)
    ) as server:
        yield ioc, server


async def other_client_reads(server: IocServer) -> bool:
    async with await RawClient.connect(server.port) as client:
        other = await client.channel("T:other")
        await client.send(other.read())
        return (await client.receive(ca.ReadNotifyResponse)).data[0] == 2.0


def test_a_circuit_has_a_number_for_any_number_of_channels() -> None:
    # caproto looks for a free one of 65,536 for ever.
    taken: dict[int, None] = {}
    counter = _SidCounter(taken)
    for _ in range(70_000):
        taken[counter()] = None
    assert len(taken) == 70_000
    counter.last = 2**32 - 1
    assert counter() == 70_000


async def test_channels_beyond_the_limit_are_refused_and_one_line_tells() -> None:
    with capture_logs() as lines:
        async with limited(channels=50) as (_, server), await RawClient.connect(server.port) as raw:
            create = [ca.CreateChanRequest("T:number", cid, 13) for cid in range(MANY)]
            raw.writer.write(b"".join(bytes(one) for one in create))
            made = failed = 0
            while made + failed < MANY:
                got = await raw.receive_any(ca.CreateChanResponse, ca.CreateChFailResponse)
                made += isinstance(got, ca.CreateChanResponse)
                failed += isinstance(got, ca.CreateChFailResponse)
            assert made == server._context.most(50)
            assert await other_client_reads(server)
    told = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert told == [f"limit reached: channels = {made}: more are refused"]


async def test_subscriptions_beyond_the_limit_are_refused_and_the_others_go_on() -> None:
    async with (
        limited(subscriptions=50) as (ioc, server),
        await RawClient.connect(server.port) as c,
    ):
        most = server._context.most(50)
        channel = await c.channel("T:number")
        for _ in range(most):
            await c.send(channel.subscribe())
            await c.receive(ca.EventAddResponse)
        await c.send(channel.subscribe())
        assert (await c.receive(ca.ErrorResponse)).status == ca.CAStatus.ECA_ALLOCMEM.value
        await ioc.number.write(5.0, verify_value=False)
        for _ in range(most):
            assert (await c.receive(ca.EventAddResponse)).data[0] == 5.0
        assert await other_client_reads(server)


async def test_a_client_with_too_many_unanswered_puts_is_not_read_on_until_one_ends() -> None:
    async with limited(puts=3) as (ioc, server), await RawClient.connect(server.port) as client:
        busy, other = await client.channel("T:busy"), await client.channel("T:other")
        for _ in range(4):
            await client.send(busy.write([1], notify=True))
        await client.send(other.read())
        (circuit,) = server._context.circuits
        await until(lambda: circuit.figures.puts == 3)
        assert await other_client_reads(server)
        assert circuit.figures.puts == 3
        ioc.work.set()
        for _ in range(4):
            await client.receive((ca.WriteNotifyResponse, ca.ReadNotifyResponse))


async def test_a_client_that_is_not_read_on_hears_that_we_are_there() -> None:
    """libca asks by an echo after EPICS_CA_CONN_TMO, and disconnects 5 s later without a sign.

    Its echo stands behind the put that waits for room, and so is not read.
    """
    async with limited(puts=2) as (ioc, server):
        env = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{server.port}", "EPICS_CA_CONN_TMO": "1"}
        client = await asyncio.to_thread(Client, env)
        try:
            assert await asyncio.to_thread(client.get, "T:other") == 2.0
            puts = [client.put_later("T:busy", 1) for _ in range(4)]
            await until(
                lambda: sum(circuit.figures.puts for circuit in server._context.circuits) == 2
            )
            await asyncio.sleep(7.5)
            assert server.clients == 1
            ioc.work.set()
            for put in puts:
                await asyncio.to_thread(put)  # none has failed with the connection
        finally:
            await asyncio.to_thread(client.close)


async def test_refused_puts_whose_client_has_left_are_no_lines_in_the_log() -> None:
    # 5000 of them were 1546 times "Task exception was never retrieved".
    async with limited() as (_, server):
        with capture_logs() as lines:
            async with await RawClient.connect(server.port) as client:
                number = await client.channel("T:number")
                refused = [number.write([-1.0], notify=True) for _ in range(2000)]
                client.writer.write(b"".join(bytes(b) for b in client.circuit.send(*refused)))
                await client.writer.drain()
                client.writer.transport.abort()
            await until(lambda: server.clients == 0)
            await until(lambda: len(asyncio.all_tasks()) < 20)
        assert not [line for line in lines if line["log_level"] in ("warning", "error")]


async def test_a_filter_that_can_not_be_is_refused_in_the_search_and_in_the_channel() -> None:
    bad = ('T:number.{"dbnd":', "T:wave.[0:0:1]", "T:wave.[1:2:3:4]", "T:wave.{" + "[" * 2000)
    async with limited() as (_, server), await RawClient.connect(server.port) as client:
        for cid, name in enumerate(bad):
            assert not server._context.serves(name)
            request = ca.CreateChanRequest("x", cid, 13)
            raw = name.encode() + b"\0"
            raw = raw.ljust(-(-len(raw) // 8) * 8, b"\0")
            request.header.payload_size = len(raw)
            client.writer.write(bytes(request.header) + raw)
            assert (await client.receive_any(ca.CreateChFailResponse)).cid == cid
        assert server._context.serves('T:number.{"dbnd":{"abs":1.5}}')
        assert server._context.serves("T:wave.[0:1]")


async def test_the_class_name_of_anything_is_told() -> None:
    async with limited() as (_, server), await RawClient.connect(server.port) as client:
        for name in ("T:text", "T:wave", "T:number", "T:string", "T:busy"):
            channel = await client.channel(name)
            await client.send(channel.read(data_type=ca.ChannelType.CLASS_NAME))
            answer = await client.receive((ca.ReadNotifyResponse, ca.ErrorResponse))
            assert isinstance(answer, ca.ReadNotifyResponse), (name, answer)
            assert bytes(answer.metadata.value).rstrip(b"\0") == b"caproto"


async def test_a_client_that_says_nothing_makes_room_for_one_that_does() -> None:
    async with limited(circuits=5) as (_, server):
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
        await until(lambda: server.clients == 5)
        assert await other_client_reads(server)
        for _, writer in silent:
            writer.close()


async def test_where_all_have_channels_a_new_client_is_turned_away_and_told_of() -> None:
    with capture_logs() as lines:
        async with limited(circuits=2) as (_, server):
            async with (
                await RawClient.connect(server.port) as one,
                await RawClient.connect(server.port) as two,
            ):
                await one.channel("T:number")
                await two.channel("T:number")
                for _ in range(10):
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.close()
                await one.send((await one.channel("T:other")).read())
                await one.receive(ca.ReadNotifyResponse)
            await until(lambda: server.clients == 0)
            assert await other_client_reads(server)
    told = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert told == ["limit reached: circuits = 2: no client is let in"]


async def test_whoever_reads_nothing_of_much_is_disconnected() -> None:
    async with limited(unread_bytes=1_000_000) as (_, server):
        large = ca.ChannelDouble(value=[0.0] * 500_000, max_length=500_000)
        server.add_pv("T:large", large)
        async with await RawClient.connect(server.port) as greedy:
            channel = await greedy.channel("T:large")
            greedy.reader._transport.pause_reading()  # type: ignore[attr-defined]
            (circuit,) = server._context.circuits
            sock = circuit.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # the kernel holds MB
            for _ in range(20):
                await greedy.send(channel.read())
            await until(lambda: server.clients == 0)
        assert await other_client_reads(server)


async def test_of_every_subscriber_all_updates_are_accounted_for() -> None:
    posts = 20_000
    async with (
        limited() as (ioc, server),
        await RawClient.connect(server.port) as reads,
        await RawClient.connect(server.port) as frozen,
    ):
        for client in (reads, frozen):
            await client.send((await client.channel("T:wave")).subscribe())
            await client.receive(ca.EventAddResponse)
        for circuit in server._context.circuits:
            sock = circuit.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        frozen.reader._transport.pause_reading()  # type: ignore[attr-defined]
        received = asyncio.create_task(reads.count(ca.EventAddResponse, posts))
        for n in range(posts):
            await ioc.wave.write([float(n)] * 10, verify_value=False)
            if n % 20 == 0:
                await server.room()
        await until(lambda: received.done(), timeout=20)
        figures = server.subscribers("T:wave")
        assert len(figures) == 2
        for one in figures:
            assert one.posts == posts + 1
            assert one.posts == one.delivered + one.merged + one.dropped + one.waiting
        lost = sorted(one.dropped for one in figures)
        assert lost[0] == 0
        assert lost[1] > 1000
        assert server.dropped == sum(lost)
        assert max(sum(one.lost.values()) for one in server.client_figures) == lost[1]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_connections_that_are_reset_at_once_leave_no_descriptor() -> None:
    # uvloop gives them no peer; what failed on that left them open.
    with Fleet(["random_walk"]) as fleet:
        ioc = fleet["random_walk"]
        before = descriptors(ioc.pid)
        for _ in range(MANY):
            with closing(socket.create_connection(("127.0.0.1", ioc.port))) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert Path(f"/proc/{ioc.pid}").exists()

        def back() -> bool:
            return descriptors(ioc.pid) <= before + 10

        asyncio.run(until(back))
    assert not fleet["random_walk"].errors
