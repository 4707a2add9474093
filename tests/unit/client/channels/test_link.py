"""One monitored channel: what it offers of connections, values, losses, and what it leaves."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from epicscorelibs.ca import cadef

from orchestrator.client.channels.link import (
    MOST_HELD,
    MUTE_AFTER,
    RETRY_AFTER,
    RETRY_AT_MOST,
    Link,
)
from orchestrator.client.channels.menus import Menu
from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.ca_subscription import Flusher
from orchestrator.config import ChannelConfig
from orchestrator.queues import MergeQueue, pull_queue
from orchestrator.types import LinkChange, NativeType, Reading, Severity
from tests.doubles import run_virtual
from tests.unit.client.fake_libca import FakeCa, FakeChannel, settle

_NO_READ = 368  # ECA_NORDACCESS of caerr.h


class Rights:
    """Tells when access rights change; stands for `access.AccessRights`."""

    def __init__(self) -> None:
        self.following: list[Any] = []

    def follow(self, channel: FakeChannel, changed: Any) -> None:
        self.following.append(changed)

    def forget(self, channel: FakeChannel, changed: Any) -> None:
        self.following.remove(changed)


def link_of(
    config: ChannelConfig, offer: Any, rights: Rights, muted: list[Link], flusher: Flusher
) -> Link:
    arrivals = Arrivals()
    menu_of = partial(Menu, arrivals=arrivals, flusher=flusher)
    return Link(config, offer, rights, muted.append, arrivals, flusher, 0, menu_of)


@dataclass
class Rig:
    """A link, and what it has offered."""

    link: Link
    channel: FakeChannel
    ca: FakeCa
    rights: Rights
    flusher: Flusher
    muted: list[Link]
    offered: list[Any] = field(default_factory=list)

    @property
    def told(self) -> list[Any]:
        """What was offered since the last look: links as text, readings as their values."""
        told = [_short(item) for item in self.offered]
        self.offered.clear()
        return told

    async def there(self) -> None:
        """Connected, with metadata and a first value; nothing of that is told any more."""
        self.channel.connect()
        await settle()
        self.channel.describe()
        self.channel.post(self.first)
        await settle()
        self.offered.clear()

    @property
    def first(self) -> Any:
        return "a" if self.channel.native is NativeType.STRING else 1


def _short(item: Any) -> Any:
    if isinstance(item, LinkChange):
        return ("back" if item.reconnected else "up") if item.connected else "lost"
    if isinstance(item.value, float) and math.isnan(item.value):
        return "bad"
    return f"{item.value}?" if item.unconfirmed else item.value


@pytest.fixture
def rig(ca: FakeCa):
    """Play a scenario with a link that is open, and closed behind it: nothing may be left."""

    def play(scenario, **about):
        async def main():
            channel = ca.channel(about.pop("name", "A:X"), **about)
            rights, muted, offered = Rights(), [], []
            flusher = Flusher()
            config = ChannelConfig("a.x", channel.name)
            link = link_of(config, _Collected(offered), rights, muted, flusher)
            link.open()
            made = Rig(link, channel, ca, rights, flusher, muted, offered)
            result = await scenario(made)
            link.close()
            link.close()  # harmless
            await settle()
            made.offered.clear()
            channel.post(5)
            channel.describe()
            await asyncio.sleep(100)
            assert ca.subscriptions == {}, "a subscription was left behind"
            assert (channel.listeners, rights.following, made.offered) == ([], [], [])
            return result

        return run_virtual(main())

    return play


class _Collected:
    def __init__(self, into: list[Any]) -> None:
        self.offer = into.append


KINDS = [
    (NativeType.DOUBLE, 2.5, 3.5),
    (NativeType.FLOAT, 0.5, 1.5),
    (NativeType.LONG, -2, 2**31 - 1),
    (NativeType.SHORT, 3, -4),
    (NativeType.ENUM, 0, 1),
    (NativeType.STRING, "", "text"),
]


@pytest.mark.parametrize(("native", "one", "two"), KINDS)
def test_metadata_come_first_then_every_value_in_order(rig, native, one, two) -> None:
    async def scenario(it):
        it.channel.connect(native=native, labels=("Closed", "Open") if native == 3 else ())
        await settle()
        it.channel.post(one)  # a server may answer in any order
        await settle()
        early = list(it.offered)
        it.channel.describe()
        it.channel.post(two)
        it.channel.post(two)
        await settle()
        assert it.link.metadata is not None
        return early, it.told, it.link.metadata.native, it.link.ready

    early, told, kind, ready = rig(scenario)
    assert (early, told, kind, ready) == ([], ["up", one, two, two], native, True)


def test_a_reading_has_what_the_server_said(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.post(4.0, severity=2, status=3)
        await asyncio.sleep(0.5)
        [reading] = it.offered
        assert isinstance(reading, Reading)
        return reading.channel, reading.severity, reading.status, reading.received

    assert rig(scenario) == ("a.x", Severity.MAJOR, 3, 1000.0)


def test_a_loss_is_told_once_behind_the_values_and_the_first_value_after_it_is_marked(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.post(2.0)
        it.channel.lose()
        await settle()
        lost, ready = it.told, it.link.ready
        it.channel.connect()
        it.channel.describe()
        it.channel.post(0.0)
        it.channel.post(3.0)
        await settle()
        return lost, ready, it.told

    assert rig(scenario) == ([2.0, "lost"], False, ["back", "0.0?", 3.0])


def test_values_that_come_before_the_metadata_of_a_new_connection_are_held(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.lose()
        await settle()
        it.channel.connect()
        for value in (7.0, 8.0, 9.0):
            it.channel.post(value)
        await settle()
        before = it.told
        it.channel.describe()
        await settle()
        return before, it.told

    assert rig(scenario) == (["lost"], ["back", "7.0?", 8.0, 9.0])


def test_an_update_that_can_t_be_taken_makes_the_value_invalid(rig) -> None:
    """What was there before is not what the IOC has now."""

    async def scenario(it):
        await it.there()
        it.link._take_value(("no", "sample"))
        [bad] = it.offered
        return math.isnan(bad.value), bad.severity

    assert rig(scenario) == (True, Severity.INVALID)


@pytest.mark.parametrize("number", [999, 1000])
def test_held_values_are_bounded_then_it_is_announced_with_the_metadata_it_had(rig, number) -> None:
    async def scenario(it):
        await it.there()
        it.channel.lose()
        it.channel.connect()
        await settle()
        it.offered.clear()
        for value in range(number):
            it.channel.post(value)
        for _ in range(20):
            await settle()
        return len(it.offered)

    assert rig(scenario) == (0 if number < 1000 else 1001)


def test_on_a_first_connection_no_more_are_held_than_that_either(rig) -> None:
    async def scenario(it):
        it.channel.connect()
        await settle()
        for value in range(MOST_HELD + 5):
            it.channel.post(value)
        for _ in range(20):
            await settle()
        subscribed = len(it.channel.feeds(properties=False))
        it.channel.describe()
        await settle()
        it.channel.post(4)
        await settle()
        return subscribed, it.told

    assert rig(scenario) == (0, ["up", 4])


def test_a_changed_type_or_length_is_subscribed_to_anew(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.lose()
        it.channel.connect(native=NativeType.LONG)
        it.channel.describe()
        it.channel.post(1)
        await settle()
        codes = {s.code for s in it.channel.feeds(properties=False)}
        it.channel.describe()
        it.channel.post(6)
        await settle()
        return codes, it.told, it.link.metadata.native

    codes, told, native = rig(scenario)
    assert codes == {19}  # DBR_TIME_LONG
    assert (told, native) == (["lost", "back", "6?"], NativeType.LONG)


def test_changed_metadata_are_told_and_unchanged_ones_not(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.describe()
        await settle()
        same = it.told
        it.channel.units = b"deg"
        it.channel.describe()
        await settle()
        [change] = it.offered
        return same, change.connected, change.reconnected, change.metadata.units

    assert rig(scenario) == ([], True, False, "deg")


@pytest.mark.parametrize("times", [MUTE_AFTER - 1, MUTE_AFTER])
def test_a_server_that_tells_metadata_with_every_value_is_muted(rig, times) -> None:
    async def scenario(it):
        await it.there()
        for _ in range(times):
            it.channel.describe()
        await settle()
        return len(it.channel.feeds(properties=True)), len(it.muted)

    assert rig(scenario) == ((1, 0) if times < MUTE_AFTER else (0, 1))


def test_a_change_between_begins_the_count_anew(rig) -> None:
    async def scenario(it):
        await it.there()
        for units in (b"mm", b"deg"):
            it.channel.units = units
            for _ in range(MUTE_AFTER - 1):
                it.channel.describe()
                await settle()
        return len(it.channel.feeds(properties=True)), it.muted

    assert rig(scenario) == (1, [])


def test_a_muted_link_reads_its_metadata_again_when_asked_and_is_muted_again_at_once(rig) -> None:
    async def scenario(it):
        await it.there()
        for _ in range(MUTE_AFTER):
            it.channel.describe()
        await settle()
        it.link.refresh()
        await settle()
        asked = len(it.channel.feeds(properties=True))
        it.channel.describe()
        await settle()
        quiet = len(it.channel.feeds(properties=True)), it.told
        it.link.refresh()
        it.channel.units = b"deg"
        it.channel.describe()
        await settle()
        return asked, quiet, it.told

    assert rig(scenario) == (1, (0, []), ["up"])


PAUSES = [min(RETRY_AFTER * 2**n, RETRY_AT_MOST) for n in range(9)]


@pytest.mark.parametrize("properties", [True, False])
def test_a_broken_subscription_is_made_anew_with_growing_pauses(rig, properties) -> None:
    async def scenario(it):
        await it.there()
        open_ = []
        for pause in PAUSES:
            it.channel.fail(192, properties=properties)
            for seconds in (pause - 0.01, 0.02):
                await asyncio.sleep(seconds)
                open_.append(len(it.channel.feeds(properties=properties)))
        told = it.told
        it.channel.describe()
        it.channel.post(5.0)
        await settle()
        it.channel.fail(192, properties=properties)
        await asyncio.sleep(RETRY_AFTER + 0.1)
        return open_, set(told), len(it.channel.feeds(properties=properties))

    open_, told, again = rig(scenario)
    assert open_ == [0, 1] * len(PAUSES)
    assert told == (set() if properties else {"bad"})
    assert again == 1, "a value in between begins the pauses anew"


def test_what_can_not_be_read_any_more_stays_connected_and_says_so(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.readable = False
        it.channel.fail(_NO_READ)
        await settle()
        [_bad, change] = it.offered
        it.offered.clear()
        subscribed = len(it.ca.subscriptions)
        it.channel.readable = True
        for changed in it.rights.following:
            changed()
        await settle()
        it.channel.describe()
        it.channel.post(3.0)
        await settle()
        return change.connected, change.metadata.readable, subscribed, it.told

    assert rig(scenario) == (True, False, 0, ["up", 3.0])


def test_one_that_nobody_may_read_is_ready_without_a_value(rig) -> None:
    async def scenario(it):
        it.channel.connect()
        await settle()
        it.channel.fail(_NO_READ, properties=True)
        await it.link.until_ready()
        return it.told

    assert rig(scenario, readable=False) == ["up"]


@pytest.mark.parametrize("writable", [True, False])
def test_a_change_of_write_access_is_told(rig, writable) -> None:
    async def scenario(it):
        await it.there()
        it.channel.writable = writable
        for changed in it.rights.following:
            changed()
        await settle()
        return [change.metadata.writable for change in it.offered]

    assert rig(scenario, writable=not writable) == [writable]


def test_an_update_that_can_not_be_read_is_told_as_bad_and_not_passed_over(rig) -> None:
    async def scenario(it):
        await it.there()
        [feed] = it.channel.feeds(properties=False)
        feed.feed.convert = lambda *_: 1 / 0
        it.channel.post(2.0)
        await settle()
        return it.told

    assert rig(scenario) == ["bad"]


def test_everybody_who_waits_for_it_is_told_when_it_is_ready(rig) -> None:
    async def scenario(it):
        waiting = [asyncio.create_task(it.link.until_ready(), name=f"{n}") for n in range(3)]
        await settle()
        early = [task.done() for task in waiting]
        await it.there()
        return early, [task.done() for task in waiting]

    assert rig(scenario) == ([False] * 3, [True] * 3)


def test_a_loss_that_is_over_when_it_is_told_asks_anew(rig) -> None:
    """What the new connection sent may have come before, and would be taken for the old one's."""

    async def scenario(it):
        await it.there()
        before = set(it.ca.subscriptions)
        it.channel.lose()
        it.channel.state = cadef.cs_conn  # back, and aioca tells soon
        await settle()
        it.channel.connect()
        await settle()
        after = set(it.ca.subscriptions)
        it.channel.describe()
        it.channel.post(9.0)
        await settle()
        return before & after, it.told

    assert rig(scenario) == (set(), ["lost", "back", "9.0?"])


