"""What is done to a chained IOC, or to the wire that leads to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.bench.matrix.testbed import Testbed
from orchestrator.bench.matrix.victims import PREFIX, VICTIMS

_HANGS, _MISSES, _STICKS, _REFUSES, _NAN = 2, 3, 4, 6, 7
"""Modes of `sim_iocs.faulty`."""
_SHORT_S = 1.5
"""Shorter than a step's timeout, and than libca's."""
_LONG_S = 12.0
"""Longer than libca takes to give a connection up: 5 s of silence, and 5 s for an echo."""

Act = Callable[[Testbed], None]


def _nothing(_: Testbed) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault."""

    doc: str
    strike: Act = _nothing
    lasts: float | None = None
    """s after which `end` is called; None = it does not end."""
    end: Act = _nothing
    wired: bool = False
    """Whether it is one of the wire."""
    loses: bool = False
    """Whether the connection is lost by it."""
    victims: tuple[str, ...] = tuple(VICTIMS)
    """Which can have it."""


def _mode(number: int) -> Act:
    return lambda bed: bed.mode(number)


def _alarm(severity: str) -> Act:
    return lambda bed: bed.ioc.alarm(f"{PREFIX}{bed.victim.rbv}", severity)


def _kill(bed: Testbed) -> None:
    bed.ioc.kill()


def _freeze(bed: Testbed) -> None:
    bed.ioc.freeze()


def _thaw(bed: Testbed) -> None:
    bed.ioc.thaw()


def _wire(**state: float | bool) -> Act:
    def set_(bed: Testbed) -> None:
        for name, value in state.items():
            setattr(bed.proxy, name, value)

    return set_


def _deafen_and_cut(bed: Testbed) -> None:
    bed.proxy.deaf = True
    bed.proxy.reset()


def _flap(bed: Testbed) -> None:
    for _ in range(5):
        bed.proxy.reset()
        time.sleep(0.3)


_FAULTY = ("caproto",)
_KIT = ("caproto", "server")

INJECTIONS: Mapping[str, Injection] = {
    "killed": Injection("killed", _kill, loses=True),
    "restarted": Injection(
        "killed, and restarted 0.5 s later", _kill, 0.5, lambda bed: bed.start(bed.ioc), loses=True
    ),
    "moved": Injection(
        "killed, and restarted at another port",
        _kill,
        0.3,
        lambda bed: bed.start(bed.twin),
        loses=True,
    ),
    "retyped": Injection(
        "killed, and restarted with text in the place of numbers",
        _kill,
        0.3,
        lambda bed: bed.start(bed.retyped),
        victims=("records", "caproto"),
        loses=True,
    ),
    "doubled": Injection(
        "another IOC with the same PVs is started", lasts=0, end=lambda bed: bed.start(bed.twin)
    ),
    "frozen": Injection("frozen", _freeze, loses=True),
    "thawed": Injection("frozen for 1.5 s", _freeze, _SHORT_S, _thaw),
    "thawed_late": Injection("frozen for 12 s", _freeze, _LONG_S, _thaw, loses=True),
    "refuses": Injection("takes write access away", lambda bed: bed.ioc.refuse_writes()),
    "refuses_shortly": Injection(
        "takes write access away for 1.5 s",
        lambda bed: bed.ioc.refuse_writes(),
        _SHORT_S,
        lambda bed: bed.ioc.refuse_writes(False),
    ),
    "fails_puts": Injection("fails each put", _mode(_REFUSES), victims=_FAULTY),
    "hangs": Injection("never answers a put-callback", _mode(_HANGS), victims=_FAULTY),
    "sticks": Injection("its readback does not move", _mode(_STICKS), victims=_FAULTY),
    "misses": Injection("its readback ends 0.5 off", _mode(_MISSES), victims=_FAULTY),
    "nan": Injection("its readback is NaN", _mode(_NAN), victims=_FAULTY),
    "late": Injection("answers 0.3 s late", lambda bed: bed.ioc.delay(0.3), victims=_KIT),
    "flood": Injection(
        "posts 5000 updates a second",
        lambda bed: bed.direct.write(f"{PREFIX}FloodRate", 5000),
        victims=_FAULTY,
    ),
    "invalid": Injection("its readback is INVALID", _alarm("INVALID")),
    "invalid_shortly": Injection(
        "its readback is INVALID for 1.5 s", _alarm("INVALID"), _SHORT_S, _alarm("NO_ALARM")
    ),
    "major": Injection("its readback is in MAJOR alarm", _alarm("MAJOR")),
    "slow_wire": Injection(
        "the wire delays by 0.1 s each way, and carries 20 kB/s",
        _wire(latency_s=0.1, bytes_per_s=20_000.0),
        wired=True,
    ),
    "black_hole": Injection(
        "the wire swallows everything", _wire(stalled=True), wired=True, loses=True
    ),
    "black_hole_shortly": Injection(
        "the wire carries nothing for 1.5 s",
        _wire(stalled=True),
        _SHORT_S,
        _wire(stalled=False),
        wired=True,
    ),
    "black_hole_long": Injection(
        "the wire carries nothing for 12 s",
        _wire(stalled=True),
        _LONG_S,
        _wire(stalled=False),
        wired=True,
        loses=True,
    ),
    "cut": Injection(
        "connections are reset once", lambda bed: bed.proxy.reset(), wired=True, loses=True
    ),
    "shut": Injection(
        "connections are reset, new ones refused for 2 s",
        lambda bed: bed.proxy.shut(),
        2.0,
        lambda bed: bed.proxy.open(),
        wired=True,
        loses=True,
    ),
    "flaps": Injection(
        "connections are reset five times in 1.5 s", lasts=0, end=_flap, wired=True, loses=True
    ),
    "deaf": Injection("searches are not answered any more", _wire(deaf=True), wired=True),
    "deaf_and_cut": Injection(
        "connections are reset, searches not answered any more",
        _deafen_and_cut,
        wired=True,
        loses=True,
    ),
    "deaf_shortly": Injection(
        "connections are reset, searches not answered for 3 s",
        _deafen_and_cut,
        3.0,
        _wire(deaf=False),
        wired=True,
        loses=True,
    ),
}
