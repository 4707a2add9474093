"""Two motors with the fields of the motor record that sequences and scans use.

Prefix `SIM:STAGE:`, motors `X` and `Y`:

| PV        | type   | unit | meaning                                                            |
| --------- | ------ | ---- | ------------------------------------------------------------------ |
| X, X.VAL  | double | mm   | Target. A put-callback completes when the motor stands (DMOV = 1). |
| X.RBV     | double | mm   | Where it is, 20 times a second while it moves.                     |
| X.DMOV    | int    |      | 1 = stands. Each put pulses it 1, 0, 1, a move of no length too.   |
| X.MOVN    | int    |      | 1 = moves.                                                         |
| X.STOP    | int    |      | 1 slows down to standstill; VAL becomes the position reached.      |
| X.SPMG    | enum   |      | Stop: as STOP, and puts fail from then on. Pause: stands, while an |
|           |        |      | outstanding put waits. Move: one move, then Pause. Go: as ever.    |
| X.VELO    | double | mm/s | Speed.                                                             |
| X.ACCL    | double | s    | Time from standstill to speed.                                     |
| X.HLM     | double | mm   | High limit: a put above is refused.                                |
| X.LLM     | double | mm   | Low limit; both equal = no limits.                                 |
| X.RLV     | double | mm   | Moves by this much from VAL; 0 again when it stands.               |
| X.TWV     | double | mm   | Tweak step: X.TWF moves by it, X.TWR back (1; 0 when it stands).   |
| X.HOMF    | int    |      | 1 goes home, where OFF is the position; so does X.HOMR.            |
| X.OFF     | double | mm   | User position at home; a put shifts VAL, RBV and limits.           |
| X.SET     | enum   |      | Use, Set: a put to VAL then moves nothing, but sets OFF.           |
| X.TDIR    | int    |      | 1 = the last move went up.                                         |
| X.HLS     | int    |      | 1 = stands at the end of its travel, 12 mm from home; only without |
|           |        |      | limits can it get there. VAL becomes the position reached.         |
| X.LLS     | int    |      | The same at the low end.                                           |
| X.LVIO    | int    |      | 1 = stands beyond a limit that was set since.                      |
| X.EGU     | string |      | Unit of position.                                                  |
| X.PREC    | int    |      | Digits after the point.                                            |
| X.DESC    | string |      | Description.                                                       |

Fixed, since clients ask for them: X.RTYP motor, X.DIR Pos, X.FOFF Variable, X.VMAX, X.MRES and
X.RDBD. These are the fields of ophyd's EpicsMotor, ophyd-async's Motor and pyepics's Motor.

A put during a move turns to the new target once the motor has slowed down; the earlier
put-callback completes with the later one, and STOP completes both. (EPICS motor record, field
reference: DMOV, STOP; put-callbacks complete by its forward link, when DMOV becomes 1.)
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from typing import Any

from sim_iocs.base import SimGroup, post, run_sim, wait  # first: it sets caproto up
from sim_iocs.physics import Brake, Move

# isort: split
from caproto import ChannelType, SkipWrite
from caproto.server import SubGroup, pvproperty

TICK = 0.05
"""Seconds between two readbacks of a moving motor."""

_INSTANT = 1e-9
"""Seconds."""

TRAVEL = 12.0
"""mm from home to either end."""

_POSITION = {"units": "mm", "precision": 4, "lower_disp_limit": -10.0, "upper_disp_limit": 10.0}
_TARGET = {**_POSITION, "lower_ctrl_limit": -10.0, "upper_ctrl_limit": 10.0}
_SPEED = {"units": "mm/s", "precision": 3, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 100.0}
_TIME = {"units": "s", "precision": 3, "lower_ctrl_limit": 0.001, "upper_ctrl_limit": 10.0}


_LENGTH = {"units": "mm", "precision": 4}


def _choice(name: str, *labels: str, value: str = "", read_only: bool = False) -> Any:
    """An enum, at first its first label if no other is given."""
    return pvproperty(
        name=name,
        value=value or labels[0],
        dtype=ChannelType.ENUM,
        enum_strings=labels,
        read_only=read_only,
    )


def _finite(pv: Any, value: float) -> None:
    """Refuse what is no position: NaN would stay in all that is reckoned from it.

    Raises:
        ValueError: it is none.
    """
    if not math.isfinite(value):
        raise ValueError(f"{pv.pvname} takes a finite position: {value}")


class Axis(SimGroup):
    """One motor."""

    val = pvproperty(name="", value=0.0, doc="target", **_TARGET)
    rbv = pvproperty(name=".RBV", value=0.0, read_only=True, doc="position", **_POSITION)
    dmov = pvproperty(name=".DMOV", value=1, read_only=True, doc="stands")
    movn = pvproperty(name=".MOVN", value=0, read_only=True, doc="moves")
    stop = pvproperty(name=".STOP", value=0, doc="1 stops")
    spmg = _choice(".SPMG", "Stop", "Pause", "Move", "Go", value="Go")
    velo = pvproperty(name=".VELO", value=2.0, doc="speed", **_SPEED)
    accl = pvproperty(name=".ACCL", value=0.1, doc="time from standstill to speed", **_TIME)
    hlm = pvproperty(name=".HLM", value=10.0, units="mm", precision=4, doc="high limit")
    llm = pvproperty(name=".LLM", value=-10.0, units="mm", precision=4, doc="low limit")
    rlv = pvproperty(name=".RLV", value=0.0, doc="moves by this much", **_LENGTH)
    twv = pvproperty(name=".TWV", value=0.1, doc="tweak step", **_LENGTH)
    twf = pvproperty(name=".TWF", value=0, doc="1 tweaks up")
    twr = pvproperty(name=".TWR", value=0, doc="1 tweaks down")
    homf = pvproperty(name=".HOMF", value=0, doc="1 goes home")
    homr = pvproperty(name=".HOMR", value=0, doc="1 goes home")
    off = pvproperty(name=".OFF", value=0.0, doc="user position at home", **_LENGTH)
    set_mode = _choice(".SET", "Use", "Set")
    tdir = pvproperty(name=".TDIR", value=1, read_only=True, doc="1 = went up")
    hls = pvproperty(name=".HLS", value=0, read_only=True, doc="1 = at the high end")
    lls = pvproperty(name=".LLS", value=0, read_only=True, doc="1 = at the low end")
    lvio = pvproperty(name=".LVIO", value=0, read_only=True, doc="1 = beyond a limit")
    rtyp = pvproperty(name=".RTYP", value="motor", dtype=ChannelType.STRING, read_only=True)
    direction = _choice(".DIR", "Pos", "Neg", read_only=True)
    foff = _choice(".FOFF", "Variable", "Frozen", read_only=True)
    vmax = pvproperty(name=".VMAX", value=100.0, read_only=True, doc="highest VELO", **_SPEED)
    mres = pvproperty(name=".MRES", value=1e-4, read_only=True, doc="of a step", **_LENGTH)
    rdbd = pvproperty(name=".RDBD", value=1e-4, read_only=True, doc="counts as there", **_LENGTH)
    egu = pvproperty(name=".EGU", value="mm", dtype=ChannelType.STRING, read_only=True)
    prec = pvproperty(name=".PREC", value=4, read_only=True)
    desc = pvproperty(name=".DESC", value="simulated motor", dtype=ChannelType.STRING)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._target: float | None = None  # None: stop where it is
        self._asked = asyncio.Event()
        self._stands = asyncio.Event()
        self._stands.set()

    @val.startup
    async def val(self, instance: Any, async_lib: Any) -> None:
        """Move whenever asked to; the only writer of RBV, and of DMOV = 1."""
        del instance, async_lib
        while True:
            await self._asked.wait()
            while self._asked.is_set():
                self._asked.clear()
                await self._drive()
            await self._arrive()

    @val.putter
    async def val(self, instance: Any, value: float) -> float:
        """Go there; returns when the motor stands, wherever that is by then."""
        _finite(instance, value)
        if self.set_mode.value == "Set":
            await self._shift(value - self.rbv.value)
            raise SkipWrite
        if self.spmg.value == "Stop":
            raise RuntimeError(f"{instance.pvname} takes no target: {self.spmg.pvname} is Stop")
        await post(self.dmov, 0)
        await post(instance, value)
        self._stands.clear()
        self._target = value
        self._asked.set()
        await self._stands.wait()
        raise SkipWrite  # or else caproto posts the target once more

    @stop.putter
    async def stop(self, instance: Any, value: int) -> int:
        """Stop; returns when the motor stands, and the record's field is 0 again."""
        del instance
        if value and not self._stands.is_set():
            self._target = None
            self._asked.set()
            await self._stands.wait()
        return 0

    @spmg.putter
    async def spmg(self, instance: Any, value: str) -> None:
        """Stop, hold or free it; stopping returns when the motor stands."""
        await post(instance, value)
        if value == "Stop":
            await self.stop.putter(instance, 1)
        elif not self._stands.is_set():
            self._asked.set()
        raise SkipWrite  # it has been posted

    @rlv.putter
    async def rlv(self, instance: Any, value: float) -> float:
        """Move by this much; returns when the motor stands."""
        del instance
        await self.val.write(self.val.value + value)
        return 0.0

    @twf.putter
    async def twf(self, instance: Any, value: int) -> int:
        """Move up by the tweak step; returns when the motor stands."""
        del instance
        if value:
            await self.val.write(self.val.value + self.twv.value)
        return 0

    @twr.putter
    async def twr(self, instance: Any, value: int) -> int:
        """Move down by the tweak step; returns when the motor stands."""
        del instance
        if value:
            await self.val.write(self.val.value - self.twv.value)
        return 0

    @homf.putter
    async def homf(self, instance: Any, value: int) -> int:
        """Go home; returns when the motor stands."""
        del instance
        if value:
            await self.val.write(self.off.value)
        return 0

    @homr.putter
    async def homr(self, instance: Any, value: int) -> int:
        """As `homf`: where home is, is known."""
        return await self.homf.putter(instance, value)  # type: ignore[no-any-return]

    @off.putter
    async def off(self, instance: Any, value: float) -> float:
        """Call the same places by other positions."""
        _finite(instance, value)
        await self._shift(value - instance.value)
        raise SkipWrite  # it has been posted

    @hlm.putter
    async def hlm(self, instance: Any, value: float) -> None:
        """Clients see the limit in the metadata of VAL, and are refused beyond it."""
        _finite(instance, value)
        await self.val.write_metadata(upper_ctrl_limit=value, upper_disp_limit=value)
        await post(instance, value)
        await self._judge()
        raise SkipWrite  # it has been posted

    @llm.putter
    async def llm(self, instance: Any, value: float) -> None:
        """As `hlm`."""
        _finite(instance, value)
        await self.val.write_metadata(lower_ctrl_limit=value, lower_disp_limit=value)
        await post(instance, value)
        await self._judge()
        raise SkipWrite  # it has been posted

    async def _shift(self, by: float) -> None:
        """Add to all user positions; nothing moves.

        Raises:
            RuntimeError: it moves now.
        """
        if not self._stands.is_set():
            raise RuntimeError(f"{self.val.pvname} moves: its offset can be set when it stands")
        position = self.rbv.value + by
        await post(self.off, self.off.value + by)
        await post(self.rbv, position)
        await post(self.val, position)
        for limit in (self.hlm, self.llm):
            await limit.write(limit.value + by)

    async def _drive(self) -> None:
        """Do what is asked for; in a pause, wait until something else is."""
        if self._target is None:
            return
        if self.spmg.value == "Pause":
            await self._asked.wait()
            return
        await post(self.movn, 1)
        await self._move(self._target)
        await post(self.movn, 0)

    async def _move(self, target: float) -> None:
        """Go to a target, or slow down to standstill if something else is asked for meanwhile."""
        low, high = self._ends
        move = Move(self.rbv.value, min(max(target, low), high), self.velo.value, self.accl.value)
        if move.duration:
            await post(self.tdir, int(move.stop > move.start))
        t = await self._follow(move, self._asked)
        if t < move.duration - _INSTANT:
            rate = move.speed / move.ramp
            await self._follow(Brake(move.position(t), move.velocity(t), rate), asyncio.Event())

    async def _follow(self, motion: Move | Brake, until: asyncio.Event) -> float:
        """Publish positions until the motion's end or an event; returns its time by then."""
        clock = asyncio.get_running_loop().time
        began = clock()
        # Less than a clock can tell is no time: on virtual time the rest would never pass.
        while not until.is_set() and (t := clock() - began) < motion.duration - _INSTANT:
            await post(self.rbv, motion.position(t))
            await wait(until, min(TICK, motion.duration - t))
        t = clock() - began
        t = motion.duration if t > motion.duration - _INSTANT else t
        await post(self.rbv, motion.position(t))
        return t

    @property
    def _ends(self) -> tuple[float, float]:
        """User positions of the ends of its travel."""
        return self.off.value - TRAVEL, self.off.value + TRAVEL

    async def _arrive(self) -> None:
        await self._judge()
        if self.val.value != self.rbv.value:  # it was stopped
            await post(self.val, self.rbv.value)
        if self.spmg.value == "Move":
            await post(self.spmg, "Pause")
        await post(self.dmov, 1)
        self._stands.set()

    async def _judge(self) -> None:
        """Show whether it stands beyond its limits, or at an end of its travel."""
        position, (low, high) = self.rbv.value, self._ends
        limited = self.llm.value != self.hlm.value
        for pv, true in (
            (self.lvio, limited and not self.llm.value <= position <= self.hlm.value),
            (self.lls, position <= low),
            (self.hls, position >= high),
        ):
            if pv.value != true:
                await post(pv, int(true))


class MotorIOC(SimGroup):
    """The stage."""

    x = SubGroup(Axis, prefix="X")
    y = SubGroup(Axis, prefix="Y")


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(MotorIOC, argv, default_prefix="SIM:STAGE:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
