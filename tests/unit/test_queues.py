from __future__ import annotations

import asyncio

import pytest

from orchestrator.queues import EDGE_FIELDS, pull_queue, push_queue, request_queue
from orchestrator.types import Command, LinkChange, Reading, Reply, Update, Verb
from tests.doubles import run_virtual


def reading(channel: str, value: float) -> Reading:
    return Reading(channel, value, 0.0)


def take(queue, limit=1000):
    async def one():
        return await queue.batch(limit)

    return run_virtual(one())


def test_newer_reading_replaces_the_older_of_its_channel_and_is_counted():
    queue = pull_queue()
    for value in (1.0, 2.0, 3.0):
        queue.offer(reading("a", value))
    assert queue.figures.merged == 2
    assert queue.figures.total == 3
    assert take(queue) == [reading("a", 3.0)]


def test_what_was_merged_is_counted_on_where_an_integer_pv_ends():
    """Flat out it comes there in two days; how it is shown from then on the server decides."""
    queue = pull_queue()
    queue._merged = 2**31 - 1
    queue.offer(reading("a", 1.0))
    assert queue.figures.merged == 2**31 - 1
    queue.offer(reading("a", 2.0))
    assert queue.figures.merged == 2**31


def test_newer_reading_never_overtakes_its_own_disconnection():
    queue = pull_queue()
    lost = LinkChange("a", connected=False)
    for item in (reading("a", 1.0), lost, reading("a", 2.0)):
        queue.offer(item)
    assert take(queue) == [lost, reading("a", 2.0)]


def test_keep_all_channels_are_never_merged():
    queue = pull_queue(frozenset({"a"}))
    items = [reading("a", float(i)) for i in range(10)]
    for item in items:
        queue.offer(item)
    assert take(queue) == items
    assert queue.figures.merged == 0


def test_commands_and_links_are_never_merged():
    queue = pull_queue()
    items = [Command(Verb.PAUSE), Command(Verb.PAUSE), LinkChange("a", True), LinkChange("a", True)]
    for item in items:
        queue.offer(item)
    assert take(queue) == items


@pytest.mark.parametrize("field", sorted(EDGE_FIELDS))
def test_edges_are_never_merged(field):
    queue = push_queue()
    items = [Update(field, value) for value in (0, 1, 0)]
    for item in items:
        queue.offer(item)
    assert take(queue) == items


def test_updates_merge_by_field_and_key():
    queue = push_queue()
    for item in (Update("mon", 1.0, "a"), Update("mon", 2.0, "b"), Update("mon", 3.0, "a")):
        queue.offer(item)
    assert take(queue) == [Update("mon", 2.0, "b"), Update("mon", 3.0, "a")]


def test_replies_are_never_merged():
    queue = push_queue()
    items = [Reply(1), Reply(1, "no")]
    for item in items:
        queue.offer(item)
    assert take(queue) == items


def test_batch_is_bounded_and_in_order():
    queue = request_queue()
    for i in range(10):
        queue.offer(i)
    assert take(queue, 4) == [0, 1, 2, 3]
    assert take(queue, 4) == [4, 5, 6, 7]
    assert queue.figures.most == 10


def test_loop_over_a_full_queue_lets_other_tasks_run():
    async def main():
        queue = request_queue()
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for i in range(100):
            queue.offer(i)
        for _ in range(100):
            await queue.batch(1)
        task.cancel()
        return turns

    assert run_virtual(main()) >= 100


def test_idle_means_taken_and_wanting_more():
    async def main():
        queue, handled = request_queue(), []

        async def work():
            while True:
                for item in await queue.batch(1):
                    await asyncio.sleep(1)
                    handled.append(item)

        task = asyncio.create_task(work())
        for i in range(3):
            queue.offer(i)
        await queue.idle()
        task.cancel()
        return handled

    assert run_virtual(main()) == [0, 1, 2]


def mirrored(channel: str, value: float) -> Update:
    return Update("mon", value, channel)


def test_the_mirror_of_a_channel_that_keeps_all_keeps_all_on_the_way_to_clients_too():
    queue = push_queue(frozenset({"a"}))
    for value in range(3):
        queue.offer(mirrored("a", value))
        queue.offer(mirrored("b", value))
    assert [item.value for item in take(queue) if item.key == "a"] == [0, 1, 2]
    assert queue.figures.merged == 2


def test_what_is_kept_of_a_mirror_is_bounded_and_what_is_not_is_counted():
    queue = push_queue(frozenset({"a"}))
    for value in range(200_000):
        queue.offer(mirrored("a", value))
    figures = queue.figures
    assert figures.waiting <= 100_001
    assert figures.waiting + figures.merged == 200_000
    assert take(queue, 200_000)[-1].value == 199_999


def test_values_of_mirrors_that_were_merged_are_counted_apart():
    queue = push_queue()
    for value in range(3):
        queue.offer(mirrored("a", value))
        queue.offer(Update("chain_connected", value))
    assert (queue.figures.merged, queue.figures.merged_mirrors) == (4, 2)
