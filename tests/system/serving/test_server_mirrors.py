"""Mirrors, samples and what else is published, as clients see it."""

from __future__ import annotations

import numpy as np
import pytest
from ioc_kit_clients import until
from service_kit import LOOPBACK, config, says, serving

from orchestrator.api import Api
from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.errors import InputError
from orchestrator.queues import request_queue
from orchestrator.transports.ca import Server, pv_names
from orchestrator.types import (
    Alarm,
    Limits,
    Metadata,
    MirrorOpened,
    NativeType,
    Severity,
    Update,
)

POSITION = Metadata(
    NativeType.DOUBLE,
    units="mm",
    precision=4,
    control=Limits(-10.0, 10.0),
    display=Limits(-11.0, 11.0),
    warning=Limits(-8.0, 8.0),
    alarm=Limits(-9.0, 9.0),
)


async def test_a_mirror_appears_when_its_channel_connects_with_all_that_is_known_of_it() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            v = await caget("ORCH:MON:stage:x", format=FORMAT_CTRL, timeout=20)
            say(float(v), v.units, v.precision, v.lower_ctrl_limit, v.upper_ctrl_limit)
            say(v.lower_disp_limit, v.upper_alarm_limit, v.lower_warning_limit)
            v = await caget("ORCH:MON:stage:x", format=FORMAT_TIME)
            say(v.timestamp, v.severity, v.status)
            say((await cainfo("ORCH:MON:stage:x")).write)
            say(float(await caget("ORCH:MON:stage:x.VAL")))
        """)
        stamp = 1_700_000_000.25
        service.publish(
            MirrorOpened("stage.x", POSITION),
            Update("mon", 8.5, "stage.x", Severity.MINOR, 4, stamp),
        )
        await says(client, [8.5, "mm", 4, -10.0, 10.0], [-11.0, 9.0, -8.0], [stamp, 1, 4], [False])
        await says(client, [8.5])


async def test_an_enum_is_mirrored_with_its_labels() -> None:
    async with serving() as service:
        service.publish(
            MirrorOpened("stage.mode", Metadata(NativeType.ENUM, labels=("Off", "Slow", "Off"))),
            Update("mon", 2, "stage.mode"),
        )
        client = await service.clients.aioca("""
            v = await caget("ORCH:MON:stage:mode", format=FORMAT_CTRL)
            say(int(v), v.enums, str(await caget("ORCH:MON:stage:mode", datatype=str)))
        """)
        await says(client, [2, ["Off", "Slow", "Off"], "Off"])


TYPES = [
    (Metadata(NativeType.STRING), "text", "text"),
    (Metadata(NativeType.STRING, count=3), ("a", "b"), ["a", "b"]),
    (Metadata(NativeType.LONG), -70_000, -70_000),
    (Metadata(NativeType.SHORT, count=4), np.array([1, 2], np.int16), [1, 2]),
    (Metadata(NativeType.FLOAT), 0.5, 0.5),
    (Metadata(NativeType.CHAR), 0, 0),
    (Metadata(NativeType.CHAR, count=5), np.array([7, 0, 0], np.uint8), [7, 0, 0]),
    (Metadata(NativeType.DOUBLE, count=4), np.array([1.5, 2.5]), [1.5, 2.5]),
    (Metadata(NativeType.ENUM, count=2, labels=("a", "b")), np.array([1, 0]), [1, 0]),
]
"""What is known of a channel, its value, and what a client sees."""


async def test_every_type_is_mirrored_as_it_is() -> None:
    names = [f"types.{metadata.native.name}_{metadata.count}" for metadata, _, _ in TYPES]
    channels = {name: ChannelConfig(name, name) for name in names}
    chain = {"types": ChainConfig("types", "", channels=channels)}
    async with serving(Config(server=LOOPBACK, chain=chain)) as service:
        for name, (metadata, value, _) in zip(names, TYPES, strict=True):
            service.publish(MirrorOpened(name, metadata), Update("mon", value, name))
        client = await service.clients.aioca(f"""
            for name in {names}:
                pv = "ORCH:MON:" + name.replace(".", ":")
                v = await caget(pv)
                seen = v.tolist() if hasattr(v, "tolist") else v
                say(name, (await cainfo(pv)).count, seen)
        """)
        for name, (metadata, _, seen) in zip(names, TYPES, strict=True):
            await says(client, [name, metadata.count, seen])


async def test_a_char_array_that_is_text_is_mirrored_as_text() -> None:
    async with serving() as service:
        service.publish(
            MirrorOpened("stage.x", Metadata(NativeType.CHAR, count=100, text=True)),
            Update("mon", "a long text " * 5, "stage.x"),
        )
        client = await service.clients.aioca("""
            say(await caget("ORCH:MON:stage:x", datatype=DBR_CHAR_STR))
            say((await cainfo("ORCH:MON:stage:x")).count)
        """)
        await says(client, ["a long text " * 5], [100])


async def test_a_lost_channel_keeps_its_value_in_alarm_and_comes_back_without_one() -> None:
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", POSITION), Update("mon", 1.0, "stage.x"))
        client = await service.clients.aioca("""
            def show(v):
                say(float(v), v.severity, v.status)
            camonitor("ORCH:MON:stage:x", show, format=FORMAT_TIME, all_updates=True)
            await told()
        """)
        await says(client, [1.0, 0, 0])
        service.publish(Update("mon", 1.0, "stage.x", Severity.INVALID, Alarm.LINK))
        await says(client, [1.0, 3, 14])
        service.publish(MirrorOpened("stage.x", POSITION), Update("mon", 2.0, "stage.x"))
        await says(client, [2.0, 0, 0])


async def test_a_channel_that_comes_back_with_other_words_and_limits_shows_them() -> None:
    """An IOC that was restarted with another database; its clients stay connected."""
    channels = "stage.x", "stage.mode"
    before = POSITION, Metadata(NativeType.ENUM, labels=("Off", "On"))
    after = (
        Metadata(NativeType.DOUBLE, units="um", precision=1, control=Limits(-5.0, 5.0)),
        Metadata(NativeType.ENUM, labels=("Out", "In", "Moving")),
    )
    async with serving() as service:
        for channel, metadata in zip(channels, before, strict=True):
            service.publish(MirrorOpened(channel, metadata), Update("mon", 1, channel))
        client = await service.clients.aioca("""
            for _ in range(2):
                x, mode = await caget(
                    ["ORCH:MON:stage:x", "ORCH:MON:stage:mode"], format=FORMAT_CTRL
                )
                say(float(x), x.units, x.precision, x.upper_ctrl_limit, x.upper_alarm_limit)
                say(int(mode), mode.enums, x.ok and mode.ok)
                await told()
        """)
        await says(client, [1.0, "mm", 4, 10.0, 9.0], [1, ["Off", "On"], True])
        for channel, metadata in zip(channels, after, strict=True):
            service.publish(MirrorOpened(channel, metadata), Update("mon", 2, channel))
        await until(lambda: not service.published.figures.waiting)
        await client.tell()
        await says(client, [2.0, "um", 1, 5.0, 0.0], [2, ["Out", "In", "Moving"], True])
        await client.tell()


async def test_a_channel_that_comes_back_with_another_type_is_found_anew() -> None:
    # libca looks for a channel again some 10 s after its server has withdrawn it.
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", POSITION), Update("mon", 1.0, "stage.x"))
        client = await service.clients.aioca("""
            camonitor("ORCH:MON:stage:x", lambda v: say(v.ok), notify_disconnect=True)
            await told()
            say((await cainfo("ORCH:MON:stage:x")).datatype)
        """)
        await says(client, [True])
        service.publish(
            MirrorOpened("stage.x", Metadata(NativeType.LONG)), Update("mon", 5, "stage.x")
        )
        await says(client, [False])
        assert await client.said(timeout=20.0) == [True]
        await client.tell()
        await says(client, [NativeType.LONG])


async def test_a_mirror_of_declared_type_is_undefined_until_its_channel_connects() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            v = await caget("ORCH:MON:stage:known", format=FORMAT_TIME)
            say(float(v), v.severity, v.status)
        """)
        await says(client, [0.0, 3, 17])


