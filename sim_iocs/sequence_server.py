"""A stage that goes through a trajectory, index by index, as a master wants it.

Prefix `SIM:SEQ:`:

| PV          | type        | unit | meaning                                                       |
| ----------- | ----------- | ---- | ------------------------------------------------------------- |
| VAL         | double      | mm   | Where it is to go, -100 … 100; a put-callback completes there.|
| RBV         | double      | mm   | Where it is.                                                  |
| VELO        | double      | mm/s | How fast it goes.                                             |
| Moves       | int         |      | Moves that it has begun.                                      |
| seq.CMD     | text        |      | A trajectory: `[0, 1.5, 2]`, `linear(start=0, end=10, step=1)`|
| seq.ACK     | int         |      | 0 when a trajectory or an index arrives, 1 when it is loaded  |
|             |             |      | or reached; stays 0 in MAJOR when that failed.                |
| seq.message | text        |      | Why it failed.                                                |
| seq.values  | double[]    |      | The trajectory, in the unit of VAL.                           |
| seq.INDEX   | int[2]      |      | The seq and index that it has reached; posted before seq.ACK. |

The master's index comes from its `Nested_Indices`, over Channel Access (`EPICS_CA_ADDR_LIST`):
`--master ORCH: --name stage` follows `ORCH:Nested_Indices` for the index of `stage`.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from queue import Queue
from typing import Any

from orchestrator.ioc import SequenceServer, SubGroup
from sim_iocs import physics
from sim_iocs.base import SimGroup, run_sim  # first: it sets caproto up

# isort: split
from caproto import SkipWrite
from caproto.server import pvproperty

TRAVEL = 100.0
"""mm, to either side."""

PERIOD = 0.02
"""Seconds between two positions that it tells on its way."""

_POSITION = {"units": "mm", "precision": 3}
_LIMITS = {"lower_ctrl_limit": -TRAVEL, "upper_ctrl_limit": TRAVEL}
_VELOCITY = {"units": "mm/s", "lower_ctrl_limit": 0.01, "upper_ctrl_limit": 100_000.0}


class Stage:
    """The system: plain Python that blocks while it moves, and knows no Channel Access."""

    io_put_queue: Queue[dict[str, Any]]
    """Given by the server: what is put here, by PV name, is published."""
    io_get_queue: Queue[dict[str, Any]]

    def __init__(self, velocity: Callable[[], float]) -> None:
        self._velocity = velocity
        self._position = 0.0
        self._moves = 0

    def io_execute(self, pv_name: str, value: Any) -> None:
        """Go there; called in a thread of the server's."""
        target = float(value)
        if abs(target) > TRAVEL:
            raise ValueError(f"{target} mm lies beyond the travel of ±{TRAVEL:g} mm")
        self._moves += 1
        self.io_put_queue.put({"Moves": self._moves, pv_name: target})
        while self._position != target:
            velocity = self._velocity()
            time.sleep(min(PERIOD, abs(target - self._position) / velocity))
            self._position = physics.ramp(self._position, target, velocity, PERIOD)
            self.io_put_queue.put({"RBV": self._position})


class SequenceStageIOC(SimGroup):
    """One stage and its sequence server."""

    val = pvproperty(name="VAL", value=0.0, doc="where it is to go", **_POSITION, **_LIMITS)
    rbv = pvproperty(name="RBV", value=0.0, doc="where it is", read_only=True, **_POSITION)
    velo = pvproperty(name="VELO", value=500.0, doc="how fast it goes", **_VELOCITY)
    moves = pvproperty(name="Moves", value=0, doc="that it has begun", read_only=True)
    seq = SubGroup(SequenceServer, prefix="seq.", master="ORCH:", name="stage")

    def __init__(self, *args: Any, master: str = "", name: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seq.master = master or self.seq.master
        self.seq.server_name = name or self.seq.server_name
        self.system = Stage(lambda: float(self.velo.value))

    @val.putter
    async def val(self, instance: Any, value: float) -> None:
        """Go there; returns when it has arrived."""
        del instance
        await self.seq.execute(value)
        raise SkipWrite  # the stage has posted it


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(
        SequenceStageIOC,
        argv,
        default_prefix="SIM:SEQ:",
        desc=__doc__,
        options={
            "master": (str, "the master's prefix, or the full name of its Nested_Indices"),
            "name": (str, "its name in Nested_Indices"),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
