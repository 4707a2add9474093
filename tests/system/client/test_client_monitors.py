"""What monitors bring, from C records and from caproto's PVs."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from client_iocs import Ioc, client_of, until, value_of

from orchestrator.types import Limits, LinkChange, NativeType, Reading, Severity


async def connected(ioc: Ioc, *suffixes: str) -> dict[str, list[Reading | LinkChange]]:
    channels = [ioc.channel(suffix) for suffix in suffixes]
    client, taken = client_of(*channels)
    async with client:
        assert await client.connect([channel.name for channel in channels], 5) == []
    return {suffix: taken.of(f"t.{suffix.lower()}") for suffix in suffixes}


async def test_link_change_with_metadata_comes_before_the_first_reading(c_ioc: Ioc) -> None:
    """A C record answers DBR_CTRL with units, precision and limits; NaN where no alarm is set."""
    items = (await connected(c_ioc, "X"))["X"]
    first, second = items[:2]
    assert isinstance(first, LinkChange)
    assert (first.connected, first.reconnected) == (True, False)
    metadata = first.metadata
    assert metadata is not None
    assert (metadata.native, metadata.count) == (NativeType.DOUBLE, 1)
    assert (metadata.units, metadata.precision) == ("mm", 3)
    assert (metadata.control, metadata.display) == (Limits(-100, 100), Limits(-20, 20))
    assert metadata.warning == Limits(-math.inf, 50)
    assert metadata.alarm == Limits(-math.inf, 90)
    assert (metadata.readable, metadata.writable) == (True, True)
    assert metadata.host.endswith(f":{c_ioc.port}")
    assert isinstance(second, Reading)
    assert not second.unconfirmed


async def test_values_arrive_in_their_native_python_types(c_ioc: Ioc) -> None:
    got = await connected(c_ioc, "N", "MODE", "NAME", "RO", "EMPTY", "STRINGS", "BYTES")
    assert {name: type(value_of(items[1])) for name, items in got.items()} == {
        "N": int,
        "MODE": int,
        "NAME": str,
        "RO": float,
        "EMPTY": np.ndarray,
        "STRINGS": tuple,
        "BYTES": np.ndarray,
    }
    assert value_of(got["NAME"][1]) == "café"
    assert len(value_of(got["EMPTY"][1])) == 0
    assert got["MODE"][0].metadata.labels == ("Off", "Slow", "Fast")


async def test_a_record_never_processed_is_invalid_with_status_udf(c_ioc: Ioc) -> None:
    """A C record that was never processed carries UDF, and the EPICS epoch as its time."""
    reading = (await connected(c_ioc, "EMPTY"))["EMPTY"][1]
    assert isinstance(reading, Reading)
    assert (reading.severity, reading.status) == (Severity.INVALID, 17)
    assert reading.timestamp == 631152000


async def test_caproto_pvs_arrive_in_the_same_types(py_ioc: Ioc) -> None:
    got = await connected(py_ioc, "X", "N", "MODE", "NAME", "WAVE")
    values = {name: value_of(items[1]) for name, items in got.items()}
    assert isinstance(values["X"], float)
    assert (values["N"], values["MODE"], values["NAME"]) == (7, 1, "short")
    assert values["WAVE"].tolist() == [1.0, 2.0, 3.0]
    assert got["X"][0].metadata.units == "mm"
    assert got["MODE"][0].metadata.labels == ("Off", "Slow", "Fast")


@pytest.mark.parametrize("ioc", ["c_ioc", "py_ioc"])
async def test_all_updates_of_a_burst_arrive_in_order(
    ioc: str, request: pytest.FixtureRequest
) -> None:
    """Neither server nor libca drops any of 200 quick updates of one channel.

    A C IOC merges once its event queue is full, and caproto drops beyond its backlog of 1000:
    neither happens here.
    """
    channel = request.getfixturevalue(ioc).channel("X")
    client, taken = client_of(channel)
    async with client:
        await client.connect(["t.x"], 5)
        begin = len(taken.items)
        for number in range(200):
            await client.put("t.x", number / 10, completion=False, timeout=5)
        # caproto as it comes takes some seconds for it on a busy machine.
        await until(lambda: len(taken.items) - begin >= 200, timeout=30.0)
        values = [reading.value for reading in taken.readings("t.x")[-200:]]
    assert values == [number / 10 for number in range(200)]


async def test_an_array_of_a_million_doubles_comes_as_one_view(c_ioc: Ioc) -> None:
    """libca takes arrays beyond 16 kB by itself (EPICS_CA_AUTO_ARRAY_BYTES of EPICS 7)."""
    client, taken = client_of(c_ioc.channel("BIG"))
    sent = np.arange(1_000_000, dtype=float)
    async with client:
        await client.connect(["t.big"], 5)
        await client.put("t.big", sent, completion=True, timeout=10)
        value = value_of((await until(lambda: taken.readings("t.big")[1:]))[0])
    assert type(value) is np.ndarray
    assert np.array_equal(value, sent)
    assert value.base is not None  # of the bytes that libca gave: no second copy
    assert not value.flags.writeable


async def test_char_arrays_are_text_only_where_configured(c_ioc: Ioc) -> None:
    channels = (c_ioc.channel("TEXT", text=True), c_ioc.channel("BYTES"))
    client, taken = client_of(*channels)
    async with client:
        await client.connect(["t.text", "t.bytes"], 5)
        await client.put("t.text", "naïve\n" * 10, completion=True, timeout=5)
        await client.put("t.bytes", "abc", completion=True, timeout=5)
        await until(lambda: taken.readings("t.text")[-1].value == "naïve\n" * 10)
        await until(lambda: len(taken.readings("t.bytes")) == 2)
    assert taken.links("t.text")[0].metadata.text
    assert value_of(taken.of("t.bytes")[-1]).tolist() == [97, 98, 99, 0]


async def test_text_that_is_no_utf_8_is_delivered_as_latin_1(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("TEXT", text=True))
    async with client:
        await client.connect(["t.text"], 5)
        bad = np.array([97, 0xFF, 98, 0, 99], dtype=np.uint8)
        await client.put("t.text", bad, completion=True, timeout=5)
        await until(lambda: taken.readings("t.text")[-1].value == "aÿb")


async def test_nan_and_infinity_pass_through(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("Y"))
    async with client:
        await client.connect(["t.y"], 5)
        await client.put("t.y", math.nan, completion=True, timeout=5)
        await client.put("t.y", math.inf, completion=True, timeout=5)
        await until(lambda: taken.readings("t.y")[-1].value == math.inf)
    assert math.isnan(value_of(taken.readings("t.y")[-2]))


async def test_alarm_severity_and_status_come_with_the_value(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("X"))
    async with client:
        await client.connect(["t.x"], 5)
        await client.put("t.x", 60.0, completion=True, timeout=5)
        await until(lambda: taken.readings("t.x")[-1].value == 60)
        await client.put("t.x", 0.0, completion=True, timeout=5)
    reading = taken.readings("t.x")[-1 if taken.readings("t.x")[-1].value == 60 else -2]
    assert (reading.severity, reading.status) == (Severity.MINOR, 4)  # HIGH_ALARM of alarm.h


async def test_a_changed_unit_comes_as_a_link_change(c_ioc: Ioc) -> None:
    """A C IOC posts DBE_PROPERTY when a property field is written."""
    client, taken = client_of(c_ioc.channel("X"))
    async with client:
        await client.connect(["t.x", c_ioc.prefix + "X.EGU"], 5)
        await client.put(c_ioc.prefix + "X.EGU", "um", completion=True, timeout=5)
        change = await until(lambda: taken.links("t.x")[1:])
        await client.put(c_ioc.prefix + "X.EGU", "mm", completion=True, timeout=5)
        await until(lambda: len(taken.links("t.x")) == 3)
    assert (change[0].connected, change[0].reconnected) == (True, False)
    assert change[0].metadata.units == "um"


async def test_metadata_of_a_server_that_ignores_masks_are_read_again(
    py_ioc: Ioc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """caproto sends a DBE_PROPERTY subscription every value."""
    monkeypatch.setattr("orchestrator.client.client.REFRESH_AFTER", 0.1)
    client, taken = client_of(py_ioc.channel("X"))
    async with client:
        await client.connect(["t.x", py_ioc.prefix + "UNIT"], 5)
        link = client._links["t.x"]
        for number in range(12):
            await client.put("t.x", float(number), completion=True, timeout=5)
        await until(lambda: link._properties is None, what="the second feed is closed")
        await client.put(py_ioc.prefix + "UNIT", "um", completion=True, timeout=5)
        change = await until(lambda: taken.links("t.x")[1:])
        await client.put(py_ioc.prefix + "UNIT", "mm", completion=True, timeout=5)
    assert change[0].metadata.units == "um"


async def subscribed_anew(link: Any, come_back: Callable[[], None]) -> None:
    former = link._values
    come_back()
    await until(lambda: link._values not in (None, former), what="a new subscription")


async def test_metadata_are_read_again_once_a_turn_however_often_a_channel_came_back(
    py_ioc: Ioc,
) -> None:
    """Otherwise each connection would add a turn, for as long as the service runs."""
    client, _ = client_of(py_ioc.channel("X"))
    async with client:
        await client.connect(["t.x"], 5)
        link = client._links["t.x"]
        for come_back in (link._lost, link._renew, link._renew):
            for number in range(12):
                await client.put("t.x", float(number), completion=True, timeout=5)
            await until(lambda: link._properties is None, what="the second feed is closed")
            assert len(client._muted) == 1
            await subscribed_anew(link, come_back)


async def test_write_access_that_changes_comes_as_a_link_change(c_ioc: Ioc) -> None:
    """A C IOC tells its clients when access security takes rights away."""
    client, taken = client_of(c_ioc.channel("GATED"))
    async with client:
        await client.connect(["t.gated", c_ioc.prefix + "GATE"], 5)
        await client.put(c_ioc.prefix + "GATE", 0, completion=True, timeout=5)
        await until(lambda: [link.metadata.writable for link in taken.links("t.gated")][1:])
        await client.put(c_ioc.prefix + "GATE", 1, completion=True, timeout=5)
        await until(lambda: len(taken.links("t.gated")) == 3)
    rights = [link.metadata.writable for link in taken.links("t.gated")]
    assert rights == [True, False, True]


async def test_a_channel_that_nobody_may_read_is_connected_without_a_value(c_ioc: Ioc) -> None:
    """A C IOC answers such a subscription with ECA_NORDACCESS."""
    items = (await connected(c_ioc, "HIDDEN"))["HIDDEN"]
    assert len(items) == 1
    assert isinstance(items[0], LinkChange)
    assert not items[0].metadata.readable


async def test_a_channel_is_read_again_once_it_may_be(c_ioc: Ioc) -> None:
    """A C IOC ends the updates with ECA_NORDACCESS when read access is taken away."""
    client, taken = client_of(c_ioc.channel("VEILED"))
    async with client:
        await client.connect(["t.veiled", c_ioc.prefix + "VEIL"], 5)
        await client.put(c_ioc.prefix + "VEIL", 1, completion=True, timeout=5)
        await until(lambda: [link.metadata.readable for link in taken.links("t.veiled")][1:])
        await asyncio.sleep(0)
        seen = len(taken.readings("t.veiled"))
        await client.put(c_ioc.prefix + "VEIL", 0, completion=True, timeout=5)
        await until(lambda: len(taken.readings("t.veiled")) > seen)
        await until(lambda: taken.readings("t.veiled")[-1].value == 4)
    assert [link.metadata.readable for link in taken.links("t.veiled")] == [True, False, True]


async def test_connect_names_what_is_not_there(c_ioc: Ioc) -> None:
    client, taken = client_of(c_ioc.channel("X"))
    async with client:
        missing = await client.connect(["t.x", "NO:SUCH:PV", "ca://" + c_ioc.prefix + "N"], 0.5)
    assert missing == ["NO:SUCH:PV"]
    assert taken.readings("ca://" + c_ioc.prefix + "N")[0].value == 7


async def test_two_names_of_one_pv_both_get_its_updates(c_ioc: Ioc) -> None:
    pv = c_ioc.prefix + "Y"
    client, taken = client_of(c_ioc.channel("Y"))
    async with client:
        assert await client.connect(["t.y", pv], 5) == []
        await client.put("t.y", 5.25, completion=True, timeout=5)
        await until(lambda: taken.readings("t.y")[-1].value == 5.25)
        await until(lambda: taken.readings(pv)[-1].value == 5.25)
