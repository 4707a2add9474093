from __future__ import annotations

import threading

from orchestrator.ioc import ThreadQueue


def by_letter(item: str) -> str | None:
    """Items are a letter and a number; those of `k` are all kept."""
    return None if item[0] == "k" else item[0]


def test_a_newer_item_replaces_the_older_of_its_key_and_stands_at_the_back() -> None:
    queue = ThreadQueue(by_letter)
    for item in ("a1", "b1", "a2"):
        queue.offer(item)
    assert queue.take() == ["b1", "a2"]
    assert (queue.figures.merged, queue.figures.total, queue.figures.most) == (1, 3, 2)


def test_items_without_a_key_are_never_merged() -> None:
    queue = ThreadQueue(by_letter)
    items = [f"k{number}" for number in range(100)]
    for item in items:
        queue.offer(item)
    assert queue.take() == items
    assert queue.figures.merged == 0


def test_what_is_taken_is_bounded_and_in_order() -> None:
    queue = ThreadQueue(by_letter)
    for number in range(5):
        queue.offer(f"k{number}")
    assert queue.take(2) == ["k0", "k1"]
    assert len(queue) == 3
    assert queue.take(10) == ["k2", "k3", "k4"]
    assert queue.take() == []


def test_who_takes_is_woken_once_a_batch_not_once_an_item() -> None:
    queue, woken = ThreadQueue(by_letter), []
    queue.on_first(lambda: woken.append(len(queue)))
    for _ in range(3):
        for number in range(10):
            queue.offer(f"k{number}")
        queue.take()
    assert woken == [1, 1, 1]


def test_what_waits_when_somebody_comes_to_take_wakes_them_at_once() -> None:
    queue, woken = ThreadQueue(by_letter), []
    queue.offer("a1")
    queue.on_first(lambda: woken.append(len(queue)))
    assert woken == [1]


def test_a_full_queue_refuses_where_asked_to() -> None:
    queue = ThreadQueue(by_letter)
    assert [queue.offer_or_refuse(f"k{number}", most=2) for number in range(3)] == [
        True,
        True,
        False,
    ]
    assert queue.take() == ["k0", "k1"]


def test_who_waits_for_room_goes_on_when_something_was_taken() -> None:
    queue, went_on = ThreadQueue(by_letter), threading.Event()
    queue.offer("k0")

    def fill() -> None:
        queue.wait_for_room(1, lambda: False)
        went_on.set()

    thread = threading.Thread(target=fill)
    thread.start()
    assert not went_on.is_set()
    queue.take()
    assert went_on.wait(5)
    thread.join()


def test_who_waits_for_room_can_give_up() -> None:
    queue, stop = ThreadQueue(by_letter), threading.Event()
    queue.offer("k0")
    thread = threading.Thread(target=queue.wait_for_room, args=(1, stop.is_set))
    thread.start()
    stop.set()
    queue.look_again()
    thread.join(5)
    assert not thread.is_alive()


def test_offers_of_many_threads_are_neither_lost_nor_doubled() -> None:
    queue: ThreadQueue[tuple[int, int]] = ThreadQueue(lambda _item: None)
    some = threading.Event()
    queue.on_first(some.set)

    def offer(who: int) -> None:
        for number in range(2000):
            queue.offer((who, number))

    threads = [threading.Thread(target=offer, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    got: list[tuple[int, int]] = []
    while len(got) < 8000:
        assert some.wait(10)
        some.clear()
        got += queue.take()
    for thread in threads:
        thread.join()
    for who in range(4):
        assert [number for at, number in got if at == who] == list(range(2000))
