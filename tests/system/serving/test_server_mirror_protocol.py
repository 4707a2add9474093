"""Mirrors answer as the records of a C IOC do, byte by byte where libca hides it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import caproto as ca
import numpy as np
import pytest
from caproto import ChannelType, SubscriptionType
from ioc_kit_raw import RawClient
from service_kit import Service, says, serving

from orchestrator.types import (
    Alarm,
    Limits,
    Metadata,
    MirrorOpened,
    NativeType,
    Severity,
    Update,
    decoded,
)

VALUE, LOG, ALARM, PROPERTY = (
    SubscriptionType.DBE_VALUE,
    SubscriptionType.DBE_LOG,
    SubscriptionType.DBE_ALARM,
    SubscriptionType.DBE_PROPERTY,
)
X = Metadata(NativeType.DOUBLE, units="mm", precision=3, record="motor")
MIRROR = "ORCH:MON:stage:x"


@asynccontextmanager
async def mirrored(
    metadata: Metadata, *updates: Update
) -> AsyncIterator[tuple[Service, RawClient]]:
    """The service with a mirror that has been opened, and a client of it."""
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", metadata), *updates)
        await service.published.idle()
        async with await RawClient.connect(service.ioc.port) as client:
            yield service, client


def x(value: Any, severity: Severity = Severity.NO_ALARM) -> Update:
    status = Alarm.STATE if severity else Alarm.NO_ALARM
    return Update("mon", value, "stage.x", severity, status, 1_700_000_000.0)


async def read(client: RawClient, name: str, kind: ChannelType, count: int = 0) -> Any:
    channel = await client.channel(name)
    await client.send(channel.read(data_type=kind, data_count=count, notify=True))
    return await client.receive(ca.ReadNotifyResponse)


def text_of(reply: Any) -> str:
    return bytes(reply.data[0]).partition(b"\0")[0].decode()


MASKS = {
    "value": VALUE,
    "log": LOG,
    "alarm": ALARM,
    "property": PROPERTY,
    "value and alarm": VALUE | ALARM,
    "alarm and property": ALARM | PROPERTY,
    "all": VALUE | LOG | ALARM | PROPERTY,
}
STEPS: list[tuple[SubscriptionType | int, Any]] = [
    (VALUE | LOG, x(2.0)),
    (ALARM, x(2.0, Severity.MINOR)),
    (VALUE | LOG, x(3.0, Severity.MINOR)),
    (VALUE | LOG, x(3.0, Severity.MINOR)),  # as a record with MDEL -1 posts
    (PROPERTY, MirrorOpened("stage.x", replace(X, units="um"))),
    (0, MirrorOpened("stage.x", replace(X, units="um"))),
    (PROPERTY, MirrorOpened("stage.x", replace(X, units="um", control=Limits(0, 1)))),
    (VALUE | LOG | ALARM, x(4.0)),
    (ALARM, Update("mon", 4.0, "stage.x", Severity.INVALID, Alarm.LINK)),
]
"""What is posted, and what that changes."""


async def told_by(service: Service, client: RawClient, channel: Any, item: Any) -> list[int]:
    """The subscriptions that are told of it, one for each update."""
    service.publish(item)
    await service.published.idle()
    await service.ioc.taken()
    await client.send(channel.read(data_type=ChannelType.DOUBLE, notify=True))
    told = []
    while not isinstance(
        got := await client.receive((ca.EventAddResponse, ca.ReadNotifyResponse)),
        ca.ReadNotifyResponse,
    ):
        told.append(got.subscriptionid)
    return told


@pytest.mark.parametrize("kind", [ChannelType.CTRL_DOUBLE, ChannelType.TIME_DOUBLE])
async def test_event_masks_are_heeded(kind: ChannelType) -> None:
    """db_post_events of a C IOC posts to those who have asked for what has changed."""
    async with mirrored(X, x(1.0)) as (service, client):
        await service.published.idle()
        channel = await client.channel(MIRROR)
        numbers = {}
        for name, mask in MASKS.items():
            request = channel.subscribe(data_type=kind, mask=mask)
            numbers[request.subscriptionid] = name
            await client.send(request)
            first = await client.receive(ca.EventAddResponse)
            assert first.data.tolist() == [1.0]
        for events, item in STEPS:
            told = await told_by(service, client, channel, item)
            expected = [name for name, mask in MASKS.items() if mask & events]
            assert sorted(numbers[n] for n in told) == sorted(expected), item


async def test_a_record_has_its_units_told_to_who_asks_for_changes_of_them_by_libca() -> None:
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", X), x(1.0))
        client = await service.clients.aioca(f"""
            from epicscorelibs.ca import cadef
            def told(v):
                say(float(v), v.units, v.upper_ctrl_limit)
            m = camonitor({MIRROR!r}, told, events=cadef.DBE_PROPERTY, format=FORMAT_CTRL,
                          all_updates=True)
            await asyncio.sleep(60)
        """)
        await says(client, [1.0, "mm", 0.0])
        service.publish(x(2.0))
        await service.published.idle()
        service.publish(x(3.0, Severity.MAJOR))
        service.publish(MirrorOpened("stage.x", replace(X, units="um", control=Limits(0, 5))))
        await says(client, [3.0, "um", 5.0])


async def test_an_enum_tells_of_new_labels() -> None:
    mode = Metadata(NativeType.ENUM, labels=("Off", "On"))
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", mode), x(1))
        client = await service.clients.pyepics(f"""
            from epics import ca, dbr
            chid = ca.create_channel({MIRROR!r})
            ca.connect_channel(chid, timeout=10)
            def told(value=None, enum_strs=(), **more):
                say(value, [getattr(s, "decode", lambda s=s: s)() for s in enum_strs])
            keep = ca.create_subscription(chid, use_ctrl=True, callback=told, mask=dbr.DBE_PROPERTY)
            while True: ca.poll(0.01)
        """)
        await says(client, [1, ["Off", "On"]])
        service.publish(x(0), MirrorOpened("stage.x", replace(mode, labels=("Out", "In"))))
        await says(client, [0, ["Out", "In"]])


async def test_a_read_with_a_count_is_filled_up_with_zeros() -> None:
    """As rsrv does; without a count as many come as there are."""
    wave = Metadata(NativeType.DOUBLE, count=6)
    async with mirrored(wave, x(np.array([1.0, 2.0]))) as (_, client):
        while (await read(client, MIRROR, ChannelType.DOUBLE)).data.tolist() != [1.0, 2.0]:
            pass
        for kind in (ChannelType.DOUBLE, ChannelType.CTRL_DOUBLE, ChannelType.TIME_DOUBLE):
            reply = await read(client, MIRROR, kind, 6)
            assert (reply.data_count, reply.data.tolist()) == (6, [1, 2, 0, 0, 0, 0])
            assert (await read(client, MIRROR, kind, 1)).data.tolist() == [1]
        texts = await read(client, MIRROR, ChannelType.STRING, 3)
        assert [bytes(t).rstrip(b"\0") for t in texts.data] == [b"1", b"2", b""]
        shorts = await read(client, MIRROR, ChannelType.INT, 4)
        assert shorts.data.tolist() == [1, 2, 0, 0]


@pytest.mark.parametrize(
    ("native", "precision", "value", "text"),
    [
        (NativeType.DOUBLE, 3, 1.23456, "1.235"),
        (NativeType.DOUBLE, 0, 2.5, "3"),
        (NativeType.DOUBLE, 9, 1.5, " 1.500000000e+00"),
        (NativeType.FLOAT, 2, 0.1, "0.10"),
    ],
)
async def test_as_text_a_number_has_the_digits_of_its_precision(
    native: NativeType, precision: int, value: float, text: str
) -> None:
    metadata = Metadata(native, precision=precision)
    async with mirrored(metadata, x(value)) as (_, client):
        while (await read(client, MIRROR, ChannelType.TIME_DOUBLE)).metadata.severity:
            pass
        for kind in (ChannelType.STRING, ChannelType.STS_STRING, ChannelType.TIME_STRING):
            assert text_of(await read(client, MIRROR, kind)) == text


async def test_the_services_own_numbers_have_their_digits_as_text_too() -> None:
    async with mirrored(X, x(1.0)) as (service, client):
        service.publish(Update("progress", 12.345))
        await service.published.idle()
        assert text_of(await read(client, "ORCH:PROGRESS", ChannelType.STRING)) == "12.3"
        got = await read(client, "ORCH:PROGRESS", ChannelType.CTRL_DOUBLE)
        assert (got.data.tolist(), bytes(got.metadata.units)[:1]) == ([12.345], b"%")


async def test_ctrl_string_has_the_layout_of_the_protocol() -> None:
    """dbr_sts_string: status, severity, and the text at once (db_access.h)."""
    async with mirrored(Metadata(NativeType.STRING), x("abc", Severity.MINOR)) as (_, client):
        while text_of(await read(client, MIRROR, ChannelType.STRING)) != "abc":
            pass
        for kind in (ChannelType.CTRL_STRING, ChannelType.GR_STRING):
            reply = await read(client, MIRROR, kind)
            payload = b"".join(bytes(part) for part in reply.buffers)
            assert payload[:8] == b"\0\x07\0\x01abc\0"


async def test_the_class_name_is_the_record_type_of_the_source() -> None:
    async with mirrored(X, x(1.0)) as (_, client):
        await read(client, MIRROR, ChannelType.DOUBLE)
        reply = await read(client, MIRROR, ChannelType.CLASS_NAME, 1)
        assert bytes(reply.metadata.value).rstrip(b"\0") == b"motor"


async def test_an_index_without_label_is_shown_with_its_alarm() -> None:
    valve = Metadata(NativeType.ENUM, labels=("", "Open", "Closed"))
    async with serving() as service:
        client = await service.clients.pyepics(f"""
            import epics
            pv = epics.PV({MIRROR!r}, form="time", connection_timeout=10)
            pv.wait_for_connection(timeout=10)
            def told(value=None, severity=None, status=None, **more):
                say(int(value), severity, status)
            pv.add_callback(told)
            say("ready")
            while True: time.sleep(0.01)
        """)
        service.publish(MirrorOpened("stage.x", valve), x(1))
        shown = [(0, Severity.MINOR), (3, Severity.MAJOR), (17, Severity.INVALID), (2, Severity(0))]
        while await client.said(20) != ["ready"]:
            pass
        for index, severity in shown:
            service.publish(x(index, severity))
            # pyepics tells what it had at the connection when it likes, and more than once.
            while await client.said() != [index, severity, Alarm.STATE if severity else 0]:
                pass


@pytest.mark.parametrize(
    ("index", "text"), [(1, "Open"), (0, "0"), (3, "3"), (17, "UDF"), (65535, "65535")]
)
async def test_an_enum_is_read_in_every_type_whatever_its_index(index: int, text: str) -> None:
    labels = ("", "Open", "Closed", *([""] * 14), "UDF")
    metadata = Metadata(NativeType.ENUM, labels=labels, menu=True)
    async with mirrored(metadata, x(index)) as (_, client):
        while (await read(client, MIRROR, ChannelType.ENUM)).data.tolist() != [index]:
            pass
        for kind in (ChannelType.CTRL_ENUM, ChannelType.LONG, ChannelType.TIME_DOUBLE):
            assert (await read(client, MIRROR, kind)).data.tolist() == [index]
        assert text_of(await read(client, MIRROR, ChannelType.TIME_STRING)) == text
        ctrl = (await read(client, MIRROR, ChannelType.CTRL_ENUM)).metadata
        assert [bytes(label).rstrip(b"\0") for label in ctrl.enum_strings][:3] == [
            b"",
            b"Open",
            b"Closed",
        ]


async def test_what_came_as_latin_1_has_the_same_bytes_in_its_mirror() -> None:
    metadata = replace(X, units=decoded(b"\xb0C"))
    async with mirrored(metadata, x(1.0)) as (service, client):
        ctrl = (await read(client, MIRROR, ChannelType.CTRL_DOUBLE)).metadata
        assert bytes(ctrl.units).rstrip(b"\0") == b"\xb0C"
        labels = (decoded(b"10 \xb5m"), "20 µm")
        service.publish(MirrorOpened("stage.mode", Metadata(NativeType.ENUM, labels=labels)))
        service.publish(Update("mon", 0, "stage.mode"))
        mode = "ORCH:MON:stage:mode"
        ctrl = (await read(client, mode, ChannelType.CTRL_ENUM)).metadata
        told = [bytes(label).rstrip(b"\0") for label in ctrl.enum_strings]
        assert told == [b"10 \xb5m", "20 µm".encode()]
        shown = (await read(client, mode, ChannelType.STRING)).data[0]
        assert bytes(shown).rstrip(b"\0") == b"10 \xb5m"


@pytest.mark.parametrize("text", [b"20 \xb0C", "20 °C".encode(), b"0123456789"])
async def test_a_text_and_an_array_of_it_have_the_bytes_of_their_source(text: bytes) -> None:
    string, array = Metadata(NativeType.STRING), Metadata(NativeType.CHAR, count=10, text=True)
    async with mirrored(string, x(decoded(text))) as (service, client):
        while text not in bytes((await read(client, MIRROR, ChannelType.STRING)).data[0]):
            pass
        long = await read(client, f"{MIRROR}.VAL$", ChannelType.CHAR)
        assert long.data.tobytes().rstrip(b"\0") == text
        mode = "ORCH:MON:stage:mode"
        service.publish(MirrorOpened("stage.mode", array))
        service.publish(Update("mon", decoded(text), "stage.mode"))
        while (reply := await read(client, mode, ChannelType.CHAR)).data.tolist() == [0]:
            pass
        assert reply.data.tobytes().rstrip(b"\0") == text
