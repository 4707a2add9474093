"""Moments of a run at which something is struck: the sequences, and how it is seen to be there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import indent

from orchestrator.bench.matrix.testbed import Testbed
from orchestrator.bench.matrix.victims import PREFIX
from sim_iocs.testing.polling import until

_DEVICES = ("records", "caproto")
_STEP_S = 15.0
"""Until a moment must have come."""
_PATIENCE_S = 3.0
"""Of an operator."""

Act = Callable[[Testbed], None]


def _nothing(_: Testbed) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment."""

    doc: str
    need: str
    """What the run needs of the victim from then on: one of `expected.NEEDS`."""
    steps: str = ""
    """Of the document, between `w.passed` = 0.5 and = 1."""
    head: str = ""
    """Other fields of the document."""
    last: str = ""
    """Finalisers, before that which counts in `w.finals`."""
    python: str = ""
    """In place of a document: a sequence of `plans`."""
    inner: str = ""
    """The document of the sequence `inner`."""
    take: float = 1.5
    """See `Testbed.prepare`."""
    bound: float = 9.0
    """s after the strike in which the run must have ended, and those that `drive` takes."""
    reached: Act = _nothing
    """Returns when it is there, after the step `here`."""
    here: str = "here"
    """The name of the step; empty = none is waited for."""
    first: bool = False
    """Whether it is struck before the start."""
    drive: Act = _nothing
    """What an operator or the device does after the strike, once that is over where it ends."""
    latency: float = 0.0
    """s that the wire takes each way from the start on."""
    victims: tuple[str, ...] = _DEVICES

    def document(self) -> str:
        """Its text."""
        last = indent(self.last.strip(), "  ")
        return (
            f"{self.head}\nsteps:\n  - set: {{pv: w.passed, value: 0.5}}\n"
            f"{indent(self.steps.strip(), '  ')}\n  - set: {{pv: w.passed, value: 1}}\nfinally:\n"
            f'{last}\n  - set: {{pv: w.finals, value: "=w.finals + 1"}}\n'
        )


# How it is seen -----------------------------------------------------------------------------------


def _asked(bed: Testbed) -> None:
    bed.direct.until(f"{PREFIX}{bed.victim.sp}", 1, _STEP_S)


def _there(bed: Testbed) -> None:
    bed.direct.until(f"{PREFIX}{bed.victim.rbv}", 1, _STEP_S)


def _moves(bed: Testbed) -> None:
    until(lambda: bed.direct.read(f"{PREFIX}{bed.victim.rbv}") > 0.1, _STEP_S, "a move")


def _passed(bed: Testbed) -> None:
    bed.service.until("w.passed", 0.5, timeout=_STEP_S)


def _done(bed: Testbed) -> None:
    bed.service.until("w.passed", 1, timeout=_STEP_S)


def _pause(bed: Testbed) -> None:
    bed.service.put("PAUSE", 1)
    bed.service.until("STATE", "Paused", timeout=_STEP_S)


def _suspend(bed: Testbed) -> None:
    bed.service.put("w.hold", "Blue")
    bed.service.until("STATE", "Suspended", timeout=_STEP_S)


# What is done then --------------------------------------------------------------------------------


def _move(bed: Testbed) -> None:
    """Somebody else moves it, as soon as that is possible."""
    bed.until_found()
    bed.later(lambda: until(lambda: bed.moved(9), _STEP_S))


def _resume(bed: Testbed) -> None:
    bed.until_found()
    bed.service.put("PAUSE", 0)


def _let_go(bed: Testbed) -> None:
    bed.until_found()
    bed.service.put("w.hold", "Red")


def _operate(bed: Testbed) -> None:
    """What an operator does with a run that a suspender holds: resume it, or else stop it."""
    bed.until_found()
    for name, value in (("PAUSE", 0), ("STOP", 1)):
        time.sleep(_PATIENCE_S)
        if bed.service.get("STATE") != "Suspended":
            return
        bed.service.put(name, value)


