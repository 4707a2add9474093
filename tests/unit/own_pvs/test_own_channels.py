"""Own PVs as the engine and clients reach them: in virtual time, without sockets."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.api import Api, Caller, Filter
from orchestrator.config import Config, load_config
from orchestrator.device import Device
from orchestrator.errors import InputError, LimitsError, PutError
from orchestrator.own_pvs import KeptValues, OwnChannels, RoutedChannels, own_file
from orchestrator.queues import MergeQueue, pull_queue, request_queue
from orchestrator.types import Alarm, PullItem, Severity, Update, fields
from tests.doubles import SimChannels, run_virtual

OWN = """
[own.best]
type = "double"
units = "mm"
limits = [-10, 10]
value = 1.5
write = true
alarm = { low = -5, high = 5, hihi = 8 }

[own.mode]
type = "enum"
labels = ["Off", "On", "7"]
value = "On"
write = true

[own.count]
type = "long"

[own.note]
type = "text"
count = 5
write = true

[own.curve]
type = "array"
count = 3
write = true
"""


@dataclass
class Served:
    """What a service has of own PVs, without its server."""

    own: OwnChannels
    others: SimChannels
    device: Device
    api: Api
    published: list[Update]

    def shown(self, name: str) -> list[object]:
        return [u.value for u in self.published if u.key == name]


def config_of(directory: Path, text: str = OWN) -> Config:
    file = directory / "orchestrator.toml"
    file.write_text(text)
    return load_config(file)


@asynccontextmanager
async def served(config: Config) -> AsyncIterator[Served]:
    pull: MergeQueue[PullItem] = pull_queue(frozenset(config.own))
    device = Device(config)
    own = OwnChannels(config.own, pull, device.table, KeptValues(own_file(config.store)))
    api = Api(pull, frozenset(config.own), own)
    published: list[Update] = []
    listens = api.subscribe(Filter(channels=True, events=False))
    work = asyncio.create_task(device.run(pull, api, request_queue()))

    async def listen() -> None:
        async for item in listens:
            assert isinstance(item, Update)
            published.append(item)

    listening = asyncio.create_task(listen())
    others = SimChannels(pull)
    async with own:
        await pull.idle()
        yield Served(own, others, device, api, published)
    await others.close()
    work.cancel()
    listening.cancel()


def with_own(tmp_path: Path, work: Callable[[Served], Awaitable[None]], text: str = OWN) -> None:
    async def main() -> None:
        async with served(config_of(tmp_path, text)) as own:
            await work(own)

    run_virtual(main())


def test_they_are_connected_from_the_start_with_what_is_configured(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        best = own.device.table.channel("own.best")
        assert best.connected
        assert best.reading is not None
        assert best.reading.value == 1.5
        assert best.metadata is not None
        assert (best.metadata.units, best.metadata.control.high) == ("mm", 10)
        assert own.device.table.channel("own.mode").reading.value == 1
        assert own.device.table.channel("own.note").reading.value == ""

    with_own(tmp_path, work)


def test_when_a_put_has_completed_the_view_has_it(tmp_path: Path) -> None:
    """Whoever set a value and looks at it next must not see the one before."""

    async def work(own: Served) -> None:
        for value in (2.0, 3.0, 4.0):
            await own.own.put("own.best", value, completion=True, timeout=1)
            assert own.device.table.channel("own.best").reading.value == value

    with_own(tmp_path, work)


def test_each_put_is_published_however_many_come_at_once(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        puts = [own.own.put("own.count", n, completion=True, timeout=1) for n in range(500)]
        await asyncio.gather(*puts)
        await asyncio.sleep(1)
        assert own.shown("own.count") == [0, *range(500)]

    with_own(tmp_path, work)


def test_a_number_has_the_alarm_of_its_limits(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        found = []
        for value in (0.0, 5.0, 8.0, -5.0, math.nan):
            await own.own.put("own.best", value, completion=True, timeout=1)
            reading = own.device.table.channel("own.best").reading
            found.append((reading.severity, reading.status))
        assert found == [
            (Severity.NO_ALARM, Alarm.NO_ALARM),
            (Severity.MINOR, Alarm.HIGH),
            (Severity.MAJOR, Alarm.HIHI),
            (Severity.MINOR, Alarm.LOW),
            (Severity.INVALID, Alarm.UDF),
        ]

    with_own(tmp_path, work)


def test_what_a_client_puts_is_held_against_type_limits_and_labels(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        put = own.api.put
        with pytest.raises(LimitsError, match=r"own\.best: 11 mm is outside its limits, -10 … 10"):
            await put("own.best", 11)
        with pytest.raises(PutError, match="they are 0 = Off, 1 = On, 2 = 7"):
            await put("own.mode", "Blue")
        with pytest.raises(PutError, match="a text of 6 bytes; the array holds 5"):
            await put("own.note", "longer")
        with pytest.raises(PutError, match="longer than its 3 elements"):
            await put("own.curve", [1, 2, 3, 4])
        with pytest.raises(PutError, match=r"own\.count.*does not say write = true"):
            await put("own.count", 1)
        with pytest.raises(InputError, match=r"no own PV 'own\.bets'; did you mean 'own\.best'\?"):
            await put("own.bets", 1)
        assert own.shown("own.best") == [1.5], "nothing was written"
        await put("own.mode", 7)
        await put("own.note", "fünf"[:4])
        assert own.device.table.channel("own.mode").reading.value == 2, "the label, as elsewhere"
        assert own.device.table.channel("own.note").reading.value == "fünf"

    with_own(tmp_path, work)


def test_a_client_is_answered_behind_its_own_update(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        listens = own.api.subscribe(Filter(channels=True, events=False))
        asking = asyncio.create_task(own.api.put("own.best", 3, Caller("me@here", listens)))
        await asyncio.sleep(1)
        update, reply = await listens.batch()
        assert (update.field, update.key, update.value) == (fields.OWN, "own.best", 3.0)
        assert not asking.done()
        own.api.answer(reply)
        await asking

    with_own(tmp_path, work)


def test_names_of_both_kinds_are_answered_in_the_order_asked(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        own.others.add("s.x", 4.0)
        both = RoutedChannels(own.own, own.others)
        assert await both.connect(["s.x", "own.best", "s.gone"], 0.1) == ["s.gone"]
        read = await both.get(["own.best", "s.x", "own.count"], 1)
        assert [(name, r.value) for name, r in read.items()] == [
            ("own.best", 1.5),
            ("s.x", 4.0),
            ("own.count", 0),
        ]
        await both.put("s.x", 5.0, completion=True, timeout=1)
        await both.put("own.best", 6.0, completion=True, timeout=1)
        assert own.others.channels["s.x"].value == 5.0
        assert own.device.table.channel("own.best").reading.value == 6.0
        assert both.outstanding("own.best") is None

    with_own(tmp_path, work)


def test_a_chained_ioc_that_is_called_own_is_the_clients(tmp_path: Path) -> None:
    async def work(own: Served) -> None:
        own.others.add("own.x", 4.0)
        both = RoutedChannels(own.own, own.others)
        assert await both.connect(["own.x"], 0.1) == []
        await both.put("own.x", 5.0, completion=True, timeout=1)
        assert own.others.channels["own.x"].value == 5.0
        assert (await both.get(["own.x"], 1))["own.x"].value == 5.0

    with_own(tmp_path, work, '[chain.own]\nprefix = "X:"\nchannels.x = "X"\n')


def test_they_are_no_part_of_the_chain(tmp_path: Path) -> None:
    device = Device(config_of(tmp_path))
    first = {u.field: u.value for u in device.first_decisions() if isinstance(u, Update)}
    assert first[fields.CHAIN_COUNT] == 0
