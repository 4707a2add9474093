"""How an IOC starts and stops, alone and inside another program's loop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from caproto import ChannelDouble, EventAddResponse
from caproto.server import pvproperty
from ioc_kit_clients import clients, until
from ioc_kit_pvs import small_ioc
from ioc_kit_raw import RawClient

from orchestrator.ioc import Group, PortTakenError, serve

LOOPBACK = ["127.0.0.1"]


def one_pv() -> dict[str, Any]:
    return {"T:one": ChannelDouble(value=1.0)}


async def test_clients_notice_at_once_that_the_server_stopped_and_find_a_new_one() -> None:
    # caproto leaves clients' sockets open: they notice after 33 s, and never come back.
    async with serve(one_pv(), port=0, interfaces=LOOPBACK) as server, clients(server.port) as made:
        port = server.port
        client = await made.aioca("""
            camonitor("T:one", lambda v: say(v.ok), notify_disconnect=True)
            await asyncio.sleep(30)
        """)
        assert await client.said() == [True]
        async with asyncio.timeout(1):
            made_aside = made
            await server._stop()
        assert await client.said(timeout=1.0) == [False]
        async with serve(one_pv(), port=port, interfaces=LOOPBACK):
            assert await client.said(timeout=20.0) == [True]
        assert made_aside is made


async def test_what_was_published_last_arrives_before_the_disconnection() -> None:
    async with asyncio.timeout(20):
        pvdb = one_pv()
        async with serve(pvdb, port=0, interfaces=LOOPBACK) as server:
            client = await RawClient.connect(server.port)
            channel = await client.channel("T:one")
            await client.send(channel.subscribe())
            await client.receive(EventAddResponse)
            for value in range(20):
                await pvdb["T:one"].write(float(value), verify_value=False)
        data = b""
        while more := await client.reader.read(4096):
            data += more
        commands, _ = client.circuit.recv(data)
        assert commands[-1].data[0] == 19.0
        await client.__aexit__()


async def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    async with serve(one_pv(), port=0, interfaces=LOOPBACK) as server:
        with pytest.raises(PortTakenError, match=f"port {server.port} is in use"):
            async with serve(one_pv(), port=server.port, interfaces=LOOPBACK):
                pytest.fail("must not start")


async def test_a_port_whose_searches_somebody_else_gets_is_taken_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with pytest.raises(PortTakenError):
            async with serve(one_pv(), port=udp.getsockname()[1], interfaces=LOOPBACK):
                pytest.fail("must not start")


async def test_the_port_is_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # libca in the same process would search there.
    monkeypatch.setenv("EPICS_CA_SERVER_PORT", "5999")
    async with (
        serve(one_pv(), port=0, interfaces=LOOPBACK) as first,
        serve(one_pv(), port=0, interfaces=LOOPBACK) as second,
    ):
        assert len({first.port, second.port, 5999}) == 3


async def test_a_stop_leaves_no_task_and_no_socket_even_when_cancelled() -> None:
    async def served(entered: asyncio.Future[int]) -> None:
        async with serve(one_pv(), port=0, interfaces=LOOPBACK) as server:
            entered.set_result(server.port)
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    entered = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(served(entered))
    port = await entered
    client = await RawClient.connect(port)
    await client.send((await client.channel("T:one")).subscribe())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    assert await client.is_disconnected()
    await client.__aexit__()
    async with serve(one_pv(), port=port, interfaces=LOOPBACK):
        pass


async def test_a_startup_hook_that_fails_ends_the_server_with_its_error() -> None:
    class Failing(Group):
        pv = pvproperty(value=0)

        @pv.startup
        async def pv(self, _instance: Any, _async_lib: Any) -> None:
            raise LookupError("no such device")

    with pytest.raises(LookupError, match="no such device"):
        async with serve(Failing("F:").pvdb, port=0, interfaces=LOOPBACK):
            await asyncio.sleep(5)


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serve(one_pv(), port=0, interfaces=LOOPBACK):
            raise KeyError("mine")


async def test_a_pv_added_while_it_runs_is_found() -> None:
    async with small_ioc() as (_, server, made):
        client = await made.aioca('say(await caget("T:late"))')
        server.add_pv("T:late", ChannelDouble(value=4.0))
        assert await client.said() == [4.0]
        with pytest.raises(ValueError, match="T:late"):
            server.add_pv("T:late", ChannelDouble(value=5.0))


IOC = """
import sys
from orchestrator.ioc import Group, run_ioc
from caproto.server import pvproperty
class Small(Group):
    x = pvproperty(value=1.0, name="{N}x")
