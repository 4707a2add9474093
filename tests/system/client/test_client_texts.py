"""Texts, labels and what nobody has written yet, as C records and caproto's PVs have them."""

from __future__ import annotations

import numpy as np
import pytest
from client_iocs import Ioc, client_of, until, value_of

from orchestrator.client import get_values, put_values
from orchestrator.config import ChannelConfig
from orchestrator.errors import PutError
from orchestrator.types import Alarm, LinkChange, NativeType, Reading, Severity


async def test_what_nobody_has_written_is_empty_in_the_iocs_alarm_and_can_be_written(
    c_ioc: Ioc,
) -> None:
    """A C IOC gives no element of an lso, lsi or waveform that was never written."""
    names = ["NEVER", "LSO", "LSI", "ONE_TEXT"]
    client, taken = client_of(*map(c_ioc.channel, names))
    aliases = [f"t.{name.lower()}" for name in names]
    async with client:
        assert await client.connect(aliases, 5) == []
        fresh = await client.get(aliases, 5)
        for alias in aliases:
            for reading in (taken.readings(alias)[0], fresh[alias]):
                assert isinstance(reading, Reading)
                assert (reading.value, reading.severity) == ("", Severity.INVALID)
                assert reading.status == Alarm.UDF
            assert len(taken.links(alias)) == 1
        for alias in ("t.lso", "t.one_text"):
            await client.put(alias, "now it is", completion=True, timeout=5)
            await until(lambda a=alias: value_of(taken.of(a)[-1]) == "now it is")


async def test_one_number_that_nobody_has_written_is_zero_in_the_iocs_alarm(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("ONE"))
    async with client:
        await client.connect(["t.one"], 5)
    assert (taken.readings("t.one")[0].value, taken.readings("t.one")[0].status) == (0.0, Alarm.UDF)


async def test_a_long_string_that_nobody_has_written_is_empty_text(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("LSI.VAL$"), c_ioc.channel("LSO.DESC$"))
    async with client:
        await client.connect(["t.lsi.val$", "t.lso.desc$"], 5)
    assert [taken.readings(n)[0].value for n in ("t.lsi.val$", "t.lso.desc$")] == ["", ""]


async def test_an_index_without_label_leaves_an_enum_an_enum(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("VALVE"))
    async with client:
        await client.connect(["t.valve"], 5)
        for index in (0, 1, 5, 17):
            await client.put("t.valve", index, completion=True, timeout=5)
            await until(lambda i=index: value_of(taken.of("t.valve")[-1]) == i)
    metadata = taken.links("t.valve")[0].metadata
    assert metadata.native is NativeType.ENUM
    assert [metadata.label(i) for i in (0, 1, 2, 5)] == ["0", "Open", "Closed", "5"]


async def test_the_type_of_a_record_is_known_where_it_is_to_be_mirrored(
    c_ioc: Ioc, py_ioc: Ioc
) -> None:
    """By DBR_CLASS_NAME on the same channel, of any field; answered before the first event."""
    quiet = ChannelConfig("t.quiet", f"{c_ioc.prefix}LSI", mirror=False)
    client, taken = client_of(c_ioc.channel("VALVE.SCAN"), py_ioc.channel("WAVE"), quiet)
    async with client:
        assert await client.connect(["t.valve.scan", "t.wave", "t.quiet"], 5) == []
        for name, record in (("t.valve.scan", "mbbi"), ("t.wave", "caproto"), ("t.quiet", "")):
            await until(lambda n=name, r=record: taken.links(n)[-1].metadata.record == r)


async def test_a_menus_choice_that_is_not_listed_is_learned_before_it_is_told(
    c_ioc: Ioc,
) -> None:
    """DBR_CTRL_ENUM lists 16 of the 22 of menuAlarmStat; UDF is the 17th."""
    channels = [c_ioc.channel("NEVER.STAT"), c_ioc.channel("VALVE.SCAN")]
    client, taken = client_of(*channels)
    names = ["t.never.stat", "t.valve.scan"]
    async with client:
        assert await client.connect(names, 5) == []
        fresh = await client.get(names, 5)
        await client.put("t.valve.scan", "1 second", completion=True, timeout=5)
        await until(lambda: value_of(taken.of("t.valve.scan")[-1]) == 6)
    told = taken.of("t.never.stat")
    assert isinstance(told[-1], Reading)
    assert isinstance(told[-2], LinkChange)
    labels = told[-2].metadata.labels
    assert (told[-1].value, labels[17], labels[16], len(labels)) == (17, "UDF", "", 18)
    assert told[-2].metadata.menu
    assert fresh["t.never.stat"].value == 17
    scan = taken.links("t.valve.scan")[0].metadata
    assert (scan.native, scan.labels[:2], scan.menu) == (
        NativeType.ENUM,
        ("Passive", "Event"),
        False,
    )


