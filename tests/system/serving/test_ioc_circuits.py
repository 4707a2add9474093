"""One client never harms another, and none is left connected and silent."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import struct
import weakref

import caproto as ca
import pytest
from ioc_kit_clients import until
from ioc_kit_pvs import small_ioc
from ioc_kit_raw import RawClient

from orchestrator.ioc.serving.request_reader import MAX_REQUEST_BYTES
from sim_iocs.fleet import Fleet

DBR_LONG = 5


async def test_circuits_delay_no_small_answers_and_watch_silent_peers() -> None:
    # Without TCP_NODELAY ten gets sent at once take 44 ms; caproto leaves it off.
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port):
        (circuit,) = server._context.circuits
        sock = circuit.writer.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_a_client_that_stops_reading_stalls_no_other() -> None:
    # In caproto its full queue blocks the one task that feeds all circuits.
    async with small_ioc() as (ioc, server, clients):
        monitor = "camonitor('T:wave', lambda v: say(v[0]), all_updates=True)\nsay('up')\n"
        frozen = await clients.aioca(monitor + "await told()")
        healthy = await clients.aioca(monitor + "await told()")
        for client in (frozen, healthy):
            await until(lambda client=client: len(client.lines()) == 2, client=client)
        frozen.signal(signal.SIGSTOP)
        last = 20_000.0
        wave = [0.0] * 10
        # Enough that the kernel's buffers and the frozen circuit's queue are full.
        for n in range(1, int(last) + 1):
            wave[0] = float(n)
            await ioc.wave.write(list(wave), verify_value=False)
            if n % 50 == 0:
                await server.room()
        await until(lambda: f"[{last}]" in healthy.lines(), timeout=20, client=healthy)
        assert len(frozen.lines()) < 20_000
        frozen.signal(signal.SIGCONT)
        await until(lambda: f"[{last}]" in frozen.lines(), timeout=20, client=frozen)


async def test_a_replaced_pv_is_found_anew_with_its_new_type_and_no_other_is_lost() -> None:
    async with small_ioc() as (ioc, server, clients):
        client = await clients.aioca("""
            def show(v):
                say(v.name, v.ok and (v.tolist() if hasattr(v, "tolist") else v))
            camonitor("T:other", show, notify_disconnect=True)
            camonitor("T:number", show, notify_disconnect=True)
            await told()
            say((await cainfo("T:number")).datatype, await caget("T:number"))
            await asyncio.sleep(30)
        """)
        assert sorted([await client.said(), await client.said()]) == [
            ["T:number", 1.0],
            ["T:other", 2.0],
        ]
        await server.replace_pv("T:number", ca.ChannelInteger(value=7))
        assert await client.said() == ["T:number", False]
        assert (await client.said())[0] == "T:number"
        await ioc.other.write(3.0, verify_value=False)
        assert await client.said() == ["T:other", 3.0]
        await client.tell()
        assert await client.said() == [DBR_LONG, 7]


async def test_requests_that_cross_the_withdrawal_of_their_channel_do_no_harm() -> None:
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port) as client:
        number = await client.channel("T:number")
        other = await client.channel("T:other")
        late = number.read()
        await server.replace_pv("T:number", ca.ChannelDouble(value=5.0))
        await client.send(late)
        await client.receive(ca.ServerDisconnResponse)
        await client.send(other.read())
        assert (await client.receive(ca.ReadNotifyResponse)).data[0] == 2.0


async def test_updates_go_on_after_a_channel_was_cleared_with_its_subscription() -> None:
    # In caproto the next update of the cleared channel ends the circuit's updates for good.
    async with small_ioc() as (ioc, server, _), await RawClient.connect(server.port) as client:
        number, other = await client.channel("T:number"), await client.channel("T:other")
        await client.send(number.subscribe(), other.subscribe())
        await client.receive(ca.EventAddResponse)
        await client.receive(ca.EventAddResponse)
        await client.send(number.clear())
        await client.receive(ca.ClearChannelResponse)
        await ioc.number.write(8.0, verify_value=False)
        await ioc.other.write(9.0, verify_value=False)
        assert (await client.receive(ca.EventAddResponse)).data[0] == 9.0


async def test_a_subscription_in_an_impossible_type_is_refused_and_harms_nobody() -> None:
    # In caproto the PV can't be written from then on: each write tries to convert it.
    async with small_ioc() as (ioc, server, _), await RawClient.connect(server.port) as client:
        text = await client.channel("T:text")
        await client.send(text.subscribe(data_type=ca.ChannelType.DOUBLE))
        await client.receive(ca.ErrorResponse)
        await ioc.text.write("still alive", verify_value=False)
        await client.send(text.read(data_type=ca.ChannelType.STRING))
        assert (await client.receive(ca.ReadNotifyResponse)).data[0] == b"still alive"


async def test_subscriptions_that_were_cancelled_leave_nothing_behind() -> None:
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port) as client:
        for _ in range(20):
            channel = await client.channel("T:number")
            subscribe = channel.subscribe()
            await client.send(subscribe)
            await client.receive(ca.EventAddResponse)
            await client.send(channel.unsubscribe(subscribe.subscriptionid))
            await client.receive((ca.EventAddResponse, ca.EventCancelResponse))
            await client.send(channel.subscribe())
            await client.receive(ca.EventAddResponse)
            await client.send(channel.clear())
            await client.receive(ca.ClearChannelResponse)
        (circuit,) = server._context.circuits
        assert not circuit.outbox.feeds
        assert not circuit.circuit.event_add_commands
        assert not circuit.circuit.channels
        await client.send((await client.channel("T:number")).subscribe())
        await client.receive(ca.EventAddResponse)
        client.writer.close()
        await until(lambda: server.clients == 0)
        assert not server._context.subscriptions


async def test_what_a_client_had_is_free_when_it_is_gone() -> None:
    # The garbage collector of a service looks at 50,000 objects or none: 600 circuits.
    async with small_ioc() as (_, server, _):
        async with await RawClient.connect(server.port) as client:
            await client.send((await client.channel("T:number")).subscribe())
            await client.receive(ca.EventAddResponse)
            gc.collect()
            gc.disable()
            kept = weakref.ref(next(iter(server._context.circuits)))
        try:
            await until(lambda: kept() is None)
        finally:
            gc.enable()


async def test_a_replaced_pv_is_forgotten() -> None:
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port) as client:
        replaced = ca.ChannelDouble(value=5.0)
        forgotten = weakref.ref(replaced)
        server.add_pv("T:new", replaced)
        del replaced
        await client.send((await client.channel("T:new")).subscribe())
        await client.receive(ca.EventAddResponse)
        await server.replace_pv("T:new", ca.ChannelInteger(value=6))
        await client.receive(ca.ServerDisconnResponse)
        await until(lambda: gc.collect() >= 0 and forgotten() is None)


async def test_a_client_that_puts_and_leaves_at_once_is_obeyed() -> None:
    async with small_ioc() as (ioc, server, _):
        async with await RawClient.connect(server.port) as client:
            await client.send((await client.channel("T:other")).write([77.0], notify=False))
        await until(lambda: ioc.other.value == 77.0)


async def test_a_put_whose_client_has_gone_goes_on_in_silence() -> None:
    async with small_ioc() as (ioc, server, _):
        async with await RawClient.connect(server.port) as client:
            await client.send((await client.channel("T:busy")).write([1], notify=True))
            await until(lambda: ioc.busy.value == "Busy")
        await until(lambda: server.clients == 0)
        assert ioc.busy.value == "Busy"
        ioc.work.set()
        await until(lambda: ioc.busy.value == "Done")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n".ljust(30_000),  # its first bytes claim 21 kB
        struct.pack(">HHHHIIII", 4, 0xFFFF, 6, 0, 0, 0, 2**30, 1),
    ],
    ids=["another protocol", "a payload of 1 GiB"],
)
async def test_a_client_that_sends_nonsense_is_disconnected(nonsense: bytes) -> None:
    assert MAX_REQUEST_BYTES < 2**30
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port) as client:
        client.writer.write(nonsense)
        await client.writer.drain()
        assert await client.is_disconnected()
        await until(lambda: server.clients == 0)


async def test_a_client_whose_nonsense_is_there_before_it_is_served_is_dropped_in_silence() -> None:
    # Its loops were cancelled before they began; Python warned of each on the service's log.
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    async with small_ioc() as (_, server, _):
        listener = await asyncio.start_server(
            lambda *streams: accepted.put_nowait(streams), "127.0.0.1", 0
        )
        async with listener:
            _, client = await asyncio.open_connection(*listener.sockets[0].getsockname())
            reader, writer = await accepted.get()
            reader.feed_data(struct.pack(">HHHHII", 999, 0, 0, 0, 0, 0))  # no such command
            server._accept(reader, writer)
            assert server.clients == 1
            await until(lambda: server.clients == 0)
            gc.collect()
            client.close()


async def test_a_client_that_asks_for_more_than_it_reads_leaves_nothing_behind() -> None:
    # Its circuit waited for ever for room in a queue of requests that nobody took from any more.
    async with small_ioc() as (ioc, server, _), await RawClient.connect(server.port) as client:
        await ioc.text.write("x" * 199)
        text = await client.channel("T:text")
        (circuit,) = server._context.circuits
        sock = circuit.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        question = b"".join(bytes(part) for part in client.circuit.send(text.read()))
        client.writer.write(question * 40_000)
        await until(lambda: circuit.figures.unread_bytes > 50_000)
        client.writer.transport.abort()
        await until(lambda: not any(" client " in t.get_name() for t in asyncio.all_tasks()))


async def test_gets_are_answered_while_a_put_of_that_client_is_outstanding() -> None:
    async with small_ioc() as (ioc, server, _), await RawClient.connect(server.port) as client:
        busy, other = await client.channel("T:busy"), await client.channel("T:other")
        await client.send(busy.write([1], notify=True))
        await client.send(other.read())
        assert (await client.receive(ca.ReadNotifyResponse)).data[0] == 2.0
        assert ioc.busy.value == "Busy"
        ioc.work.set()
        await client.receive(ca.WriteNotifyResponse)


async def test_an_ioc_that_hangs_up_on_a_client_in_its_put_does_not_complain_of_it() -> None:
    # uvloop's transport raises RuntimeError for the reply, not ConnectionError as asyncio's does.
    with Fleet(["faulty"]) as fleet:
        for _ in range(10):
            async with await RawClient.connect(fleet["faulty"].port) as client:
                rate = await client.channel("SIM:FAULTY:FloodRate")
                await client.send(rate.write([5000.0], notify=True))
                flood = await client.channel("SIM:FAULTY:Flood")
                disconnect = await client.channel("SIM:FAULTY:Disconnect")
                await client.send(flood.subscribe())
                await client.receive(ca.EventAddResponse)
                await client.send(disconnect.write([1], notify=True))
                assert await client.is_disconnected()
    assert not fleet["faulty"].errors
