"""Lines whose reader stands still: nobody who writes waits, and what was lost is told."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.cli.local.event_lines import event_lines
from orchestrator.line_writer import LineWriter, spare
from orchestrator.types import Told

LINE = "x" * 99 + "\n"


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads unless told to."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def told(count: int) -> str:
    return f"{count} dropped\n"


def read_until(reader: int, end: bytes) -> str:
    text = b""
    while not text.endswith(b"\n") or end not in text:
        text += os.read(reader, 65536)
    return text.decode()


def stands_still(writer: LineWriter) -> None:
    """Until the thread waits in a write: then only what is offered from here on is dropped."""
    until = time.monotonic() + 10
    while writer._waiting > 0 and time.monotonic() < until:
        time.sleep(0.001)


def test_lines_arrive_in_their_order_and_all_of_them() -> None:
    with pipe() as (reader, fd):
        writer = LineWriter(fd, told)
        for number in range(20):
            writer.offer(f"{number}\n")
        assert writer.close(10)
        assert os.read(reader, 4096).decode().split() == [str(n) for n in range(20)]


def test_who_writes_never_waits_and_the_reader_who_is_back_learns_what_was_dropped() -> None:
    with pipe() as (reader, fd):
        writer = LineWriter(fd, told, most_waiting=8000)
        began = time.thread_time()
        for _ in range(1000):
            writer.offer(LINE)
        assert time.thread_time() - began < 1
        accounted = 0  # told more than once where the thread has taken some between
        while accounted < 1000:
            for line in read_until(reader, b"\n").splitlines():
                accounted += (
                    int(line.split()[0]) if line.endswith("dropped") else line == LINE.strip()
                )
        assert accounted == 1000
        writer.offer("later\n")
        assert read_until(reader, b"later\n") == "later\n"
        assert writer.close(10)


def test_what_was_dropped_is_told_at_the_place_where_it_is_missing() -> None:
    with pipe() as (reader, fd):
        writer = LineWriter(fd, told, most_waiting=len(LINE))
        os.write(fd, b"." * 4096)  # full
        writer.offer(LINE)
        stands_still(writer)
        writer.offer("before\n".rjust(100))
        writer.offer("dropped?\n")
        text = read_until(reader, b"before\n")
        writer.offer("behind\n")
        if b"behind" not in text.encode():
            text += read_until(reader, b"behind\n")
        assert text.endswith("before\n1 dropped\nbehind\n")
        assert writer.close(10)


def test_the_end_is_not_held_up_by_a_reader_who_never_comes_back() -> None:
    reader, fd = os.pipe()
    writer = LineWriter(fd, told)
    for _ in range(2000):
        writer.offer(LINE)
    began = time.monotonic()
    assert not writer.close(0.05)
    assert time.monotonic() - began < 5
    spare(fd)
    os.write(fd, b"x" * 100_000)  # to nobody: it does not wait
    os.close(reader)  # lets the thread of this test go
    assert writer.close(10)
    os.close(fd)


def test_nothing_is_spared_whose_reader_reads() -> None:
    with pipe() as (reader, fd):
        spare(fd)
        os.write(fd, b"x")
        assert os.read(reader, 10) == b"x"


def test_a_file_that_does_not_wait_is_waited_for_by_the_thread() -> None:
    """Whoever shares a terminal may have set it O_NONBLOCK."""
    with pipe() as (reader, fd):
        os.set_blocking(fd, False)
        writer = LineWriter(fd, told)
        for _ in range(100):
            writer.offer(LINE)
        text = b""
        while len(text) < 100 * len(LINE):
            text += os.read(reader, 65536)
        assert text.decode() == LINE * 100
        assert writer.close(10)


def test_a_reader_who_has_gone_is_told_once() -> None:
    failures: list[OSError] = []
    reader, fd = os.pipe()
    os.close(reader)
    writer = LineWriter(fd, told, failures.append)
    writer.offer(LINE)
    writer.offer(LINE)
    assert writer.close(10)
    writer.offer(LINE)
    os.close(fd)
    assert len(failures) == 1


def test_lines_of_many_threads_stay_whole() -> None:
    with pipe() as (reader, fd):
        writer = LineWriter(fd, told)
        threads = [
            threading.Thread(target=lambda: [writer.offer(LINE) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        text = b""
        while len(text) < 200 * len(LINE):
            text += os.read(reader, 65536)
        for thread in threads:
            thread.join()
        assert text.decode() == LINE * 200
        assert writer.close(10)


def test_a_pipe_that_nobody_has_opened_yet_does_not_hold_the_service_up(tmp_path: Path) -> None:
    fifo = tmp_path / "events"
    os.mkfifo(fifo)
    with event_lines(fifo) as lines:
        lines.take(Told("early"))
        reader = os.open(fifo, os.O_RDONLY)
        assert json.loads(read_until(reader, b"\n"))["text"] == "early"
        os.close(reader)
        lines.take(Told("to nobody"))
        again = os.open(fifo, os.O_RDONLY)
        assert json.loads(read_until(again, b"\n"))["text"] == "to nobody"
        os.close(again)


def test_events_whose_reader_stood_still_are_counted(tmp_path: Path) -> None:
    fifo = tmp_path / "events"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with event_lines(fifo) as lines:
        for _ in range(6000):
            lines.take(Told("x" * 1000))
        events = [json.loads(line) for line in read_until(reader, b'"dropped"').splitlines()[:-1]]
    assert 0 < len(events) < 6000
    os.close(reader)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    logging.captureWarnings(capture=False)