async def test_what_is_not_configured_is_not_mirrored() -> None:
    async with serving() as service:
        pvs = service.ioc._context.pvdb
        before = len(pvs)
        for channel in ("ca://OTHER:PV", "OTHER:PV", "stage.deep.name"):
            service.publish(MirrorOpened(channel, POSITION), Update("mon", 1.0, channel))
        service.publish(Update("mon", 1.0, "stage.x"))  # not connected yet
        service.publish(Update("heartbeat", 7))
        await until(lambda: pvs["ORCH:HEARTBEAT"].value == 7)
        assert len(pvs) == before


async def test_a_value_that_a_pv_cannot_take_makes_it_invalid_and_stops_nothing() -> None:
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", POSITION), Update("mon", 1.0, "stage.x"))
        await until(lambda: not service.published.figures.waiting)
        service.publish(
            Update("mon", "not a number", "stage.x"),
            Update("state", "Nonsense"),
            Update("step", np.arange(3)),
            Update("message", 5),
            Update("loop_index", np.zeros(1000)),
            Update("heartbeat", 1),
        )
        client = await service.clients.aioca("""
            await told()
            names = "MON:stage:x STATE STEP message LOOP_INDEX HEARTBEAT".split()
            values = await caget([f"ORCH:{name}" for name in names], format=FORMAT_TIME)
            say([v.severity for v in values])
            say(float(values[0]))
        """)
        pvs = service.ioc._context.pvdb
        await until(lambda: pvs["ORCH:HEARTBEAT"].value == 1)
        await client.tell()
        await says(client, [[3, 3, 3, 3, 3, 0]], [1.0])


