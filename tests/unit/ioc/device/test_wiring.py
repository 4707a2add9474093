"""The table of a device group: what is wrong with a line is told before anything starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from caproto import AlarmStatus, ChannelType
from caproto.server import pvproperty

from orchestrator.ioc import (
    Device,
    DeviceGroup,
    Direct,
    Group,
    Published,
    Queued,
    Read,
    TextPV,
    WiringError,
    limit_alarm,
)
from orchestrator.ioc.device.wiring import Wiring
from orchestrator.ioc.pvs.posting import fitting


class Lamp(Device):
    """What the tables are wired to."""

    color = "red"

    def set_power(self, watts: float) -> None: ...

    async def set_later(self, watts: float) -> None: ...


def grouped(table: Wiring, device: Any = None) -> DeviceGroup:
    class LampIOC(DeviceGroup):
        wiring = table
        power = pvproperty(value=0.0)
        color = pvproperty(value="")
        own = pvproperty(value=0.0)

        @own.putter
        async def own(self, _instance: Any, _value: float) -> None: ...

        @own.getter
        async def own(self, _instance: Any) -> None: ...

    return LampIOC("L:", device=device or Lamp())


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"pwoer": Published()}, "wiring of 'pwoer': the group has no such PV; did you mean 'powe"),
        ({"power": Queued("set_powr")}, "Lamp has no 'set_powr'; did you mean 'set_power'"),
        ({"power": Direct("colour")}, "Lamp has no 'colour'; did you mean 'color'"),
        ({"power": Read("set_later")}, "Lamp.set_later is a coroutine; a device is plain Python"),
        ({"power": Queued()}, "Lamp has no on_put; name a method"),
        ({"own": Queued("set_power")}, "'own': the PV has a putter of its own"),
        ({"own": Read("color")}, "'own': the PV has a getter of its own"),
        ({"power": (Queued("set_power"), Direct("set_power"))}, "put is said twice"),
        ({"power": Published("p"), "own": Published("p")}, "'p' is published to 'power' already"),
        ({"power": "set_power"}, "'set_power' is not Queued, Direct, Read or Published"),
    ],
)
def test_a_line_that_fits_nothing_is_told(table: Wiring, told: str) -> None:
    with pytest.raises(WiringError, match=told):
        grouped(table)


def test_several_entries_of_one_pv_go_together() -> None:
    grouped(
        {"power": (Queued("set_power"), Published()), "color": (Direct("color"), Read("color"))}
    )


def test_a_group_without_a_device_is_told() -> None:
    class NoneIOC(DeviceGroup):
        pass

    with pytest.raises(WiringError, match="NoneIOC names no device_class"):
        NoneIOC("N:")


def test_a_device_whose_init_forgets_its_base_is_told() -> None:
    class Forgetful(Lamp):
        def __init__(self) -> None:
            pass

    with pytest.raises(WiringError, match=r"Forgetful .* calls no super\(\).__init__\(\)"):
        grouped({}, Forgetful())


class Kinds(Group):
    """A PV of each kind."""

    double = pvproperty(value=0.0)
    whole = pvproperty(value=0)
    short = pvproperty(value=0, dtype=ChannelType.INT)
    state = pvproperty(value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    text = pvproperty(dtype=TextPV, value="")
    names = pvproperty(value=["a"], dtype=ChannelType.STRING, max_length=3)
    wave = pvproperty(value=[0.0], max_length=4)
    codes = pvproperty(value=b"0", max_length=4)


@pytest.mark.parametrize(
    ("pv", "value", "kept"),
    [
        ("double", 1, 1.0),
        ("double", np.float32(0.5), 0.5),
        ("double", np.array([2.5]), 2.5),
        ("whole", 3.0, 3),
        ("whole", True, 1),
        ("state", "On", "On"),
        ("state", 1, "On"),
        ("state", np.True_, "On"),
        ("text", "für", "für"),
        ("names", ("a", "b"), ["a", "b"]),
        ("wave", [1, 2], [1, 2]),
        ("wave", np.eye(2), [1, 0, 0, 1]),
        ("wave", 7, [7]),
        ("wave", [], []),
        ("codes", [1, 2], [1, 2]),
        ("codes", [], b""),  # of which caproto can't read an array
    ],
)
def test_a_value_in_the_terms_of_its_pv(pv: str, value: Any, kept: Any) -> None:
    fitted = fitting(getattr(Kinds("K:"), pv), value)
    assert (fitted.tolist() if isinstance(fitted, np.ndarray) else fitted) == kept


@pytest.mark.parametrize(
    ("pv", "value", "told"),
    [
        ("double", "much", "K:double takes a number, not 'much'"),
        ("double", [1, 2], r"a number, not \[1, 2\]"),
        ("double", None, "a number, not None"),
        ("whole", 0.5, "a whole number from -2147483648 to 2147483647, not 0.5"),
        ("whole", 2**31, "not 2147483648"),
        ("whole", math.nan, "not nan"),
        ("short", 40000, "from -32768 to 32767, not 40000"),
        ("state", "Ajar", "Off, On or an index, not 'Ajar'"),
        ("state", 2, "an index, not 2"),
        ("state", None, "not None"),
        ("text", 5, "K:text takes text, not 5"),
        ("names", ["a", "b", "c", "d"], "at most 3 texts"),
        ("names", [1], "at most 3 texts"),
        ("wave", range(5), "at most 4 numbers"),
        ("wave", ["a"], "at most 4 numbers"),
    ],
)
def test_a_value_that_does_not_fit_is_told(pv: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fitting(getattr(Kinds("K:"), pv), value)


def test_the_alarm_by_limits_is_that_of_an_analog_record() -> None:
    class Limited(Group):
        pv = pvproperty(
            value=0.0,
            lower_alarm_limit=-10.0,
            lower_warning_limit=-5.0,
            upper_warning_limit=5.0,
            upper_alarm_limit=10.0,
        )

    pv = Limited("L:").pv
    seen = [limit_alarm(pv, value) for value in (-10, -5.0, 0, 5, 11.0, math.nan, "text")]
    status = [AlarmStatus[name] for name in ("LOLO", "LOW", "NO_ALARM", "HIGH", "HIHI", "UDF")]
    assert seen == list(zip([*status, AlarmStatus.NO_ALARM], [2, 1, 0, 1, 2, 3, 0], strict=True))