MENU = tuple(f"choice {n}" for n in range(16))


@pytest.mark.parametrize("answered", ["in time", "by another", "not at all"])
def test_a_choice_that_is_not_listed_is_told_behind_its_text_and_no_value_overtakes_it(
    rig, answered
) -> None:
    async def scenario(it):
        await it.there()
        it.channel.post(17)
        it.channel.post(3)
        await settle()
        before, asked = it.told, [code for code, *_ in it.channel.asked]
        match answered:
            case "in time":
                it.channel.answer("choice 17")
                it.channel.answer(17)
            case "by another":
                it.channel.answer("choice 3")
                it.channel.answer(3)
            case "not at all":
                await asyncio.sleep(3)
        await settle()
        return before, asked, it.told, it.link.metadata.labels[16:]

    before, asked, told, more = rig(scenario, name="A:X.STAT", native=NativeType.ENUM, labels=MENU)
    assert (before, asked) == ([], [14, 17])  # DBR_TIME_STRING, DBR_TIME_ENUM
    if answered == "in time":
        assert (told, more) == (["up", 17, 3], ("", "choice 17"))
    else:
        assert (told, more) == ([17, 3], ())


def test_a_closed_link_offers_nothing_of_what_waits_already(rig) -> None:
    async def scenario(it):
        await it.there()
        it.channel.post(2.0)
        it.link.close()
        await settle()
        return it.told

    assert rig(scenario) == []


