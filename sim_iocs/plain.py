"""Plain PVs, one of each type: they keep what is written to them.

Prefix `SIM:PLAIN:`:

| PV      | type     | unit | meaning                                                     |
| ------- | -------- | ---- | ----------------------------------------------------------- |
| Double  | double   | mm   | -100 … 100; MINOR beyond ±80, MAJOR beyond ±95.             |
| Integer | int      |      | Any 32-bit integer.                                         |
| Choice  | enum     |      | Red, Green, Blue.                                           |
| Word    | string   |      | 39 bytes of text, as an EPICS string.                       |
| Text    | text     |      | 499 bytes of text, as a char array.                         |
| Array   | double[] |      | Up to 10 of them; it may be shorter, and empty.             |
| Fixed   | int      |      | 42; nobody can write it.                                    |

There is no code behind them: limits, labels and lengths are checked by caproto, which refuses
what does not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orchestrator.ioc import TextPV
from sim_iocs.base import SimGroup, run_sim  # first: it sets caproto up

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty

_DOUBLE = {
    "units": "mm",
    "precision": 3,
    "lower_ctrl_limit": -100.0,
    "upper_ctrl_limit": 100.0,
    "lower_alarm_limit": -95.0,
    "lower_warning_limit": -80.0,
    "upper_warning_limit": 80.0,
    "upper_alarm_limit": 95.0,
}


class PlainIOC(SimGroup):
    """A PV of each type."""

    double = pvproperty(name="Double", value=0.0, doc="a number with limits", **_DOUBLE)
    integer = pvproperty(name="Integer", value=0, doc="an integer")
    choice = pvproperty(
        name="Choice",
        value="Red",
        dtype=ChannelType.ENUM,
        enum_strings=["Red", "Green", "Blue"],
        doc="one of three",
    )
    word = pvproperty(name="Word", value="", dtype=ChannelType.STRING, doc="short text")
    text = pvproperty(name="Text", value="", dtype=TextPV, max_length=500, doc="long text")
    array = pvproperty(name="Array", value=[1.0, 2.0, 3.0], max_length=10, doc="numbers")
    fixed = pvproperty(name="Fixed", value=42, read_only=True, doc="read only")


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(PlainIOC, argv, default_prefix="SIM:PLAIN:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
