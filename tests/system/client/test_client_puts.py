"""Puts and gets, on C records and on caproto's PVs."""

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from client_iocs import Ioc, Victim, client_of, until

from orchestrator.errors import NotConnectedError, PutError, ReadError, StepTimeoutError
from orchestrator.types import Reading

Q = {"completion": True, "timeout": 5}


async def test_completion_comes_when_the_record_has_processed(c_ioc: Ioc) -> None:
    """A put-callback on a C record waits for what it started (calcout's ODLY, 0.3 s)."""
    client, _ = client_of(c_ioc.channel("SLOW.A"), c_ioc.channel("DONE"))
    async with client:
        await client.connect(["t.slow.a", "t.done"], 5)
        begin = time.monotonic()
        await client.put("t.slow.a", 1.0, **Q)
        assert time.monotonic() - begin > 0.29
        assert (await client.get(["t.done"], 5))["t.done"].value == 1
        assert client.outstanding("t.slow.a") is None


async def test_a_put_without_completion_does_not_wait(c_ioc: Ioc) -> None:
    """It has returned before what the record has started is done (calcout's ODLY)."""
    client, taken = client_of(*(c_ioc.channel(name) for name in ("SLOW.A", "SLOW.ODLY", "DONE")))
    async with client:
        await client.connect(["t.slow.a", "t.slow.odly", "t.done"], 5)
        await client.put("t.slow.odly", 2.0, **Q)
        await client.put("t.slow.a", 2.0, completion=False, timeout=5)
        assert (await client.get(["t.done"], 5))["t.done"].value != 2
        await until(lambda: taken.readings("t.slow.a")[-1].value == 2)
        await until(lambda: taken.readings("t.done")[-1].value == 2)
        await client.put("t.slow.odly", 0.3, **Q)


@pytest.mark.parametrize(
    ("suffix", "value", "back"),
    [
        ("Y", 2, 2.0),
        ("Y", "3.5", 3.5),
        ("N", -8, -8),
        ("N", 9.0, 9),
        ("MODE", 2, 2),
        ("MODE", "Off", 0),
        ("NAME", "ü" * 19 + "x", "ü" * 19 + "x"),
        ("TEXT", "long text " * 30, "long text " * 30),
        ("TEXT", "", ""),
        ("TEXT", "x" * 400, "x" * 400),
        ("STRINGS", ("a", "", "bé"), ("a", "", "bé")),
        ("STRINGS", ("", ""), ("", "")),
        ("WAVE", np.array([1.0, 2.0]), [1, 2]),
        ("WAVE", np.array([1, 2, 3]), [1, 2, 3]),
        ("SHORTS", np.array([1.0, -2.0]), [1, -2]),
        ("SHORTS", 5, [5]),
    ],
)
async def test_a_value_written_to_a_record_reads_back(
    c_ioc: Ioc, suffix: str, value: Any, back: Any
) -> None:
    channel = c_ioc.channel(suffix, text=suffix == "TEXT")
    client, _ = client_of(channel)
    async with client:
        await client.connect([channel.name], 5)
        await client.put(channel.name, value, **Q)
        reading = (await client.get([channel.name], 5))[channel.name]
    assert isinstance(reading, Reading)
    got = reading.value.tolist() if isinstance(reading.value, np.ndarray) else reading.value
    assert got == back


@pytest.mark.parametrize(
    ("suffix", "value", "back"),
    [
        ("Y", 2.5, 2.5),
        ("MODE", 2, 2),
        ("NAME", "x" * 39, "x" * 39),
        ("TEXT", "long text " * 30, "long text " * 30),
        ("WAVE", np.array([4.0, 5.0]), [4, 5]),
    ],
)
async def test_a_value_written_to_a_caproto_pv_reads_back(
    py_ioc: Ioc, suffix: str, value: Any, back: Any
) -> None:
    await test_a_value_written_to_a_record_reads_back(py_ioc, suffix, value, back)