def test_the_pull_queue_counts_what_a_link_offers_that_nobody_has_taken_yet(ca: FakeCa) -> None:
    async def main():
        pull: MergeQueue[Any] = pull_queue(frozenset())
        channel = ca.channel("A:X")
        link = link_of(ChannelConfig("a.x", "A:X"), pull, Rights(), [], Flusher())
        link.open()
        channel.connect()
        channel.describe()
        for value in range(20):
            channel.post(value)
        await settle()
        taken = await pull.batch()
        link.close()
        return pull.figures.merged, [_short(item) for item in taken]

    merged, taken = run_virtual(main())
    assert taken[0] == "up"
    assert taken[-1] == 19.0
    assert merged + len(taken) == 21


def test_all_that_is_asked_in_a_turn_leaves_together(ca: FakeCa) -> None:
    async def main():
        flusher = Flusher()
        links = []
        for number in range(20):
            config = ChannelConfig(f"a.{number}", f"A:{number}")
            ca.channel(config.pv).connect()
            link = link_of(config, _Collected([]), Rights(), [], flusher)
            link.open()
            links.append(link)
        before = ca.flushed
        await settle()
        flushed, subscribed = ca.flushed - before, len(ca.subscriptions)
        for link in links:
            link.close()
        await settle()
        return flushed, subscribed

    assert run_virtual(main()) == (1, 40)
