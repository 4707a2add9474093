"""When the port of a lost server is looked at, and when its channels are made anew."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from epicscorelibs.ca import cadef

from orchestrator.client.servers import restarts
from orchestrator.client.servers.restarts import Restarts
from tests.doubles import run_virtual

GONE = "<disconnected>"


_BEGINS = 1000.0


def now() -> float:
    """s since the beginning."""
    return asyncio.get_running_loop().time() - _BEGINS


class Lost:
    """A link that was lost, as far as one looks at it here."""

    def __init__(self, server: str = "ioc:5064") -> None:
        self.metadata = SimpleNamespace(host=server)
        self.channel = SimpleNamespace(host=GONE)
        self.is_lost = True
        self.found = asyncio.Event()


class Net:
    """Which ports accept connections, and when one was looked at."""

    def __init__(self) -> None:
        self.up = False
        self.takes = 0.0
        self.looks: list[float] = []
        self.searched: list[tuple[float, list[Any]]] = []

    async def accepts(self, where: Any) -> bool:
        self.looks.append(round(now(), 3))
        await asyncio.sleep(self.takes)
        return self.up

    def search(self, links: Any) -> None:
        self.searched.append((now(), list(links)))
        for link in links:
            link.is_lost = False
            link.found.set()


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    net = Net()

    async def place_of(server: str) -> tuple[str, int]:
        return server, 1

    monkeypatch.setattr(restarts, "accepts", net.accepts)
    monkeypatch.setattr(restarts, "place_of", place_of)
    monkeypatch.setattr(cadef, "ca_host_name", lambda channel: channel.host)
    return net


def play(net: Net, scenario: Any) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            started: list[asyncio.Task[Any]] = []

            def start(work: Any, name: str) -> None:
                started.append(tasks.create_task(work, name=name))

            await scenario(Restarts(start, net.search))
            for task in started:
                task.cancel()

    run_virtual(run())


def test_a_server_is_looked_at_the_less_often_the_longer_it_is_gone(net: Net) -> None:
    async def scenario(these: Restarts) -> None:
        for _ in range(1000):
            these.lost(Lost())
        await asyncio.sleep(600)

    play(net, scenario)
    pauses = [late - soon for soon, late in itertools.pairwise([0.0, *net.looks])]
    assert pauses[0] == pytest.approx(0.1)
    assert pauses[-1] == pytest.approx(5)
    for pause, at in zip(pauses, net.looks, strict=True):
        assert pause <= max(0.11, at / 30)
    assert len(net.looks) < 250


def test_all_channels_of_a_server_that_is_back_are_made_anew_once(net: Net) -> None:
    links = [Lost() for _ in range(450)]

    async def scenario(these: Restarts) -> None:
        for link in links:
            these.lost(link)  # type: ignore[arg-type]
        await asyncio.sleep(0.35)
        net.up = True
        await asyncio.sleep(10)

    play(net, scenario)
    assert [len(some) for _, some in net.searched] == [200, 200, 50]
    assert net.searched[0][0] < 0.5
    assert {id(link) for _, some in net.searched for link in some} == {id(link) for link in links}


def test_a_server_that_goes_and_comes_is_searched_for_less_and_less(net: Net) -> None:
    async def scenario(these: Restarts) -> None:
        net.up = True
        for _ in range(60):
            link = Lost()
            these.lost(link)  # type: ignore[arg-type]
            async with asyncio.timeout(11):
                await link.found.wait()
        del net.searched[:-1]
        at = net.searched[0][0]
        await asyncio.sleep(30)
        these.lost(Lost())  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        assert net.searched[-1][0] == pytest.approx(at + 30.1, abs=0.1)

    play(net, scenario)
    pauses = [late - soon for soon, late in itertools.pairwise(net.looks[:60])]
    assert pauses[:3] == pytest.approx([0.4, 1.6, 6.4], abs=0.05)
    assert pauses[3:] == pytest.approx([10.0] * len(pauses[3:]), abs=0.05)


def test_a_frozen_server_is_left_alone(net: Net) -> None:
    """Its port accepts connections, and the circuit goes on when it thaws."""
    link = Lost()
    link.channel.host = "ioc:5064"

    async def scenario(these: Restarts) -> None:
        net.up = True
        these.lost(link)  # type: ignore[arg-type]
        await asyncio.sleep(60)
        assert net.looks == net.searched == []
        link.channel.host = GONE
        await asyncio.sleep(5)

    play(net, scenario)
    assert [some for _, some in net.searched] == [[link]]


def test_what_is_back_by_itself_is_not_looked_for(net: Net) -> None:
    link = Lost()

    async def scenario(these: Restarts) -> None:
        these.lost(link)  # type: ignore[arg-type]
        await asyncio.sleep(1)
        link.is_lost = False
        del net.looks[:]
        await asyncio.sleep(60)

    play(net, scenario)
    assert net.looks == net.searched == []


def test_few_servers_are_looked_at_in_one_moment(net: Net) -> None:
    async def scenario(these: Restarts) -> None:
        net.takes = 1.0
        for number in range(100):
            these.lost(Lost(f"ioc{number}:5064"))  # type: ignore[arg-type]
        await asyncio.sleep(10)

    play(net, scenario)
    assert max(net.looks.count(at) for at in net.looks) == restarts.AT_ONCE