async def test_samples_grow_and_are_shown_at_their_length() -> None:
    async with serving() as service:
        service.publish(MirrorOpened("stage.x", POSITION))
        client = await service.clients.aioca("""
            camonitor("ORCH:DATA:stage:x", lambda v: say(len(v)), format=FORMAT_TIME)
            await told()
            v = await caget("ORCH:DATA:stage:x", format=FORMAT_CTRL)
            say(v.tolist(), v.units)
        """)
        await says(client, [0])
        for n in (1, 2, 3):
            service.publish(Update("data", np.arange(float(n)), "stage.x"))
            await says(client, [n])
        await client.tell()
        await says(client, [[0.0, 1.0, 2.0], "mm"])


async def test_samples_beyond_what_the_waveform_holds_are_shown_by_a_larger_one() -> None:
    async with serving() as service:
        service.publish(
            MirrorOpened("stage.x", POSITION), Update("data", np.zeros(100_001), "stage.x")
        )
        client = await service.clients.aioca("""
            v = await caget("ORCH:DATA:stage:x", format=FORMAT_CTRL)
            say(len(v), v.units, (await cainfo("ORCH:DATA:stage:x")).count)
        """)
        await until(lambda: not service.published.figures.waiting)
        await says(client, [100_001, "mm", 1_000_000])


async def test_buffer_and_statistics_are_in_the_units_of_their_channel() -> None:
    async with serving() as service:
        service.publish(
            MirrorOpened("stage.x", POSITION),
            Update("mon_buf", np.array([1.0, 2.0]), "stage.x"),
            Update("mon_mean", 1.5, "stage.x"),
            Update("mon_rate", 10.0, "stage.x"),
        )
        client = await service.clients.aioca("""
            names = ["ORCH:MON:stage:x:BUF", "ORCH:MON:stage:x:MEAN", "ORCH:MON:stage:x:RATE"]
            buffer, mean, rate = await caget(names, format=FORMAT_CTRL)
            say(buffer.tolist(), buffer.units, float(mean), mean.units, float(rate), rate.units)
        """)
        await says(client, [[1.0, 2.0], "mm", 1.5, "mm", 10.0, "1/s"])


