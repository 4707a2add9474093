"""What get, put, monitor and info make of what libca says, on the stand-in for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.client.command_line import get_values, info, monitor, put_values
from orchestrator.client.libca import libca_log
from orchestrator.client.libca.libca_log import refusals
from orchestrator.config import ChannelConfig
from orchestrator.errors import NotConnectedError, PutError, ReadError, StepTimeoutError
from orchestrator.types import LinkChange, NativeType, Reading
from tests.doubles import run_virtual
from tests.unit.client.fake_libca import FakeCa, replace_context, served, until

_PUT_FAILED = 160  # ECA_PUTFAIL of caerr.h


@pytest.fixture(autouse=True)
def _no_context(monkeypatch: pytest.MonkeyPatch, ca: FakeCa) -> None:
    replace_context(monkeypatch, ca)


KINDS = [
    (NativeType.DOUBLE, "2.5", 2.5),
    (NativeType.LONG, "-7", -7),
    (NativeType.ENUM, "Open", 1),
    (NativeType.ENUM, "1", 1),
]


@pytest.mark.parametrize(("native", "text", "value"), KINDS)
@pytest.mark.parametrize("completion", [True, False])
def test_a_put_writes_the_text_as_the_channel_understands_it_and_reads_it_back(
    ca: FakeCa, native, text, value, completion
) -> None:
    channel = served(ca, native=native, labels=("Closed", "Open") if native == 3 else ())
    [answer] = run_virtual(put_values({"A:X": text}, completion=completion))
    assert answer.error is None
    assert answer.reading is not None
    assert answer.reading.value == value
    assert [how for *_, how in channel.puts] == [completion]
    assert ca.subscriptions == {}


def test_nothing_is_written_unless_all_of_it_is_understood(ca: FakeCa) -> None:
    good, bad = served(ca), served(ca, "A:Y", native=NativeType.LONG)
    one, two = run_virtual(put_values({"A:X": "1", "A:Y": "one"}))
    assert (good.puts, bad.puts) == ([], [])
    assert isinstance(two.error, PutError)
    assert str(one.error) == "A:X: not written, as A:Y can't be"


def test_nothing_is_written_unless_all_are_there(ca: FakeCa) -> None:
    good = served(ca)
    one, two = run_virtual(put_values({"A:X": "1", "A:GONE": "1"}, timeout=2))
    assert good.puts == []
    assert isinstance(two.error, NotConnectedError)
    assert "A:GONE did not connect within 2 s" in str(two.error)
    assert isinstance(one.error, PutError)


def test_a_refusal_of_a_put_without_callback_is_told_by_the_alarm_that_it_leaves(
    ca: FakeCa,
) -> None:
    served(ca, refuses=_PUT_FAILED, value=1.0)
    [answer] = run_virtual(put_values({"A:X": "5"}, completion=False))
    assert str(answer.error) == "A:X: refused by the IOC"
    assert answer.reading is not None
    assert answer.reading.value == 1.0


@pytest.mark.parametrize(("severity", "status"), [(1, 2), (2, 3), (3, 17), (0, 0)])
def test_another_alarm_is_no_refusal(ca: FakeCa, severity, status) -> None:
    served(ca, severity=severity, status=status)
    [answer] = run_virtual(put_values({"A:X": "5"}, completion=False))
    assert answer.error is None


def test_a_refusal_that_libca_tells_is_told_with_its_reason(ca: FakeCa) -> None:
    def told() -> None:
        assert libca_log._refused is not None
        libca_log._refused["A:X"] = "not in this state"

    served(ca, on_put=told)
    [answer] = run_virtual(put_values({"A:X": "5"}, completion=False))
    assert str(answer.error) == "A:X: refused by the IOC: not in this state"


def test_refusals_go_to_the_log_again_behind_the_command() -> None:
    with refusals() as found:
        assert libca_log._refused is found
    assert libca_log._refused is None


def test_a_refusal_beyond_the_limits_says_so(ca: FakeCa) -> None:
    served(ca, refuses=_PUT_FAILED, limits=(-1.0, 1.0))
    [answer] = run_virtual(put_values({"A:X": "5"}, completion=True))
    assert isinstance(answer.error, PutError)
    assert "-1 … 1" in str(answer.error)
    assert str(answer.error).endswith("; refused by the IOC")


def test_values_are_read_each_by_itself_in_the_order_asked(ca: FakeCa) -> None:
    served(ca, "A:ONE", value=1.5)
    served(ca, "A:MUTE").auto = False
    served(ca, "A:TWO", value=2, native=NativeType.LONG)
    ca.channel("A:GONE")
    names = ["A:TWO", "A:MUTE", "A:GONE", "A:ONE"]
    answers = run_virtual(get_values(names, timeout=3))
    assert [answer.name for answer in answers] == names
    values = [a.reading and a.reading.value for a in answers]
    assert values == [2, None, None, 1.5]
    assert [type(a.error) for a in answers] == [
        type(None),
        StepTimeoutError,
        NotConnectedError,
        type(None),
    ]
    assert ca.subscriptions == {}


def test_what_nobody_may_read_is_an_error_of_its_channel_alone(ca: FakeCa) -> None:
    channel = served(ca, readable=False)

    async def main() -> Any:
        task = asyncio.create_task(get_values(["A:X"], timeout=3), name="get")
        channel.auto = False
        await until(lambda: channel.asked)
        channel.answer(0.0, status=368)  # ECA_NORDACCESS
        return await task

    [answer] = run_virtual(main())
    assert isinstance(answer.error, ReadError)
    assert "the server lets us not read it" in str(answer.error)


def test_info_asks_for_no_value_and_tells_what_the_server_says(ca: FakeCa) -> None:
    served(ca, units=b"deg", limits=(-2.0, 2.0), writable=False)
    [answer] = run_virtual(info(["A:X"]))
    assert answer.metadata is not None
    assert (answer.metadata.units, answer.metadata.control.high) == ("deg", 2.0)
    assert (answer.metadata.writable, answer.reading) == (False, None)


def test_an_alias_is_asked_by_its_pv_and_told_by_its_name(ca: FakeCa) -> None:
    served(ca, value=4.0)
    channels = {"a.x": ChannelConfig("a.x", "A:X")}
    [answer] = run_virtual(get_values(["a.x"], channels=channels))
    assert (answer.name, answer.pv) == ("a.x", "A:X")


def test_monitor_tells_connection_values_loss_and_what_is_missing(ca: FakeCa) -> None:
    channel = served(ca)

    async def main() -> list[Any]:
        told: list[Any] = []
        async with monitor(["A:X", "A:GONE"], timeout=2) as reports:
            loop = asyncio.get_running_loop()
            loop.call_later(1, channel.post, 3.0)
            loop.call_later(3, channel.post, 4.0)
            loop.call_later(4, channel.lose)
            async for report in reports:
                if isinstance(report, Reading):
                    told.append(report.value)
                else:
                    assert isinstance(report, LinkChange)
                    told.append((report.channel, report.connected))
                if told[-1] == ("A:X", False):
                    return told
        raise AssertionError

    assert run_virtual(main()) == [
        ("A:X", True),
        0.0,
        3.0,
        ("A:GONE", False),
        4.0,
        ("A:X", False),
    ]
    assert ca.subscriptions == {}


@pytest.mark.parametrize(("text", "code"), [("A", 65), ("", 0)])
def test_a_text_of_one_element_stays_a_text_both_ways(ca: FakeCa, text, code) -> None:
    channel = served(ca, native=NativeType.CHAR, value=code)
    channels = {"a.t": ChannelConfig("a.t", "A:X", text=True)}
    [answer] = run_virtual(get_values(["a.t"], channels=channels))
    assert answer.reading is not None
    assert answer.reading.value == text
    [answer] = run_virtual(put_values({"a.t": text}, channels=channels))
    assert answer.error is None
    assert channel.puts[0][0] == NativeType.CHAR
    assert channel.puts[0][2][:1] == bytes([code])