@pytest.mark.parametrize(
    ("suffix", "value", "message"),
    [
        ("RO", 1.0, "no write access, 1.0 was to be written"),
        ("N", 1.5, "1.5 was to be written, it takes whole numbers only"),
        ("N", 2**31, "2147483648 was to be written, it takes -2147483648 to 2147483647"),
        ("MODE", -1, "-1 was to be written, it takes 0 to 65535"),
        ("NAME", "é" * 20, "the text has 40 bytes, DBR_STRING takes at most 39"),
        ("TEXT", "x" * 401, "the text has 401 bytes, it takes at most 400"),
        ("WAVE", np.zeros(1001), "1001 elements were to be written, it takes at most 1000"),
        ("Y", np.array(["a"]), "1 elements can't be written: could not convert string to float"),
        ("STRINGS", ("",) * 5, "5 elements were to be written, it takes at most 4"),
        ("Y", "not a number", "the put of 'not a number' failed: Channel write request failed"),
    ],
)
async def test_a_refused_value_is_an_error_that_names_pv_and_value(
    c_ioc: Ioc, suffix: str, value: Any, message: str
) -> None:
    client, _ = client_of(c_ioc.channel(suffix))
    name = f"t.{suffix.lower()}"
    async with client:
        await client.connect([name], 5)
        before = (await client.get([name], 5))[name]
        with pytest.raises(PutError) as error:
            await client.put(name, value, **Q)
        after = (await client.get([name], 5))[name]
    assert str(error.value).startswith(f"{name} ({c_ioc.prefix}{suffix}): {message}")
    assert np.array_equal(before.value, after.value)


async def test_a_putter_that_raises_fails_the_put(py_ioc: Ioc) -> None:
    """caproto answers a put-callback whose putter raised with ECA_PUTFAIL."""
    client, _ = client_of(py_ioc.channel("PICKY"))
    async with client:
        await client.connect(["t.picky"], 5)
        with pytest.raises(PutError, match=r"the put of 1.0 failed: Channel write request failed"):
            await client.put("t.picky", 1.0, **Q)
        assert client.outstanding("t.picky") is None


async def test_a_pv_that_is_not_there_is_not_connected(c_ioc: Ioc) -> None:
    client, _ = client_of()
    async with client:
        with pytest.raises(NotConnectedError, match=r"^NO:SUCH:PV is not connected$"):
            await client.put("NO:SUCH:PV", 1.0, **Q)


async def test_a_late_completion_never_satisfies_a_newer_put(py_ioc: Ioc) -> None:
    """caproto runs two puts to one PV at the same time: nobody but we keeps them apart."""
    client, _ = client_of(py_ioc.channel("SLOW"), py_ioc.channel("MOST"), py_ioc.channel("RUNNING"))
    loop = asyncio.get_running_loop()
    async with client:
        await client.connect(["t.slow", "t.most", "t.running"], 5)
        await client.put("t.most", 0, **Q)
        begin = loop.time()
        with pytest.raises(StepTimeoutError, match=r"put of 0.6 did not complete within 0.1 s"):
            await client.put("t.slow", 0.6, completion=True, timeout=0.1)
        assert 0.05 < client.outstanding("t.slow") <= loop.time() - begin
        await client.put("t.slow", 0.3, **Q)
        assert loop.time() - begin > 0.85
        most = (await client.get(["t.most"], 5))["t.most"].value
    assert most == 1


async def test_a_put_behind_an_orphan_times_out_and_was_never_sent(py_ioc: Ioc) -> None:
    client, _ = client_of(py_ioc.channel("SLOW"), py_ioc.channel("BEGUN"))
    async with client:
        await client.connect(["t.slow", "t.begun"], 5)
        with pytest.raises(StepTimeoutError):
            await client.put("t.slow", 0.5, completion=True, timeout=0.05)
        begun = (await client.get(["t.begun"], 5))["t.begun"].value
        with pytest.raises(StepTimeoutError, match=r"the put of 0.5 before it.* still outstanding"):
            await client.put("t.slow", 0.01, completion=True, timeout=0.1)
        await until(lambda: client.outstanding("t.slow") is None)
        assert (await client.get(["t.begun"], 5))["t.begun"].value == begun


async def test_a_put_without_completion_goes_out_past_an_orphan(py_ioc: Ioc) -> None:
    client, _ = client_of(py_ioc.channel("SLOW"), py_ioc.channel("BEGUN"))
    async with client:
        await client.connect(["t.slow", "t.begun"], 5)
        before = (await client.get(["t.begun"], 5))["t.begun"].value
        with pytest.raises(StepTimeoutError):
            await client.put("t.slow", 0.5, completion=True, timeout=0.1)
        await client.put("t.slow", 0.0, completion=False, timeout=1)
        assert client.outstanding("t.slow") is not None
        after = (await client.get(["t.begun"], 5))["t.begun"].value
        await until(lambda: client.outstanding("t.slow") is None)
    assert after == before + 2


