"""What a group of the kit makes of its PVs; without clients."""

from __future__ import annotations

from typing import Any

import pytest
from caproto import ChannelType
from caproto.server import SubGroup, pvproperty

from orchestrator.ioc import Group


class Inner(Group):
    mode = pvproperty(value="zu", enum_strings=["zu", "geöffnet"], dtype=ChannelType.ENUM)


class Pvs(Group):
    """PVs with units or labels that are no ASCII."""

    x = pvproperty(value=1.0, units="µm")
    old = pvproperty(value=1.0, units="µm", string_encoding="latin-1")
    long = pvproperty(value=1.0, units="µ2345678")
    word = pvproperty(value="für", dtype=ChannelType.STRING)
    raw = pvproperty(value=b"\xfc", dtype=ChannelType.CHAR, max_length=10)
    record = pvproperty(value=1.0, units="µm", record="ai")
    inner = SubGroup(Inner, prefix="inner:")


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("x", "µm".encode()),
        ("old", "µm".encode("latin-1")),
        ("long", "µ2345678".encode("latin-1")),  # 9 bytes as UTF-8, where there is room for 8
        ("record", "µm".encode()),
    ],
)
async def test_units_are_utf8_unless_they_are_to_be_otherwise(name: str, units: bytes) -> None:
    metadata, _ = await Pvs("T:").attr_pvdb[name].read(ChannelType.CTRL_DOUBLE)
    assert metadata.units == units


async def test_labels_strings_and_the_fields_of_records_are_utf8_too() -> None:
    pvs = Pvs("T:")
    metadata, _ = await pvs.inner.mode.read(ChannelType.CTRL_ENUM)
    assert metadata.enum_strings[1] == "geöffnet".encode()
    assert await value(pvs.word, ChannelType.STRING) == "für".encode()
    await pvs.record.fields["EGU"].write("µm")
    assert await value(pvs.record.fields["EGU"], ChannelType.STRING) == "µm".encode()


async def test_an_array_of_char_takes_any_bytes() -> None:
    pvs = Pvs("T:")
    await pvs.raw.write(b"\xff\x80")
    assert await value(pvs.raw, ChannelType.CHAR) == b"\xff\x80"


async def value(channel: Any, kind: ChannelType) -> bytes:
    """What a client gets."""
    _, data = await channel.read(kind)
    return b"".join(data) if kind is ChannelType.STRING else bytes(data)
