"""What is written to the PVs, and what can't be."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import caproto as ca
import pytest
from structlog.testing import capture_logs

from orchestrator.api import EVENTS, Api
from orchestrator.config import ChainConfig, ChannelConfig, Config, HungLimits, LaneConfig
from orchestrator.ioc import IocServer
from orchestrator.transports.ca.requests import Requests
from orchestrator.transports.ca.table import PVTable
from orchestrator.types import Alarm, Metadata, MirrorOpened, NativeType, Severity, Update

NOWHERE = cast(IocServer, None)
"""Asked only where a PV is replaced."""


class Nobody:
    """Where puts would go."""

    def offer(self, item: Any) -> None:
        raise AssertionError("nobody puts")


@pytest.fixture
def table() -> PVTable:
    channels = {"t.x": ChannelConfig("t.x", "X"), "t.long": ChannelConfig("t.long", "LONG")}
    chain = {"t": ChainConfig("t", "", channels=channels)}
    api = Api(Nobody())
    return PVTable(Config(chain=chain), Requests(api, api.subscribe(EVENTS)))


def test_a_value_that_does_not_fit_is_an_error_once_until_one_fits(table: PVTable) -> None:
    async def published() -> list[Any]:
        await table.open_mirror(MirrorOpened("t.x", Metadata(NativeType.LONG)), NOWHERE)
        with capture_logs() as logs:
            for value in (float("nan"), "text", 1.5, 7, "text"):
                await table.publish(Update("mon", value, "t.x"), NOWHERE)
        return [log["event"] for log in logs]

    assert asyncio.run(published()) == ["can't publish"] * 2
    mirror = table.pvdb["ORCH:MON:t:x"]
    assert mirror.value == 7
    assert (mirror.alarm.severity, mirror.alarm.status) == (Severity.INVALID, Alarm.READ)


def test_a_channel_that_can_not_be_mirrored_stops_no_other(table: PVTable) -> None:
    async def opened() -> list[Any]:
        impossible = Metadata(NativeType.DOUBLE, units=cast(str, None))
        with capture_logs() as logs:
            await table.open_mirror(MirrorOpened("t.x", impossible), NOWHERE)
            await table.open_mirror(MirrorOpened("t.long", Metadata(NativeType.LONG)), NOWHERE)
        return [log["event"] for log in logs]

    assert asyncio.run(opened()) == ["can't mirror"]
    assert "ORCH:MON:t:long" in table.pvdb


def test_an_enum_shows_any_index_that_its_ioc_has(table: PVTable) -> None:
    async def published() -> list[int]:
        valve = Metadata(NativeType.ENUM, labels=("", "Open", "Closed"))
        await table.open_mirror(MirrorOpened("t.x", valve), NOWHERE)
        shown = []
        for index in (0, 1, 3, 65535):
            await table.publish(Update("mon", index, "t.x", Severity.MINOR, Alarm.STATE), NOWHERE)
            shown.append(table.pvdb["ORCH:MON:t:x"].value)
        return shown

    assert asyncio.run(published()) == [0, 1, 3, 65535]
    assert table.pvdb["ORCH:MON:t:x"].alarm.severity == Severity.MINOR


def test_the_limits_of_hung_sec_are_told_in_every_lane() -> None:
    api = Api(Nobody())
    config = Config(hung=HungLimits(high=300.0), lanes={"guard": LaneConfig("guard")})
    table = PVTable(config, Requests(api, api.subscribe(EVENTS)))
    for name in ("ORCH:HUNG_SEC", "ORCH:guard:HUNG_SEC"):
        metadata, _ = asyncio.run(table.pvdb[name].read(ca.ChannelType.CTRL_DOUBLE))
        assert metadata.upper_warning_limit == 300.0
        assert math.isnan(metadata.upper_alarm_limit)
        assert math.isnan(metadata.lower_warning_limit)