MOMENTS: Mapping[str, Moment] = {
    "before": Moment(
        "before the start",
        "check",
        "- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 5}",
        take=0.1,
        here="",
        first=True,
        bound=12,
    ),
    "start": Moment(
        "with the start",
        "start",
        "- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 5}",
        take=0.1,
        here="",
        bound=12,
    ),
    "put": Moment(
        "a put-callback is outstanding",
        "completion",
        "- set: {pv: d.sp, value: 1, timeout: 5}\n  name: here",
        reached=_asked,
    ),
    "patient": Moment(
        "the same, with a timeout of 20 s",
        "patience",
        "- set: {pv: d.sp, value: 1, timeout: 20}\n  name: here",
        reached=_asked,
        bound=24,
    ),
    "readback": Moment(
        "a readback is awaited",
        "readback",
        "- set: {pv: d.sp, value: 1, completion: false, readback: d.rbv, timeout: 5}\n  name: here",
        reached=_asked,
    ),
    "settle": Moment(
        "it settles",
        "settle",
        "- set: {pv: d.sp, value: 1, readback: d.rbv, settle: 2, timeout: 6}\n  name: here",
        take=0.1,
        reached=_there,
    ),
    "wait": Moment(
        "a value is awaited that somebody else brings about",
        "update",
        "- wait: {pv: d.rbv, above: 5, timeout: 12}\n  name: here",
        take=0.1,
        bound=15,
        drive=_move,
    ),
    "hold": Moment(
        "a value has to stay",
        "hold",
        "- wait: {pv: d.rbv, below: 5, hold: 2, timeout: 5}\n  name: here",
    ),
    "delay": Moment(
        "in a delay before a set",
        "put",
        "- delay: 1.5\n  name: here\n- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 5}",
        take=0.1,
    ),
    "sample": Moment(
        "rows are taken",
        "get",
        "- loop: {count: 30}\n  do:\n"
        "    - sample: [d.sp, d.rbv]\n      name: here\n    - delay: 0.05",
        bound=20,
    ),
    "get": Moment(
        "a get is under way, by a slow wire",
        "get_once",
        "- sample: {channels: [d.sp, d.rbv], timeout: 4}\n  name: here",
        latency=0.3,
    ),
    "scan": Moment(
        "in a scan",
        "scan",
        "- loop: {pv: d.sp, from: 0, to: 5, num: 6, readback: d.rbv, timeout: 5}\n"
        "  do:\n    - sample: [d.sp, d.rbv]\n      name: here",
        take=0.3,
        bound=20,
    ),
    "parallel": Moment(
        "a put-callback is outstanding in a branch of two",
        "completion",
        "- parallel:\n    - set: {pv: d.sp, value: 1, timeout: 5}\n    - delay: 3",
        here="",
        reached=_asked,
    ),
    "run": Moment(
        "a put-callback is outstanding in a sequence that another one runs",
        "completion",
        "- run: {sequence: inner}",
        inner="steps:\n  - set: {pv: d.sp, value: 1, timeout: 5}\n    name: here\n"
        'finally:\n  - set: {pv: w.finals, value: "=w.finals + 10"}\n',
        reached=_asked,
    ),
    "retry": Moment(
        "a put-callback is outstanding in a set that is tried six times",
        "retry",
        "- set: {pv: d.sp, value: 1, timeout: 3}\n  name: here\n  on_error: {retry: 5, delay: 0.7}",
        reached=_asked,
        bound=28,
    ),
    "held": Moment(
        "in a delay before a set with on_disconnect: wait",
        "held",
        "- delay: 1\n  name: here\n- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 8}\n"
        "  on_disconnect: wait",
        take=0.1,
        bound=13,
    ),
    "paused": Moment(
        "it is paused; then a set",
        "put_back",
        "- delay: 1\n  name: here\n- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 5}",
        take=0.1,
        reached=_pause,
        drive=_resume,
    ),
    "suspended": Moment(
        "it is suspended by another IOC; then a set",
        "put_back",
        "- delay: 1\n  name: here\n- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 5}",
        head="suspend: {other: {when: \"w.hold == 'Blue'\"}}",
        take=0.1,
        reached=_suspend,
        drive=_let_go,
    ),
    "watched": Moment(
        "a suspender watches it",
        "watched",
        "- delay: 3\n  name: here",
        head='suspend: {other: {when: "d.rbv > 50"}}',
        drive=_operate,
    ),
    "finally": Moment(
        "a put-callback is outstanding in a finaliser",
        "finaliser",
        "- log: steps",
        last="- set: {pv: d.sp, value: 1, timeout: 5}\n  name: here",
        reached=_asked,
    ),
    "end": Moment(
        "the last step has been done",
        "nothing",
        "- set: {pv: d.sp, value: 1, readback: d.rbv, timeout: 5}",
        take=0.1,
        here="",
        reached=_done,
    ),
    "python_put": Moment(
        "a put-callback is outstanding in a Python sequence",
        "completion",
        python="matrix_put",
        here="d.sp",
        reached=_asked,
    ),
    "python_parallel": Moment(
        "the same in run.parallel",
        "completion",
        python="matrix_parallel",
        here="",
        reached=_asked,
    ),
    "python_scan": Moment(
        "in a scan of a Python sequence",
        "scan",
        python="matrix_scan",
        here="",
        reached=_moves,
        take=0.3,
        bound=20,
    ),
    "machine": Moment(
        "a machine waits for a value that somebody else brings about",
        "machine",
        python="matrix_machine",
        here="",
        reached=_passed,
        drive=_move,
        take=0.1,
        bound=20,
    ),
    "loading": Moment(
        "before a trajectory is loaded",
        "loading",
        "- delay: 1\n  name: here\n"
        '- trajectories: {servers: {d: "linear(start=0, end=2, step=1)"}, timeout: 5}',
        take=100,
        victims=("server",),
    ),
    "moving": Moment(
        "a server moves to an index",
        "moving",
        '- trajectories: {servers: {d: "linear(start=0, end=2, step=1)"}, timeout: 5}\n'
        "- nested: {over: [d], timeout: 6}\n  do:\n    - sample: [d.rbv]",
        take=0.7,
        here="",
        reached=_moves,
        victims=("server",),
        bound=18,
    ),
    "between": Moment(
        "between two indices",
        "between",
        '- trajectories: {servers: {d: "linear(start=0, end=2, step=1)"}, timeout: 5}\n'
        "- nested: {over: [d], timeout: 6}\n  do:\n    - delay: 1.2\n      name: here\n"
        "    - sample: [w.passed]",
        take=100,
        victims=("server",),
        bound=18,
    ),
}