async def test_a_put_without_completion_waits_for_one_that_is_awaited(py_ioc: Ioc) -> None:
    client, _ = client_of(py_ioc.channel("SLOW"), py_ioc.channel("MOST"))
    async with client:
        await client.connect(["t.slow", "t.most"], 5)
        await client.put("t.most", 0, **Q)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.put("t.slow", 0.3, **Q))
            await until(lambda: client.outstanding("t.slow") is not None)
            await client.put("t.slow", 0.0, completion=False, timeout=5)
        assert (await client.get(["t.most"], 5))["t.most"].value == 1


async def test_cancelling_a_put_leaves_an_orphan(py_ioc: Ioc) -> None:
    client, _ = client_of(py_ioc.channel("SLOW"))
    async with client:
        await client.connect(["t.slow"], 5)
        put = asyncio.create_task(client.put("t.slow", 0.3, **Q))
        await until(lambda: client.outstanding("t.slow") is not None)
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert client.outstanding("t.slow") is not None
        await until(lambda: client.outstanding("t.slow") is None)


async def test_puts_to_one_channel_take_turns_in_their_order(py_ioc: Ioc) -> None:
    client, _ = client_of(py_ioc.channel("SLOW"), py_ioc.channel("MOST"))
    ended = []

    async def put(number: int) -> None:
        await client.put("t.slow", 0.02, **Q)
        ended.append(number)

    async with client:
        await client.connect(["t.slow", "t.most"], 5)
        await client.put("t.most", 0, **Q)
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(put(number))
        assert (await client.get(["t.most"], 5))["t.most"].value == 1
    assert ended == [0, 1, 2, 3, 4]


async def test_who_puts_again_at_once_lets_those_who_wait_go_first(c_ioc: Ioc) -> None:
    client, _ = client_of(c_ioc.channel("Y"))
    order = []

    async def put(who: str) -> None:
        for _ in range(20):
            await client.put("t.y", 1.0, **Q)
            order.append(who)

    async with client:
        await client.connect(["t.y"], 5)
        async with asyncio.TaskGroup() as group:
            group.create_task(put("a"))
            group.create_task(put("b"))
    assert order == ["a", "b"] * 20


async def test_an_ioc_killed_during_a_put_fails_it_within_a_second(victim: Victim) -> None:
    """libca ends every outstanding put-callback of a lost circuit with ECA_DISCONN."""
    ioc = victim("caproto_pvs.py")
    client, taken = client_of(ioc.channel("SLOW"), ioc.channel("RUNNING"))
    async with client:
        await client.connect(["t.slow", "t.running"], 5)
        put = asyncio.create_task(client.put("t.slow", 20.0, completion=True, timeout=30))
        await until(lambda: taken.readings("t.running")[-1].value == 1)
        begin = time.monotonic()
        ioc.kill()
        with pytest.raises(NotConnectedError, match=r"was disconnected before the put of 20.0"):
            await put
        assert time.monotonic() - begin < 1
        await until(lambda: not taken.links("t.slow")[-1].connected, 1)
        assert client.outstanding("t.slow") is None
        with pytest.raises(NotConnectedError, match="is not connected"):
            await client.put("t.slow", 1.0, **Q)
        assert isinstance((await client.get(["t.slow"], 1))["t.slow"], NotConnectedError)


async def test_a_frozen_ioc_lets_a_put_time_out_and_a_get_too(victim: Victim) -> None:
    """A frozen server keeps its circuit: only our own timeout tells, before EPICS_CA_CONN_TMO."""
    ioc = victim("c_records.py")
    client, _ = client_of(ioc.channel("X"), ioc.channel("Y"))
    async with client:
        await client.connect(["t.x", "t.y"], 5)
        ioc.freeze()
        with pytest.raises(StepTimeoutError, match=r"put of 1.0 did not complete within 0.3 s"):
            await client.put("t.x", 1.0, completion=True, timeout=0.3)
        answer = (await client.get(["t.y"], 0.3))["t.y"]
        assert isinstance(answer, StepTimeoutError)
        ioc.thaw()
        await until(lambda: client.outstanding("t.x") is None)


