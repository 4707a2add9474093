"""PVs whose names have macros in them, so that one file serves every station and axis.

Prefix `SIM:MACRO:`, macros `station` (A) and `axis` (1):

| PV                        | type   | unit | meaning                                           |
| ------------------------- | ------ | ---- | ------------------------------------------------- |
| {station}:{axis}:Target   | double | mm   | Where it is to be: -10 … 10.                      |
| {station}:{axis}:Readback | double | mm   | Where it is: there at once.                       |
| {station}:Info            | text   |      | Which station and axis this is.                   |

`python -m sim_iocs.macros --macro station=B --macro axis=7` serves `SIM:MACRO:B:7:Target`; a
macro of another name is refused. The prefix may have macros too: `--prefix 'SIM:{station}:'`.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from orchestrator.ioc import TextRO
from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto.server import pvproperty

MACROS = {"station": "A", "axis": "1"}
"""With their defaults."""

_POSITION = {"units": "mm", "precision": 3}


class MacrosIOC(SimGroup):
    """One axis of one station."""

    target = pvproperty(
        name="{station}:{axis}:Target",
        value=0.0,
        lower_ctrl_limit=-10.0,
        upper_ctrl_limit=10.0,
        doc="where it is to be",
        **_POSITION,
    )
    readback = pvproperty(
        name="{station}:{axis}:Readback", value=0.0, read_only=True, doc="where it is", **_POSITION
    )
    info = pvproperty(name="{station}:Info", value="", dtype=TextRO, doc="which one this is")

    @target.putter
    async def target(self, instance: Any, value: float) -> None:
        """Be there."""
        del instance
        await post(self.readback, value)

    @info.startup
    async def info(self, instance: Any, async_lib: Any) -> None:
        """Code has the macros' values too."""
        del async_lib
        await post(instance, "station {station}, axis {axis}".format(**self.macros))


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(MacrosIOC, argv, default_prefix="SIM:MACRO:", desc=__doc__, macros=MACROS)


if __name__ == "__main__":
    sys.exit(main())