sys.exit(run_ioc(Small, default_prefix="D:", desc="small", macros={"N": "n"}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_run_ioc_says_when_it_is_reachable_and_stops_when_told(number: int) -> None:
    async with clients(0) as made:
        ioc = await made.run(sys.executable, "-c", IOC, "--port", "0", "--interfaces", "127.0.0.1")
        ready = re.fullmatch(r"READY port=(\d+)", await ioc.line())
        assert ready
        async with await RawClient.connect(int(ready[1])) as client:
            await client.channel("D:nx")
            ioc.signal(number)
            assert await client.is_disconnected()
        assert await ioc.end() == 0
        assert (ioc.errors, len(ioc.lines())) == ("", 1)


async def test_run_ioc_lists_its_pvs_with_prefix_and_macros_replaced() -> None:
    async with clients(0) as made:
        options = ["--port", "0", "--interfaces", "127.0.0.1", "--list-pvs"]
        ioc = await made.run(
            sys.executable, "-c", IOC, *options, "--prefix", "P:", "--macro", "N=m"
        )
        assert await ioc.line() == "P:mx"
        assert (await ioc.line()).startswith("READY")


async def test_run_ioc_stops_with_its_parent_if_asked() -> None:
    async with clients(0) as made:
        options = ["--port", "0", "--interfaces", "127.0.0.1", "--stop-with-stdin"]
        ioc = await made.run(sys.executable, "-c", IOC, *options)
        await ioc.line()
        ioc.end_input()
        assert await ioc.end() == 0


@pytest.mark.parametrize("stdin", ["< /dev/null", "<&-"])
async def test_run_ioc_that_is_to_stop_with_a_stdin_that_has_no_end_stops_at_once(
    stdin: str,
) -> None:
    # No event loop waits for a plain file or /dev/null: it was a traceback. Of one that is closed
    # a socket took the number, and libuv aborted the process.
    async with clients(0) as made:
        options = ["--port", "0", "--interfaces", "127.0.0.1", "--stop-with-stdin"]
        nothing = ["/bin/sh", "-c", f'exec "$0" "$@" {stdin}']
        ioc = await made.run(*nothing, sys.executable, "-c", IOC, *options)
        assert await ioc.end() == 0
        assert ioc.errors == ""


TALKATIVE = """
import logging, sys
from orchestrator.ioc import Group, run_ioc
from caproto.server import pvproperty
class Talkative(Group):
    x = pvproperty(value=1.0, name="x")
    @x.putter
    async def x(self, pv, value):
        for _ in range(3000):
            logging.getLogger("lamp").warning("y" * 1000)
sys.exit(run_ioc(Talkative, default_prefix="D:", desc="talkative"))
"""


async def test_an_ioc_whose_log_nobody_reads_goes_on(tmp_path: Path) -> None:
    """A terminal stopped by Ctrl-S, a hung journald: a write to it would wait for ever."""
    log = tmp_path / "log"
    os.mkfifo(log)
    unread = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    async with clients(0) as made:
        there = ["/bin/sh", "-c", f'exec "$0" "$@" 2>{log}', sys.executable, "-c", TALKATIVE]
        ioc = await made.run(*there, "--port", "0", "--interfaces", "127.0.0.1")
        port = int((await ioc.line()).removeprefix("READY port="))
        async with clients(port) as others:
            client = await others.aioca("""
                for value in (2.0, 3.0, 4.0):
                    await caput("D:x", value, wait=True)
                    say(await caget("D:x"))
            """)
            assert [await client.said() for _ in range(3)] == [[2.0], [3.0], [4.0]]
        text = os.read(unread, 10_000)
        ioc.signal(signal.SIGTERM)
        assert await ioc.end() == 0
    os.close(unread)
    assert b"WARNING lamp: yyy" in text


async def test_run_ioc_on_a_taken_port_says_so_in_a_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with clients(0) as made:
            options = ["--port", str(port), "--interfaces", "127.0.0.1"]
            ioc = await made.run(sys.executable, "-c", IOC, *options)
            assert await ioc.end() == 1
            assert re.fullmatch(f"port {port} is in use .*\n", ioc.errors)


async def test_a_refused_put_prints_no_traceback(tmp_path: Path) -> None:
    script = tmp_path / "ioc.py"
    script.write_text(
        IOC.replace(
            "sys.exit", "async def no(*a): raise ValueError('no')\nSmall.x.putter\nsys.exit"
        )
    )
    async with clients(0) as made:
        options = ["--port", "0", "--interfaces", "127.0.0.1"]
        ioc = await made.run(sys.executable, str(script), *options)
        port = int((await ioc.line()).partition("=")[2])
        async with await RawClient.connect(port) as client:
            channel = await client.channel("D:nx")
            await client.send(channel.write([b"not a number"], data_type=0, notify=True))
            await until(lambda: not client.reader.at_eof())
        ioc.signal(signal.SIGTERM)
        assert await ioc.end() == 0
        assert ioc.errors == ""
