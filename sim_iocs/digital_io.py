"""Eight digital outputs and eight digital inputs, by the bit and by the word.

Prefix `SIM:DIO:`:

| PV             | type   | unit | meaning                                                       |
| -------------- | ------ | ---- | ------------------------------------------------------------- |
| DO0 … DO7      | enum   |      | Low, High: outputs.                                           |
| DO:Word        | int    |      | All outputs, DO0 the lowest bit: 0 … 255.                     |
| DI0 … DI7      | enum   |      | Low, High: inputs.                                            |
| DI:Word        | int    |      | All inputs.                                                   |
| DI:Simulated   | int    |      | What is wired to the inputs while Loopback is Off.            |
| Loopback       | enum   |      | Off, On: the inputs are wired to the outputs.                 |
| Pulse          | int    |      | A pulse of DO`n` for a put of n: High, then as it was. A      |
|                |        |      | put-callback completes at its end. Pulses wait for each other.|
| PulseWidth     | double | s    | Of the pulse.                                                 |
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import ChannelType, SkipWrite
from caproto.server import PVGroup, SubGroup, pvproperty

LINES = 8

_LEVEL = {"value": "Low", "dtype": ChannelType.ENUM, "enum_strings": ["Low", "High"]}
_WORD = {"value": 0, "lower_ctrl_limit": 0, "upper_ctrl_limit": 2**LINES - 1}
_TIME = {"units": "s", "precision": 3, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 60.0}


class Outputs(SimGroup):
    """The outputs by the bit."""

    bit0 = pvproperty(name="0", **_LEVEL)
    bit1 = pvproperty(name="1", **_LEVEL)
    bit2 = pvproperty(name="2", **_LEVEL)
    bit3 = pvproperty(name="3", **_LEVEL)
    bit4 = pvproperty(name="4", **_LEVEL)
    bit5 = pvproperty(name="5", **_LEVEL)
    bit6 = pvproperty(name="6", **_LEVEL)
    bit7 = pvproperty(name="7", **_LEVEL)

    async def group_write(self, instance: Any, value: str) -> None:
        """A put to one of them; called by caproto where there is no putter."""
        bit = 1 << int(instance.pvname[-1])
        word = self.parent.do_word.value
        await self.parent.drive(word | bit if value == "High" else word & ~bit)
        raise SkipWrite  # drive has posted it


class Inputs(SimGroup):
    """The inputs by the bit."""

    bit0 = pvproperty(name="0", read_only=True, **_LEVEL)
    bit1 = pvproperty(name="1", read_only=True, **_LEVEL)
    bit2 = pvproperty(name="2", read_only=True, **_LEVEL)
    bit3 = pvproperty(name="3", read_only=True, **_LEVEL)
    bit4 = pvproperty(name="4", read_only=True, **_LEVEL)
    bit5 = pvproperty(name="5", read_only=True, **_LEVEL)
    bit6 = pvproperty(name="6", read_only=True, **_LEVEL)
    bit7 = pvproperty(name="7", read_only=True, **_LEVEL)


class DigitalIOC(SimGroup):
    """One module of inputs and outputs."""

    outputs = SubGroup(Outputs, prefix="DO")
    inputs = SubGroup(Inputs, prefix="DI")
    do_word = pvproperty(name="DO:Word", doc="all outputs", **_WORD)
    di_word = pvproperty(name="DI:Word", doc="all inputs", read_only=True, value=0)
    simulated = pvproperty(name="DI:Simulated", doc="wired to the inputs", **_WORD)
    loopback = pvproperty(
        name="Loopback",
        value="On",
        dtype=ChannelType.ENUM,
        enum_strings=["Off", "On"],
        doc="inputs wired to outputs",
    )
    pulse = pvproperty(
        name="Pulse", value=0, lower_ctrl_limit=0, upper_ctrl_limit=LINES - 1, doc="which output"
    )
    pulse_width = pvproperty(name="PulseWidth", value=0.1, doc="of the pulse", **_TIME)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pulses = asyncio.Lock()

    async def drive(self, word: int) -> None:
        """Set the outputs, and what is wired to them."""
        await _show(self.outputs, self.do_word, word)
        if self.loopback.value == "On":
            await _show(self.inputs, self.di_word, word)

    @do_word.putter
    async def do_word(self, instance: Any, value: int) -> None:
        """Set all outputs."""
        del instance
        await self.drive(value)
        raise SkipWrite  # drive has posted it

    @simulated.putter
    async def simulated(self, instance: Any, value: int) -> None:
        """Set the inputs, if they are not wired to the outputs."""
        del instance
        if self.loopback.value == "Off":
            await _show(self.inputs, self.di_word, value)

    @loopback.putter
    async def loopback(self, instance: Any, value: str) -> str:
        """Wire the inputs anew."""
        del instance
        word = self.do_word.value if value == "On" else self.simulated.value
        await _show(self.inputs, self.di_word, word)
        return value  # caproto would keep the raw number of the put instead of this label

    @pulse.putter
    async def pulse(self, instance: Any, value: int) -> None:
        """Pulse an output; returns when it is over."""
        del instance
        bit = 1 << value
        async with self._pulses:
            was = self.do_word.value & bit
            await self.drive(self.do_word.value | bit)
            await asyncio.sleep(self.pulse_width.value)
            await self.drive(self.do_word.value & ~bit | was)


async def _show(bits: PVGroup, word: Any, value: int) -> None:
    """Post the bits that have changed, then the word."""
    for number in range(LINES):
        level = "High" if value >> number & 1 else "Low"
        bit = getattr(bits, f"bit{number}")
        if bit.value != level or bit.alarm.severity:
            await post(bit, level)
    await post(word, value)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(DigitalIOC, argv, default_prefix="SIM:DIO:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
