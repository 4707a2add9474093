"""A client's updates: which are kept, in which order, and the sum of what became of them."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import caproto as ca
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ioc.serving.outbox import Feed, Outbox, Post, Subscriptions
from orchestrator.ioc.serving.turns import Budget, Turns

NO_FILTER = SimpleNamespace(arr=None, dbnd=None, sync=None)


class Client:
    """A circuit with subscriptions and no socket."""

    def __init__(self, backlog: int = 3, elements: int = 1) -> None:
        self.dropped = 0
        self.failed = 0
        self._backlog, self._elements = backlog, elements
        self._posts = 0
        self._subs: dict[Any, Subscriptions] = {}
        self.outbox = Outbox(self)

    def subscribe(self, pv: str, number: int, count: int = 0) -> Any:
        spec = self._spec(pv)
        sub = SimpleNamespace(subscriptionid=number, data_count=count, data_type=5, channel=self)
        self._subs.setdefault(spec.name, Subscriptions()).append(sub)
        self.post(pv, 0, only=sub)
        return sub

    def unsubscribe(self, pv: str, sub: Any) -> None:
        self._subs[pv].remove(sub)
        self.outbox.end(self._spec(pv), sub, last=not self._subs[pv])

    def _spec(self, pv: str) -> Any:
        return self._specs.setdefault(pv, _Spec(pv, self._backlog, self._elements))

    @property
    def _specs(self) -> dict[str, Any]:
        return self.__dict__.setdefault("specs", {})

    def post(self, pv: str, value: int, only: Any = None) -> None:
        self._posts += 1
        self.outbox.put(self.outbox.feed(self._spec(pv)), Post(self._posts, b"", (value,), 0, only))

    def received(self, budget: Budget | None = None) -> list[tuple[int, int]]:
        """Numbers of subscriptions and values."""
        got = []
        while self.outbox.is_ready:
            data = self.outbox.encode(budget or Budget(Turns(lambda: 0.0)))
            while data:
                size, number = struct.unpack(">2xH8xI", data[:16])
                got.append((number, struct.unpack(">i", data[16:20])[0]))
                data = data[16 + size :]
        return got

    # What an Outbox asks of its owner, and a subscription of its channel.

    def subscriptions_of(self, spec: Any) -> Subscriptions:
        return self._subs[spec.name]

    def passes(self, subscription: Any, metadata: Any, values: Any, flags: int) -> bool:
        return True

    def update_dropped(self) -> None:
        self.dropped += 1

    def update_failed(self, subscription: Any, error: Exception) -> None:
        self.failed += 1

    def feed(self, pv: str) -> Feed:
        return self.outbox.feed(self._spec(pv))

    def subscribe_response(self, **what: Any) -> Any:
        what["data_type"] = ca.ChannelType(what["data_type"])
        return ca.EventAddResponse(**what)


class _Spec(SimpleNamespace):
    def __init__(self, name: str, backlog: int, elements: int) -> None:
        super().__init__(
            name=name,
            channel_filter=NO_FILTER,
            db_entry=SimpleNamespace(max_subscription_backlog=backlog, max_length=elements),
        )

    def __hash__(self) -> int:
        return hash(self.name)


def client(backlog: int = 3, elements: int = 1) -> Client:
    made = Client(backlog, elements)

    class _Channel:
        subscribe = staticmethod(made.subscribe_response)

    original = made.subscribe

    def subscribe(pv: str, number: int, count: int = 0) -> Any:
        sub = original(pv, number, count)
        sub.channel = _Channel()
        return sub

    made.subscribe = subscribe  # type: ignore[method-assign]
    return made


def test_updates_come_in_the_order_in_which_they_were_posted() -> None:
    c = client()
    c.subscribe("a", 1)
    c.subscribe("b", 2)
    c.post("a", 10)
    c.post("b", 20)
    assert c.received() == [(1, 0), (2, 0), (1, 10), (2, 20)]


def test_of_too_many_the_newest_are_kept_in_their_places_and_the_others_counted() -> None:
    c = client(backlog=3)
    c.subscribe("a", 1)
    c.subscribe("b", 2)
    for value in range(1, 11):
        c.post("a", value)
    c.post("b", 20)
    assert c.received() == [(2, 0), (1, 8), (1, 9), (1, 10), (2, 20)]
    figures = c.feed("a").figures
    assert (figures.posts, figures.delivered, figures.dropped) == (11, 3, 8)
    assert c.dropped == 8


def test_every_subscription_of_a_pv_gets_its_updates_but_none_from_before_its_first() -> None:
    c = client(backlog=50)
    c.subscribe("a", 1)
    c.post("a", 10)
    c.subscribe("a", 2)
    c.post("a", 11)
    assert c.received() == [(1, 0), (1, 10), (2, 0), (1, 11), (2, 11)]


def test_an_update_of_many_subscriptions_goes_on_in_the_next_turn() -> None:
    c = client(backlog=50)
    for number in range(5):
        c.subscribe("a", number)
    c.post("a", 10)
    spent = Budget(Turns(lambda: 0.0))
    spent.charge(1.0)
    assert len(c.outbox.encode(spent)) == 24
    assert [number for number, value in c.received(spent) if value == 10] == [0, 1, 2, 3, 4]


def test_more_values_than_there_are_come_filled_up() -> None:
    c = client()
    c.subscribe("a", 1, count=3)
    size = len(c.outbox.encode(Budget(Turns())))
    assert size == 16 + 16


def test_while_a_client_has_its_updates_off_as_many_of_an_array_wait_as_its_pv_says() -> None:
    c = client(backlog=5, elements=100)
    c.subscribe("a", 1)
    c.outbox.hold(True)
    for value in range(1, 8):
        c.post("a", value)
    assert not c.outbox.is_ready
    assert c.received() == []
    c.outbox.hold(False)
    assert c.received() == [(1, value) for value in range(3, 8)]
    figures = c.feed("a").figures
    assert (figures.posts, figures.delivered, figures.merged, figures.dropped) == (8, 5, 0, 3)


def test_of_a_number_a_thousand_wait_and_those_that_come_until_they_are_read() -> None:
    c = client(backlog=5)
    c.subscribe("a", 1)
    c.outbox.hold(True)
    for value in range(1, 1002):
        c.post("a", value)
    assert not c.outbox.is_ready
    c.outbox.hold(False)
    c.post("a", 1002)
    assert c.received() == [(1, value) for value in range(3, 1003)]
    assert c.feed("a").figures.dropped == 3
    for value in range(20):
        c.post("a", value)
    assert c.received() == [(1, value) for value in range(15, 20)], "and then as before"


def test_what_became_of_the_updates_of_ended_subscriptions_is_not_forgotten() -> None:
    c = client()
    sub = c.subscribe("a", 1)
    c.received()
    c.post("a", 1)
    c.unsubscribe("a", sub)
    assert c.received() == []
    figures = c.outbox.figures
    assert (figures.posts, figures.delivered, figures.merged) == (2, 1, 1)


def test_a_client_that_never_reads_costs_no_more_than_what_is_kept() -> None:
    c = client(backlog=3)
    c.subscribe("a", 1)
    for value in range(100_000):
        c.post("a", value)
    assert len(c.outbox._line) < 2000
    assert [value for _, value in c.received()] == [99_997, 99_998, 99_999]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("post"), st.sampled_from("abc")),
            st.tuples(st.just("read"), st.just("")),
            st.tuples(st.sampled_from(["hold", "release"]), st.just("")),
        ),
        max_size=200,
    )
)
def test_posts_are_delivered_merged_dropped_or_wait_whatever_happens(steps) -> None:
    c = client(backlog=2)
    for number, pv in enumerate("abc"):
        c.subscribe(pv, number)
    got: list[tuple[int, int]] = []
    for value, (what, pv) in enumerate(steps, 1):
        match what:
            case "post":
                c.post(pv, value)
            case "read":
                got += c.received()
            case "hold" | "release":
                c.outbox.hold(what == "hold")
        for feed in c.outbox.feeds:
            figures = feed.figures
            assert figures.posts == (
                figures.delivered + figures.merged + figures.dropped + figures.waiting
            )
    c.outbox.hold(False)
    got += c.received()
    last = {pv: value for value, (what, pv) in enumerate(steps, 1) if what == "post"}
    for number, pv in enumerate("abc"):
        own = [value for sub, value in got if sub == number]
        assert own == sorted(own)
        assert own[-1] == last.get(pv, 0)  # the newest is never lost
    assert c.outbox.figures.waiting == 0
    assert len(got) == c.outbox.figures.delivered