async def test_one_missing_channel_does_not_fail_a_get_of_others(c_ioc: Ioc, py_ioc: Ioc) -> None:
    client, _ = client_of(c_ioc.channel("N"), py_ioc.channel("X"), c_ioc.channel("HIDDEN"))
    async with client:
        await client.connect(["t.n", "t.x", "t.hidden"], 5)
        answers = await client.get(["t.x", "NO:SUCH:PV", "t.hidden", "t.n"], 0.5)
    assert list(answers) == ["t.x", "NO:SUCH:PV", "t.hidden", "t.n"]
    assert [type(answer) for answer in answers.values()] == [
        Reading,
        NotConnectedError,
        ReadError,
        Reading,
    ]
    assert str(answers["NO:SUCH:PV"]) == "NO:SUCH:PV did not connect within 0.5 s"


async def test_a_get_of_nothing_is_empty(c_ioc: Ioc) -> None:
    client, _ = client_of()
    async with client:
        assert await client.get([], 1) == {}


async def test_20000_interleaved_puts_and_gets_show_no_cross_talk(c_ioc: Ioc) -> None:
    """A get gives what had been put to its own PV, no older than the last put that completed."""
    client, _ = client_of(c_ioc.channel("X"), c_ioc.channel("Y"))
    each = 5000
    begun = {"t.x": 0, "t.y": 0}
    completed = dict(begun)

    async def put(name: str, sign: int) -> None:
        for number in range(1, each + 1):
            begun[name] = number
            await client.put(name, sign * number / 64, **Q)  # a float holds it exactly
            completed[name] = number

    async def get(name: str, sign: int) -> None:
        for _ in range(each):
            oldest = completed[name]
            reading = (await client.get([name], 5))[name]
            assert isinstance(reading, Reading)
            assert reading.channel == name
            number = reading.value * sign * 64
            assert number == int(number)
            assert oldest <= number <= begun[name]

    async with client:
        await client.connect(["t.x", "t.y"], 5)
        for name in begun:
            await client.put(name, 0.0, **Q)
        async with asyncio.TaskGroup() as group:
            for name, sign in (("t.x", 1), ("t.y", -1)):
                group.create_task(put(name, sign))
                group.create_task(get(name, sign))
        last = await client.get(["t.x", "t.y"], 5)
    assert {name: reading.value for name, reading in last.items()} == {
        "t.x": each / 64,
        "t.y": -each / 64,
    }


async def test_puts_to_one_channel_never_overlap_however_their_callers_give_up(
    py_ioc: Ioc,
) -> None:
    """caproto runs puts to one PV at the same time, and goes on with those nobody waits for."""
    names = ("SLOW", "MOST", "BEGUN")
    client, _ = client_of(*(py_ioc.channel(name) for name in names))
    patience = itertools.cycle([0.005, 5, 0.02, 0.005, 5, 0.02, 0.02])
    ends: Counter[str] = Counter()

    async def put(timeout: float) -> None:
        try:
            await client.put("t.slow", 0.01, completion=True, timeout=timeout)
        except StepTimeoutError as error:
            ends["late" if "did not complete" in str(error) else "never put"] += 1
        else:
            ends["done"] += 1

    async with client:
        await client.connect(["t.slow", "t.most", "t.begun"], 5)
        await client.put("t.most", 0, **Q)
        before = (await client.get(["t.begun"], 5))["t.begun"].value
        for _ in range(40):
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(put(next(patience)))
        await until(lambda: client.outstanding("t.slow") is None)
        last = await client.get(["t.most", "t.begun"], 5)
    assert min(ends["late"], ends["never put"], ends["done"]) > 0, ends
    assert last["t.most"].value == 1
    assert last["t.begun"].value - before == ends["late"] + ends["done"]


async def test_closing_ends_outstanding_puts_and_gets(victim: Victim) -> None:
    ioc = victim("c_records.py")
    client, _ = client_of(ioc.channel("X"), ioc.channel("Y"))
    before = asyncio.all_tasks()
    async with client:
        await client.connect(["t.x", "t.y"], 5)
        ioc.freeze()
        put = asyncio.create_task(client.put("t.x", 1.0, completion=True, timeout=30))
        get = asyncio.create_task(client.get(["t.y", "NO:SUCH:PV"], 30))
        alone = asyncio.create_task(client.get(["t.y"], 30))
        await until(lambda: client.outstanding("t.x") is not None)
    with pytest.raises(NotConnectedError, match="the client was closed"):
        await put
    assert isinstance((await alone)["t.y"], NotConnectedError)
    assert [type(answer) for answer in (await get).values()] == [NotConnectedError] * 2
    assert asyncio.all_tasks() == before
