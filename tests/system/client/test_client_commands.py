"""What get, put, monitor and info of the command line stand on."""

import asyncio

from client_iocs import Ioc, Victim

from orchestrator.client import get_values, info, monitor, put_values
from orchestrator.config import ChannelConfig
from orchestrator.errors import NotConnectedError, PutError
from orchestrator.types import LinkChange, NativeType, Reading


async def test_get_gives_an_answer_for_each_in_the_order_asked(c_ioc: Ioc, py_ioc: Ioc) -> None:
    alias = c_ioc.channel("N")
    names = ["NO:SUCH:PV", py_ioc.prefix + "MODE", "t.n", c_ioc.prefix + "HIDDEN"]
    missing, mode, number, hidden = await get_values(
        names, channels={alias.name: alias}, timeout=0.5
    )
    assert isinstance(missing.error, NotConnectedError)
    assert (missing.metadata, missing.reading) == (None, None)
    assert (mode.name, mode.pv) == (py_ioc.prefix + "MODE", py_ioc.prefix + "MODE")
    assert mode.metadata.labels[mode.reading.value] in {"Off", "Slow", "Fast"}
    assert (number.name, number.pv) == ("t.n", c_ioc.prefix + "N")
    assert isinstance(number.reading.value, int)
    assert "lets us not read it" in str(hidden.error)
    assert hidden.metadata is not None


async def test_get_delivers_char_arrays_as_text_when_asked(py_ioc: Ioc) -> None:
    pv = py_ioc.prefix + "TEXT"
    await put_values({pv: "some text"}, completion=True)
    (text,) = await get_values([pv], text=True)
    (numbers,) = await get_values([pv])
    assert text.reading.value == "some text"
    assert numbers.reading.value[:4].tolist() == [115, 111, 109, 101]


async def test_put_understands_text_and_reads_back(c_ioc: Ioc) -> None:
    values = {
        c_ioc.prefix + "MODE": "Fast",
        c_ioc.prefix + "X": "-2.5",
        c_ioc.prefix + "WAVE": "[1, 2]",
    }
    answers = await put_values(values, completion=True)
    assert [answer.error for answer in answers] == [None] * 3
    assert answers[0].reading.value == 2
    assert answers[1].reading.value == -2.5
    assert answers[2].reading.value.tolist() == [1, 2]


async def test_a_list_is_put_to_an_array_of_char_as_text_or_as_numbers(c_ioc: Ioc) -> None:
    """As CMD takes a trajectory: its text."""
    pv = c_ioc.prefix + "TEXT"
    (text,) = await put_values({pv: "[0, 1, 4, 9]"}, completion=True)
    assert text.reading.value == "[0, 1, 4, 9]"
    (numbers,) = await put_values({pv: "[0, 1, 4, 9]"}, completion=True, text=False)
    assert numbers.reading.value.tolist() == [0, 1, 4, 9]


async def test_nothing_is_put_where_one_value_is_wrong(c_ioc: Ioc) -> None:
    x, mode = c_ioc.prefix + "X", c_ioc.prefix + "MODE"
    (before,) = await get_values([x])
    answers = await put_values({x: "33", mode: "Warp", "NO:SUCH:PV": "1"}, timeout=0.5)
    assert [type(answer.error) for answer in answers] == [PutError, PutError, NotConnectedError]
    assert str(answers[0].error) == f"{x}: not written, as {mode}, NO:SUCH:PV can't be"
    (after,) = await get_values([x])
    assert after.reading.timestamp == before.reading.timestamp


async def test_a_refused_put_is_the_error_of_its_channel_alone(py_ioc: Ioc) -> None:
    answers = await put_values(
        {py_ioc.prefix + "PICKY": "1", py_ioc.prefix + "Y": "4"}, completion=True
    )
    assert isinstance(answers[0].error, PutError)
    assert (answers[1].error, answers[1].reading.value) == (None, 4.0)


async def test_info_tells_type_size_access_and_host(c_ioc: Ioc) -> None:
    wave, read_only = await info([c_ioc.prefix + "SHORTS", c_ioc.prefix + "RO"])
    assert (wave.metadata.native, wave.metadata.count) == (NativeType.SHORT, 10)
    assert wave.metadata.host.endswith(f":{c_ioc.port}")
    assert (wave.reading, wave.error) == (None, None)
    assert (read_only.metadata.readable, read_only.metadata.writable) == (True, False)


async def test_monitor_gives_every_update_and_tells_what_is_missing_or_lost(
    victim: Victim,
) -> None:
    ioc = victim("c_records.py")
    pv = ioc.prefix + "X"
    got = []
    async with asyncio.timeout(10), monitor([pv, "NO:SUCH:PV"], timeout=0.3) as updates:
        async for update in updates:
            match update:
                case LinkChange(channel="NO:SUCH:PV"):
                    ioc.kill()
                case LinkChange(channel=channel, connected=False) if channel == pv:
                    break
            got.append(update)
    assert [type(update) for update in got] == [LinkChange, Reading, LinkChange]
    assert got[2] == LinkChange("NO:SUCH:PV", connected=False)


async def test_a_put_that_leaves_its_record_invalid_is_told_as_its_channel_has_it(
    c_ioc: Ioc,
) -> None:
    pv, well = c_ioc.prefix + "FRAIL", c_ioc.prefix + "DONE"
    channels = {
        name: ChannelConfig(name, pv, accept_invalid=accept)
        for name, accept in {"t.told": None, "t.fails": False, "t.silent": True}.items()
    }
    for completion in (True, False):
        told, fails, silent, fine = [
            (await put_values({name: "1"}, channels=channels, completion=completion))[0]
            for name in (*channels, well)
        ]
        assert (told.error, fine.error, silent.error) == (None, None, None)
        assert "its record is in INVALID alarm (HIGH)" in told.warning
        assert (silent.warning, fine.warning) == ("", "")
        assert isinstance(fails.error, PutError)
        assert "written, but its record is in INVALID alarm" in str(fails.error)


async def test_a_start_is_waited_for_only_if_that_is_asked_for(py_ioc: Ioc) -> None:
    """It completes at the end of its run, but is refused at once."""
    clock = asyncio.get_running_loop().time
    began = clock()
    (answer,) = await put_values({py_ioc.prefix + "START": "20"}, completion=False)
    assert (answer.error, clock() - began < 15) == (None, True)


async def test_a_start_that_is_waited_for_has_ended(py_ioc: Ioc) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    (answer,) = await put_values({py_ioc.prefix + "START": "1.2"}, completion=True)
    assert (answer.error, clock() - began >= 1.2) == (None, True)
