import caproto as ca
import numpy as np
import pytest

from orchestrator.ioc import TextChannel, fitting
from orchestrator.transports.ca.mirrors import make_mirror, take_metadata
from orchestrator.transports.ca.writing import write
from orchestrator.types import Metadata, NativeType, Update

DOUBLE = ca.ChannelDouble(value=0.0)
LONG = ca.ChannelInteger(value=0)
WAVE = ca.ChannelDouble(value=[0.0], max_length=3)
ENUM = ca.ChannelEnum(value="a", enum_strings=("a", "b"))
ALIKE = ca.ChannelEnum(value=0, enum_strings=("", "on", ""))
STRING = ca.ChannelString(value="")
STRINGS = ca.ChannelString(value=[""], max_length=2)
TEXT = TextChannel(value="")


@pytest.mark.parametrize(
    ("channel", "value", "kept"),
    [
        (DOUBLE, 1, 1.0),
        (DOUBLE, np.float32(0.5), 0.5),
        (DOUBLE, True, 1.0),
        (LONG, np.int16(-3), -3),
        (ENUM, "b", "b"),
        (ENUM, 1, "b"),
        (ALIKE, 2, 2),  # its label is that of another state as well
        (STRING, "text", "text"),
        (STRINGS, ("a", "b"), ["a", "b"]),
        (STRINGS, "a", ["a"]),
        (TEXT, "text", "text"),
    ],
)
def test_a_value_is_kept_in_the_channels_own_terms(
    channel: ca.ChannelData, value: object, kept: object
) -> None:
    assert fitting(channel, value) == kept


def test_an_array_is_kept_without_a_copy() -> None:
    array = np.arange(3.0)
    assert fitting(WAVE, array) is array


@pytest.mark.parametrize(
    "native", [NativeType.CHAR, NativeType.SHORT, NativeType.LONG, NativeType.DOUBLE]
)
async def test_the_mirror_of_an_empty_array_can_be_read(native: NativeType) -> None:
    """caproto fails at reading an empty array of CHAR: no client could, nor we post it."""
    mirror = make_mirror(Metadata(native, count=10))
    await write(mirror, Update("mon", np.zeros(10, np.uint8)))
    await write(mirror, Update("mon", np.zeros(0, np.uint8)))
    for form in ("", "TIME_", "CTRL_"):
        _, data = await mirror.read(ca.ChannelType[f"{form}{mirror.data_type.name}"])
        assert len(data) == 0


@pytest.mark.parametrize(
    ("stamp", "nanoseconds", "second"),
    [
        (1_795_214_249.000065, 65_535, 1_795_214_249),
        (1_795_214_250.0, 999_999_990, 1_795_214_249),  # rounded up by the float
        (631_152_000.0, 0, 631_152_000),  # of a record that was never processed
    ],
)
async def test_the_stamp_of_a_mirror_is_exact(stamp: float, nanoseconds: int, second: int) -> None:
    """Facilities count pulses in the last bits of the nanoseconds."""
    mirror = make_mirror(Metadata(NativeType.LONG))
    await write(mirror, Update("mon", 1, timestamp=stamp, nanoseconds=nanoseconds))
    kept = mirror.epics_timestamp
    assert (kept.secondsSinceEpoch + 631_152_000, kept.nanoSeconds) == (second, nanoseconds)


@pytest.mark.parametrize(
    ("channel", "value"),
    [
        (DOUBLE, "1.0"),
        (DOUBLE, np.arange(2.0)),
        (DOUBLE, None),
        (LONG, float("nan")),
        (LONG, "x"),
        (LONG, 2**31),
        (WAVE, np.arange(4.0)),
        (WAVE, np.zeros((2, 2))),
        (WAVE, np.array(["a"])),
        (ENUM, "c"),
        (ENUM, 2),
        (ENUM, -1),
        (ENUM, 0.5),
        (STRING, 5),
        (STRINGS, ("a", "b", "c")),
        (STRINGS, ("a", 1)),
        (TEXT, 5),
    ],
)
def test_a_value_that_no_client_could_read_is_refused(
    channel: ca.ChannelData, value: object
) -> None:
    with pytest.raises(ValueError, match="this PV takes "):
        fitting(channel, value)


@pytest.mark.parametrize(
    "native", [NativeType.CHAR, NativeType.SHORT, NativeType.LONG, NativeType.FLOAT]
)
@pytest.mark.parametrize(
    ("units", "sent"),
    [
        ("V", b"V"),
        ("µm", "µm".encode()),
        ("kΩ", "kΩ".encode()),
        ("�" * 8, "��".encode()),  # 8 bytes at most
    ],
)
async def test_units_reach_the_clients_of_a_mirror_as_utf8(
    native: NativeType, units: str, sent: bytes
) -> None:
    """caproto encodes as latin-1: what that has not could neither be read nor be posted."""
    mirror = make_mirror(Metadata(native, units=units))
    metadata, _ = await mirror.read(ca.ChannelType[f"CTRL_{mirror.data_type.name}"])
    assert metadata.units == sent
    mirror = make_mirror(Metadata(native))
    await take_metadata(mirror, Metadata(native, units=units))
    metadata, _ = await mirror.read(ca.ChannelType[f"CTRL_{mirror.data_type.name}"])
    assert metadata.units == sent


async def test_labels_reach_the_clients_of_a_mirror_as_utf8() -> None:
    mirror = make_mirror(Metadata(NativeType.ENUM, labels=("1 kΩ", "�" * 25)))
    metadata, _ = await mirror.read(ca.ChannelType.CTRL_ENUM)
    assert [bytes(label) for label in metadata.enum_strings] == [
        "1 kΩ".encode(),
        ("�" * 8).encode(),  # 26 bytes with the NUL (MAX_ENUM_STRING_SIZE)
    ]
    _, data = await mirror.read(ca.ChannelType.STRING)
    assert list(data) == ["1 kΩ".encode()]
