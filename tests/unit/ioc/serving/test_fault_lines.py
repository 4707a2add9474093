"""The lines in which an IOC is told what to suffer from, and the line that delays what it sends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from orchestrator.errors import InputError
from orchestrator.faults import Clear, Delay, Fault, ForceAlarm, Lines, RefuseWrites, parse_fault
from orchestrator.faults import reply as reply_to
from orchestrator.ioc.serving.delay_line import MOST_HELD_BYTES, DelayLine
from orchestrator.types import Severity
from tests.doubles import run_virtual


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"fault": "delay", "seconds": 0.5}', Delay(0.5)),
        ('{"fault": "delay", "seconds": 0}', Delay(0)),
        ('{"fault": "refuse_writes", "on": true}', RefuseWrites(True)),
        ('{"pv": "A:B", "severity": "MAJOR", "fault": "alarm"}', ForceAlarm("A:B", Severity.MAJOR)),
        ('{"fault": "clear"}', Clear()),
    ],
)
def test_a_line_names_a_fault_and_what_it_takes(line: str, fault: Fault) -> None:
    assert parse_fault(line) == fault


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("delay 0.5", "not a line of JSON"),
        ("[" * 100_000, "not a line of JSON"),
        ("[1]", 'expected {"fault": NAME'),
        ('{"fault": 1}', 'expected {"fault": NAME'),
        ('{"fault": "dealy"}', "no fault 'dealy'; did you mean 'delay'"),
        ('{"fault": "x"}', "there are delay, refuse_writes, alarm, clear"),
        ('{"fault": "delay"}', "delay takes seconds: got nothing more"),
        ('{"fault": "clear", "all": 1}', "clear takes nothing more: got all"),
        ('{"fault": "delay", "seconds": "1"}', "from 0 to 3600: '1'"),
        ('{"fault": "delay", "seconds": true}', "from 0 to 3600: True"),
        ('{"fault": "delay", "seconds": -1}', "from 0 to 3600: -1"),
        ('{"fault": "delay", "seconds": NaN}', "from 0 to 3600: nan"),
        ('{"fault": "refuse_writes", "on": 1}', "on is true or false: 1"),
        ('{"fault": "alarm", "pv": "", "severity": "MAJOR"}', "full name of a PV"),
        ('{"fault": "alarm", "pv": "A", "severity": "MAJRO"}', "did you mean 'MAJOR'"),
        ('{"fault": "alarm", "pv": "A", "severity": 2}', "no severity 2"),
    ],
)
def test_any_other_line_is_an_error_that_says_what_it_takes(line: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_fault(line)
    assert says in str(caught.value)


def test_lines_are_put_together_from_what_comes_and_an_endless_one_is_given_up() -> None:
    lines = Lines()
    assert list(lines.take(b'{"a')) == []
    assert list(lines.take(b'": 1}\n\n  \n{"b"')) == ['{"a": 1}']
    assert list(lines.take(b": 2}\r\n\xff\n")) == ['{"b": 2}', "\ufffd"]
    assert [len(line) for line in lines.take(b"x" * 20_000)] == [20_000]
    assert list(lines.take(b"y\n")) == ["y"]


async def test_a_line_is_answered_by_one_line_whatever_is_said_of_it() -> None:
    async def obey(fault: Fault) -> None:
        if fault != Clear():
            raise InputError("two\nlines")

    assert await reply_to('{"fault": "clear"}', obey) == "FAULT ok"
    assert await reply_to('{"fault": "delay", "seconds": 1}', obey) == "FAULT error: two lines"
    assert (await reply_to("nonsense", obey)).startswith("FAULT error: not a line of JSON")


class Sent:
    """Where a delay line sends to: what came, and when."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []

    async def __call__(self, data: bytes) -> None:
        await asyncio.sleep(0)
        self.pieces.append((asyncio.get_running_loop().time() - self.began, data))

    async def through(self, line: DelayLine) -> asyncio.Task[None]:
        self.began = asyncio.get_running_loop().time()
        return asyncio.create_task(line.run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_each_piece_comes_in_order_and_as_late_as_it_is_told() -> None:
    async def main() -> list[tuple[float, bytes]]:
        sent = Sent()
        line = DelayLine(sent, 2.0)
        task = await sent.through(line)
        for piece in (b"a", b"b", b"c"):
            await line.put(piece)
            await asyncio.sleep(0.5)
        await asyncio.sleep(5)
        await ended(task)
        return sent.pieces

    pieces = run_virtual(main())
    assert [data for _, data in pieces] == [b"a", b"b", b"c"]
    assert [when for when, _ in pieces] == pytest.approx([2.0, 2.5, 3.0])


def test_the_end_of_the_delay_sends_all_that_is_held_at_once_and_nothing_overtakes_it() -> None:
    async def main() -> list[tuple[float, bytes]]:
        sent = Sent()
        line = DelayLine(sent, 100.0)
        task = await sent.through(line)
        for piece in (b"a", b"b"):
            await line.put(piece)
        await asyncio.sleep(1)
        line.seconds = 0
        await line.put(b"c")
        await asyncio.sleep(1)
        await line.put(b"d")
        await ended(task)
        return sent.pieces

    pieces = run_virtual(main())
    assert [data for _, data in pieces] == [b"a", b"b", b"c", b"d"]
    assert [when for when, _ in pieces] == pytest.approx([1, 1, 1, 2])


def test_a_shorter_delay_counts_for_what_is_held_already() -> None:
    async def main() -> list[tuple[float, bytes]]:
        sent = Sent()
        line = DelayLine(sent, 100.0)
        task = await sent.through(line)
        await line.put(b"a")
        await asyncio.sleep(1)
        line.seconds = 3
        await asyncio.sleep(10)
        await ended(task)
        return sent.pieces

    assert run_virtual(main()) == [(pytest.approx(3), b"a")]


def test_who_sends_more_than_can_be_held_waits_until_there_is_room() -> None:
    async def main() -> float:
        sent = Sent()
        line = DelayLine(sent, 7.0)
        task = await sent.through(line)
        await line.put(bytes(MOST_HELD_BYTES))
        await line.put(b"b")
        waited = asyncio.get_running_loop().time() - sent.began
        await ended(task)
        return waited

    assert run_virtual(main()) == pytest.approx(7)
