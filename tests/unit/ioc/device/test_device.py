"""Devices without PVs: their threads, told when to go on by events, never by time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from orchestrator.ioc import Device, DeviceError, Sample, Severity, WiringError
from orchestrator.ioc.device.device_items import (
    Done,
    Origin,
    Publication,
    PushItem,
    Recovery,
    Trouble,
)
from orchestrator.ioc.device.workers import Driver

LONG = 10.0
"""s after which a test has failed."""


class Pushed:
    """What a device pushes, taken as a group would."""

    def __init__(self, device: Device, *keep_all: str) -> None:
        self._device = device
        self._some = threading.Event()
        self.items: list[PushItem] = []
        device.attach([*"abc", "mean", "volts"], keep_all, self._some.set)
        device._home = -1  # not this thread's: it may be held back

    def until(self, done: Callable[[list[PushItem]], Any]) -> list[PushItem]:
        while not done(self.items):
            assert self._some.wait(LONG), self.items
            self._some.clear()
            for item in self._device.io_push_queue.take():
                if hasattr(item, "tell"):
                    item.tell()
                self.items.append(item)
        return self.items

    def values(self, key: str) -> list[Any]:
        return [
            item.sample.value
            for item in self.items
            if isinstance(item, Publication) and item.key == key
        ]


class Scripted(Device):
    """Acquires what it is given, when it is given it; an exception is raised."""

    period = 0.0
    retry_first = retry_most = 0.001

    def __init__(self) -> None:
        super().__init__()
        self.readings: queue.Queue[Any] = queue.Queue()
        self.calls: list[str] = []
        self.volts = 0.0

    def open(self) -> None:
        self.calls.append("open")

    def acquire(self) -> Any:
        reading = self.readings.get()
        if isinstance(reading, BaseException):
            raise reading
        return reading

    def close(self) -> None:
        self.calls.append("close")

    def interrupt(self) -> None:
        self.readings.put(None)

    def set_volts(self, volts: float) -> float:
        self.volts = volts
        self.publish(volts=volts)
        return volts / 2


class Processing(Scripted):
    def process(self, window: Any) -> dict[str, Any]:
        return {"mean": window.mean(), "a": len(window)}


@contextmanager
def running(device: Device) -> Iterator[Device]:
    device.start()
    try:
        yield device
    finally:
        assert device.stop(LONG)


def test_what_is_acquired_is_kept_oldest_first_and_processed() -> None:
    device = Processing()
    pushed = Pushed(device)
    with running(device):
        device.readings.put(1.0)
        device.readings.put([2.0, 3.0])
        pushed.until(lambda _items: 3 in pushed.values("a"))
    assert pushed.values("mean")[-1] == 2.0
    assert device.window().tolist() == [1.0, 2.0, 3.0]


def test_the_window_holds_the_newest_capacity_values() -> None:
    class Small(Scripted):
        capacity = 3

    device = Small()
    device.keep(np.arange(10))
    assert device.window().tolist() == [7, 8, 9]
    device.clear()
    assert len(device.window()) == 0


def test_what_was_acquired_before_a_clear_is_not_published_after_it() -> None:
    class Slow(Scripted):
        begun, go = threading.Event(), threading.Event()

        def process(self, window: Any) -> dict[str, Any]:
            self.begun.set()
            assert self.go.wait(LONG)
            return {"a": window[-1]}

    device = Slow()
    pushed = Pushed(device, "a")  # each, so that a newer one does not hide it
    with running(device):
        device.readings.put(1.0)
        assert device.begun.wait(LONG)
        device.clear()
        device.go.set()
        device.readings.put(2.0)
        pushed.until(lambda _items: 2.0 in pushed.values("a"))
    assert pushed.values("a") == [2.0]


def test_a_thread_that_publishes_faster_than_is_taken_waits_where_all_are_kept() -> None:
    device = Device()
    pushed = Pushed(device, "a")

    def publish() -> None:
        for number in range(2500):
            device.publish(a=number, b=number)

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join(0.2)  # it would have ended, had it not to wait
    pushed.until(lambda _items: len(pushed.values("a")) == 2500)
    thread.join(LONG)
    assert pushed.values("a") == list(range(2500))
    assert device.io_push_queue.figures.most <= 1001, "a thousand, and the newest of b"


def test_a_thread_that_waits_for_room_is_let_go_when_the_device_stops() -> None:
    device = Device()
    Pushed(device, "a")
    thread = threading.Thread(target=lambda: [device.publish(a=n) for n in range(1001)])
    thread.start()
    while len(device.io_push_queue) < 1000:
        device.wait(0.001)
    device.stop()
    thread.join(LONG)
    assert not thread.is_alive()


def test_nothing_acquired_is_not_processed() -> None:
    device = Processing()
    pushed = Pushed(device)
    with running(device):
        for reading in (None, 4.0):
            device.readings.put(reading)
        pushed.until(lambda _items: pushed.values("a"))
    assert pushed.values("a") == [1]


def test_a_put_is_handled_in_the_acquisition_thread_and_completes_after_what_it_published() -> None:
    device = Scripted()
    pushed = Pushed(device)
    threads = []

    def work() -> float:
        threads.append(threading.current_thread().name)
        return device.set_volts(6.0)

    with running(device):
        done = device.submit("volts", work)
        device.readings.put(None)
        pushed.until(lambda _items: done.done())
    assert done.result() == 3.0
    assert [type(item) for item in pushed.items] == [Publication, Done]
    assert pushed.values("volts") == [6.0]
    assert threads == ["Scripted acquisition"]


def test_with_separate_commands_a_put_does_not_wait_for_the_driver() -> None:
    class Both(Scripted):
        separate_commands = True

    device = Both()
    pushed = Pushed(device)
    with running(device):  # acquire blocks all the time
        first = device.submit("volts", lambda: 1)
        pushed.until(lambda _items: first.done())


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ValueError("too much"), ValueError),
        (SystemExit(3), DeviceError),
        (StopIteration(), DeviceError),
    ],
)
def test_a_put_fails_with_what_its_method_raises(raised: BaseException, told: type) -> None:
    def work() -> None:
        raise raised

    device = Scripted()
    pushed = Pushed(device)
    with running(device):
        done = device.submit("volts", work)
        device.readings.put(None)
        pushed.until(lambda _items: done.done())
        assert isinstance(done.exception(), told)
        again = device.submit("volts", lambda: 1)
        device.readings.put(None)
        pushed.until(lambda _items: again.done())
    assert again.result() == 1


def test_too_many_puts_that_wait_are_refused() -> None:
    device = Scripted()
    waiting = [device.submit("volts", lambda: 1) for _ in range(1001)]
    with pytest.raises(DeviceError, match="1000 puts waiting"):
        waiting[-1].result(0)
    assert not any(each.done() for each in waiting[:-1])


def test_puts_that_wait_when_it_stops_fail_and_so_do_later_ones() -> None:
    class Blocking(Scripted):
        inside = threading.Event()

        def acquire(self) -> Any:
            self.inside.set()
            return super().acquire()

    device = Blocking()
    device.start()
    assert device.inside.wait(LONG)  # until it stops: there is no reading
    waiting = device.submit("volts", lambda: 1)
    assert device.stop(LONG)
    for put in (waiting, device.submit("volts", lambda: 1)):
        with pytest.raises(DeviceError, match="stopped"):
            put.result(0)


@pytest.mark.parametrize("raised", [OSError("no answer"), SystemExit(1)])
def test_acquire_that_raises_is_told_reopened_and_called_again(raised: BaseException) -> None:
    device = Scripted()
    pushed = Pushed(device)
    with running(device):
        device.readings.put(raised)
        pushed.until(lambda items: items)
        device.readings.put(1.0)
        pushed.until(lambda items: len(items) == 2)
    trouble, recovery = pushed.items
    assert isinstance(trouble, Trouble)
    assert trouble.origin is Origin.ACQUIRE
    assert trouble.text.startswith(f"Scripted: acquire failed: {type(raised).__name__}: ")
    assert recovery == Recovery(Origin.ACQUIRE)
    assert device.calls == ["open", "close", "open", "close"]


def test_process_that_raises_is_told_and_called_again() -> None:
    class Dividing(Scripted):
        def process(self, window: Any) -> dict[str, Any]:
            return {"a": 1 / int(window[-1])}

    device = Dividing()
    pushed = Pushed(device)
    with running(device):
        device.readings.put(0)
        pushed.until(lambda items: items)
        device.readings.put(2)
        pushed.until(lambda items: len(items) == 3)
    assert "process failed: ZeroDivisionError" in pushed.items[0].text
    assert pushed.items[1:] == [pushed.items[1], Recovery(Origin.PROCESS)]
    assert pushed.values("a") == [0.5]


def test_a_reading_that_is_no_number_is_told() -> None:
    device = Scripted()
    pushed = Pushed(device)
    with running(device):
        for reading in ("much", np.zeros((2, 2))):
            device.readings.put(reading)
        pushed.until(lambda items: len(items) == 2)
    texts = [item.text for item in pushed.items if isinstance(item, Trouble)]
    assert "could not convert" in texts[0]
    assert "shape (2, 2)" in texts[1]


def test_a_key_that_no_pv_shows_is_an_error_with_the_nearest() -> None:
    device = Scripted()
    Pushed(device)
    with pytest.raises(WiringError, match="no PV shows 'maen'; did you mean 'mean'"):
        device.publish(maen=1)


def test_puts_are_refused_while_it_can_not_be_opened() -> None:
    class Absent(Scripted):
        retry_first = 60.0
        there = threading.Event()

        def open(self) -> None:
            raise ConnectionRefusedError("nobody there")

    device = Absent()
    pushed = Pushed(device)
    with running(device):
        pushed.until(lambda items: items)
        done = device.submit("volts", lambda: 1)
        pushed.until(lambda _items: done.done())
        with pytest.raises(DeviceError, match="not there: ConnectionRefusedError: nobody there"):
            done.result()
    assert "open failed: ConnectionRefusedError: nobody there" in pushed.items[0].text


def test_pauses_after_failures_grow_and_puts_are_handled_meanwhile() -> None:
    class Slow(Scripted):
        retry_first, retry_most = 1.0, 5.0

    device = Slow()
    now = [0.0]
    device.clock = lambda: now[0]
    driver = Driver(device, threading.Event())
    pauses = []
    for _ in range(5):
        device.readings.put(OSError("gone"))
        pauses.append(driver.turn())
        put = device.submit("volts", lambda: 1)
        assert driver.turn() == pauses[-1]
        assert put.result(0) == 1
        now[0] += pauses[-1] or 0
    assert pauses == [1, 2, 4, 5, 5]
    device.readings.put(1.0)
    driver.turn()
    assert device.acquired == 1


def test_acquisition_keeps_step_and_does_not_make_up_for_what_was_missed() -> None:
    class Stepping(Device):
        period = 1.0
        took = 0.25

        def acquire(self) -> float:
            now[0] += self.took
            return now[0]

    now = [100.0]
    device = Stepping()
    device.clock = lambda: now[0]
    driver = Driver(device, threading.Event())
    assert driver.turn() == 0.75
    now[0] += 0.85  # woken late
    assert driver.turn() == pytest.approx(0.65)
    device.took = 3.5
    now[0] += 0.65
    assert driver.turn() < 0  # at once, once
    device.took = 0.25
    assert driver.turn() == 0.75


def test_a_period_that_is_no_number_does_not_end_the_thread() -> None:
    device = Scripted()
    pushed = Pushed(device)
    with running(device):
        device.period = "fast"
        device.readings.put(1.0)
        pushed.until(lambda items: items)
        assert "TypeError" in pushed.items[0].text
        device.period = 0.0
        device.nudge()
        device.readings.put(2.0)
        pushed.until(lambda items: Recovery(Origin.ACQUIRE) in items)


def test_a_stopped_acquisition_goes_on_when_told() -> None:
    device = Scripted()
    device.acquiring = False
    device.readings.put(1.0)
    pushed = Pushed(device)
    with running(device):

        def go() -> None:
            assert device.acquired == 0
            device.acquiring = True

        done = device.submit("volts", go)
        pushed.until(lambda _items: done.done())
        assert done.exception() is None
        device.readings.put(2.0)
        while device.acquired < 2:
            device.wait(0.001)


def test_a_hundred_thousand_publications_of_one_key_take_the_place_of_one() -> None:
    device = Scripted()
    Pushed(device)
    for number in range(100_000):
        device.publish(a=number)
    figures = device.io_push_queue.figures
    assert (figures.waiting, figures.most, figures.merged) == (1, 1, 99_999)


def test_a_publisher_of_what_is_all_kept_is_held_back_and_loses_nothing() -> None:
    device = Scripted()
    pushed = Pushed(device, "a")
    thread = threading.Thread(target=lambda: [device.publish(a=number) for number in range(5000)])
    thread.start()
    pushed.until(lambda items: len(items) == 5000)
    thread.join()
    assert pushed.values("a") == list(range(5000))
    assert device.io_push_queue.figures.most <= 1000


def test_a_publisher_that_is_held_back_goes_on_when_the_device_stops() -> None:
    device = Scripted()
    Pushed(device, "a")
    thread = threading.Thread(target=lambda: [device.publish(a=number) for number in range(1001)])
    thread.start()
    while len(device.io_push_queue) < 1000:
        device.wait(0.001)
    device.stop(LONG)
    thread.join(LONG)
    assert not thread.is_alive()


def test_an_array_is_published_as_it_was() -> None:
    device = Scripted()
    pushed = Pushed(device, "a")
    trace = np.zeros(3)
    device.publish(a=trace, b=Sample([1, 2], severity=Severity.MINOR))
    trace[:] = 7
    pushed.until(lambda items: len(items) == 2)
    assert pushed.values("a")[0].tolist() == [0, 0, 0]
    assert pushed.values("b") == [(1, 2)]


def test_a_driver_that_blocks_does_not_hold_up_the_stop() -> None:
    class Stuck(Device):
        blocked, go = threading.Event(), threading.Event()

        def acquire(self) -> None:
            self.blocked.set()
            self.go.wait(LONG)

    device = Stuck()
    device.start()
    assert device.blocked.wait(LONG)
    assert not device.stop(0.01)
    device.go.set()
    assert device.stop(LONG)


def test_twenty_starts_and_stops_leave_no_thread() -> None:
    before = threading.active_count()
    device = Processing()
    for _ in range(20):
        device.start()
        device.readings.put(1.0)
        assert device.stop(LONG)
    assert threading.active_count() == before
    assert device.calls == ["open", "close"] * 20