async def test_a_menu_is_read_and_put_by_its_text_by_commands(c_ioc: Ioc) -> None:
    pv = f"{c_ioc.prefix}NEVER.STAT"
    (read,) = await get_values([pv], text=True)
    assert read.metadata.label(read.reading.value) == "UDF"
    (alias,) = await get_values(["t.x"], channels={"t.x": ChannelConfig("t.x", pv)})
    assert alias.metadata.label(alias.reading.value) == "UDF"
    scan = f"{c_ioc.prefix}FULL.SCAN"
    (written,) = await put_values({scan: "2 second"}, completion=True)
    assert written.metadata.label(written.reading.value) == "2 second"


async def test_units_labels_and_texts_may_be_latin_1(c_ioc: Ioc) -> None:
    client, taken = client_of(*map(c_ioc.channel, ["DEGREES", "FILTER", "LATIN"]))
    async with client:
        await client.connect(["t.degrees", "t.filter", "t.latin"], 5)
        units, labels = (taken.links(n)[0].metadata for n in ("t.degrees", "t.filter"))
        assert units.units == "°C"
        assert labels.labels == ("10 µm", "20 µm")
        latin = taken.readings("t.latin")[0].value
        assert latin == "20 °C"
        await client.put("t.latin", latin, completion=True, timeout=5)
        (raw,) = await get_values([f"{c_ioc.prefix}LATIN.VAL$"])
        assert raw.reading.value == "20 °C"


async def test_a_text_may_fill_its_array(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("FULL", text=True))
    async with client:
        await client.connect(["t.full"], 5)
        for text in ("0123456789", "µµµµµ", "", "a"):
            await client.put("t.full", text, completion=True, timeout=5)
            await until(lambda t=text: value_of(taken.of("t.full")[-1]) == t)


async def test_a_text_that_a_record_would_cut_is_refused(c_ioc: Ioc) -> None:
    """A long string keeps its last byte for the NUL; a C IOC cuts there, and says nothing."""
    client, taken = client_of(c_ioc.channel("NEVER.DESC$"))
    name = "t.never.desc$"
    async with client:
        await client.connect([name], 5)
        await client.put(name, "x" * 40, completion=True, timeout=5)
        with pytest.raises(PutError, match="41 bytes, it takes at most 40"):
            await client.put(name, "x" * 41, completion=True, timeout=5)
        assert (await client.get([name], 5))[name].value == "x" * 40
    assert (taken.links(name)[0].metadata.count, taken.links(name)[0].metadata.nul) == (41, True)


async def test_one_letter_is_text_where_it_is_configured_so_and_can_be_written(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("LETTER", text=True))
    async with client:
        await client.connect(["t.letter"], 5)
        assert taken.links("t.letter")[0].metadata.text
        for text in ("5", "a", ""):
            await client.put("t.letter", text, completion=True, timeout=5)
            await until(lambda t=text: value_of(taken.of("t.letter")[-1]) == t)
            assert (await client.get(["t.letter"], 5))["t.letter"].value == text


async def test_a_single_char_of_which_nothing_is_configured_is_a_number(c_ioc: Ioc) -> None:
    pv = f"{c_ioc.prefix}LETTER.DISP"
    (before,) = await get_values([pv], text=True)
    assert (before.reading.value, before.metadata.text) == (0, False)
    (after,) = await put_values({pv: "1"}, completion=True)
    assert after.reading.value == 1
    (restored,) = await put_values({pv: "0"}, completion=True)
    assert restored.reading.value == 0


@pytest.mark.parametrize("name", ["TEXT", "NAME", "MODE", "X"])
async def test_caprotos_pvs_of_every_kind_are_described_and_read(py_ioc: Ioc, name: str) -> None:
    (answer,) = await get_values([f"{py_ioc.prefix}{name}"], text=True)
    expected = {"TEXT": "hello", "NAME": "short", "MODE": 1, "X": 1.5}[name]
    assert (answer.reading.value, answer.error) == (expected, None)


async def test_a_get_runs_a_getter_once(py_ioc: Ioc) -> None:
    """caproto calls it for each read, whatever is asked."""
    pv = f"{py_ioc.prefix}READS"
    (first,) = await get_values([pv], text=True)
    (second,) = await get_values([pv], text=True)
    assert second.reading.value == first.reading.value + 1
    assert second.metadata.units == "reads"


async def test_an_array_of_char_comes_as_bytes_that_nobody_can_change(c_ioc: Ioc) -> None:
    client, taken = client_of(ChannelConfig("t.full", f"{c_ioc.prefix}FULL"))
    async with client:
        await client.connect(["t.full"], 5)
        await client.put("t.full", np.arange(10), completion=True, timeout=5)
        await until(lambda: np.array_equal(value_of(taken.of("t.full")[-1]), np.arange(10)))
    assert not value_of(taken.of("t.full")[-1]).flags.writeable
    assert all(isinstance(item, Reading | LinkChange) for item in taken.items)