async def test_chained_iocs_are_disconnected_until_told_otherwise() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            def show(v):
                say(int(v), v.severity)
            camonitor("ORCH:CHAIN:stage:STATUS", show, format=FORMAT_TIME)
            await told()
            say(int(await caget("ORCH:CHAIN:stage:RECONNECTS")))
        """)
        await says(client, [0, 3])
        service.publish(Update("chain_status", "Partial", "stage", Severity.MINOR, Alarm.LINK))
        await says(client, [1, 1])
        service.publish(Update("chain_status", "Connected", "stage"))
        await says(client, [2, 0])
        service.publish(Update("chain_reconnects", 4, "stage"))
        await until(lambda: not service.published.figures.waiting)
        await client.tell()
        await says(client, [4])


async def test_every_listed_pv_is_served_read_or_written_and_none_else_is_named() -> None:
    names = pv_names(config())
    assert len(names) == len(set(names))
    assert not [name for name in names if "." in name]
    async with serving() as service:
        client = await service.clients.aioca(f"""
            infos = await cainfo({names!r}, timeout=20)
            say(sorted(i.name.removeprefix("ORCH:") for i in infos if i.write))
            values = await caget({names!r}, timeout=20)
            say(all(v.ok for v in values))
        """)
        written = "ABORT ANSWER ARGS AUTOMATION CMD Nested_Indices PAUSE SEQ SKIP START STOP"
        await says(client, [written.split()], [True])
        assert list(service.ioc._context.pvdb) == names


async def test_there_is_no_pv_by_which_a_client_can_end_the_service() -> None:
    assert not [name for name in pv_names(Config()) if "SYSRESET" in name]


async def test_a_prefix_may_have_braces() -> None:
    async with serving(config(prefix="XF:31ID{Orch:1}")) as service:
        client = await service.clients.aioca(
            """
            say(float(await caget("XF:31ID{{Orch:1}}BUSY")), \\
                int(await caget("XF:31ID{{Orch:1}}STATS:PROCESS_ID", datatype=float)) > 0)
        """.replace("{{", "{").replace("}}", "}")
        )
        assert (await client.said())[0] == 0.0


async def test_two_channels_whose_pvs_would_have_one_name_are_an_error() -> None:
    channels = {
        name: ChannelConfig(name, name, buffer=buffer, type=NativeType.DOUBLE)
        for name, buffer in (("s.x", 10), ("s.x.BUF", 0))
    }
    clashing = Config(server=LOOPBACK, chain={"s": ChainConfig("s", "", channels=channels)})
    with pytest.raises(InputError, match="ORCH:MON:s:x:BUF"):
        Server(clashing, Api(request_queue()))


async def test_stopping_publishes_what_waits_first() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            camonitor("ORCH:HEARTBEAT", lambda v: say(v.ok and int(v)), notify_disconnect=True)
            await told()
        """)
        await says(client, [0])
        stopped = client
        for beat in range(1, 4):
            service.publish(Update("heartbeat", beat))
        service.publish(Update("step", 99))
        service.publish(Update("heartbeat", 5))
        pvs = service.ioc._context.pvdb
        await service.ioc.room()
    assert pvs["ORCH:STEP"].value == 99
    assert stopped.ended


async def test_loop_indices_are_none_before_the_first_loop_and_clients_are_counted() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            say((await caget("ORCH:LOOP_INDEX")).tolist())
            camonitor("ORCH:CLIENTS:COUNT", lambda v: v and say(int(v)))
            await told()
        """)
        await says(client, [[]], [1])
        await client.tell()
