"""A crate of two modules of two channels each: groups of PVs in groups of PVs.

Prefix `SIM:CRATE:`, modules `M0` (500 V) and `M1` (3000 V), channels `CH0` and `CH1`:

| PV             | type   | unit | meaning                                                      |
| -------------- | ------ | ---- | ------------------------------------------------------------ |
| M0:CH0:Set     | double | V    | Wanted: 0 … what its module gives; beyond that it is refused.|
| M0:CH0:Voltage | double | V    | There: Set while the crate is On, otherwise 0.               |
| M0:Total       | double | V    | Of the module's channels.                                    |
| Power          | enum   |      | Off, On: of all channels.                                    |
| Fan:Speed      | int    | rpm  | 600, and 600 more for each channel that gives a voltage.     |

Channels tell their module, modules their crate; each class knows only its own PVs and its parent.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import ChannelType
from caproto.server import SubGroup, pvproperty

_VOLTS = {"units": "V", "precision": 1}


class Channel(SimGroup):
    """One output."""

    set = pvproperty(name="Set", value=0.0, doc="wanted", **_VOLTS)
    voltage = pvproperty(name="Voltage", value=0.0, read_only=True, doc="there", **_VOLTS)

    @set.putter
    async def set(self, instance: Any, value: float) -> None:
        """Take what the module can give."""
        if not 0 <= value <= self.parent.most:
            limits = f"0 … {self.parent.most:g} V"
            raise ValueError(f"{instance.pvname}: {value:g} V is not within {limits}")
        await self.drive(value)

    async def drive(self, wanted: float) -> None:
        """Give the voltage, if there is power."""
        await post(self.voltage, wanted if self.parent.parent.power.value == "On" else 0.0)
        await self.parent.add_up()


class Module(SimGroup):
    """Two channels that can give the same voltage."""

    channel0 = SubGroup(Channel, prefix="CH0:")
    channel1 = SubGroup(Channel, prefix="CH1:")
    total = pvproperty(name="Total", value=0.0, read_only=True, doc="of its channels", **_VOLTS)

    def __init__(self, *args: Any, most: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most = most

    @property
    def channels(self) -> tuple[Channel, Channel]:
        """Both."""
        return self.channel0, self.channel1

    async def add_up(self) -> None:
        """A channel has changed."""
        await post(self.total, sum(channel.voltage.value for channel in self.channels))
        await self.parent.cool()


class CrateIOC(SimGroup):
    """Two modules, of which each is made with a limit of its own."""

    module0 = SubGroup(Module, prefix="M0:", most=500.0)
    module1 = SubGroup(Module, prefix="M1:", most=3000.0)
    power = pvproperty(
        name="Power", value="On", dtype=ChannelType.ENUM, enum_strings=["Off", "On"], doc="of all"
    )

    @SubGroup(prefix="Fan:")
    class fan(SimGroup):  # noqa: N801 - the class is a sub-group's name at the same time
        """Where a class is used once, it can stand where it is used."""

        speed = pvproperty(name="Speed", value=600, units="rpm", read_only=True, doc="of the fan")

    @property
    def channels(self) -> list[Channel]:
        """Of both modules."""
        return [*self.module0.channels, *self.module1.channels]

    @power.putter
    async def power(self, instance: Any, value: str) -> str:
        """Switch all channels; they show 0 V or what is set."""
        await post(instance, value)
        for channel in self.channels:
            await channel.drive(channel.set.value)
        return value  # caproto would keep the raw number of the put instead of this label

    async def cool(self) -> None:
        """A module has changed."""
        busy = sum(channel.voltage.value > 0 for channel in self.channels)
        await post(self.fan.speed, 600 * (1 + busy))


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(CrateIOC, argv, default_prefix="SIM:CRATE:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
