"""One cell: a fault, a moment, a kind of IOC; what became of the run, and what is wrong with it."""

from __future__ import annotations

import json
import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.bench.matrix.expected import expected
from orchestrator.bench.matrix.injections import INJECTIONS, Injection
from orchestrator.bench.matrix.moments import MOMENTS, Moment
from orchestrator.bench.matrix.testbed import Testbed, TestbedError
from orchestrator.bench.matrix.victims import PREFIX, VICTIMS
from sim_iocs.testing import RefusedError
from sim_iocs.testing.client import Pending
from sim_iocs.testing.outcome import Event
from sim_iocs.testing.polling import until

_TRACES = re.compile(r'Traceback|"exception"|internal error|never retrieved|was destroyed')
_NAMED = re.compile(r"\bd\.(sp|rbv|take|seq)\b|: d is disconnected|\bd, index")
"""A message names a channel of the victim by its alias; of a sequence server, the server."""
_MOST_LINES = 100
"""That one cell may add to the service's log."""
_GIVE_UP_S = 15.0
"""Until a run must have ended that is aborted three times."""
_SLACK_S = 6.0
"""Beyond the bound of a moment: the machine does other things as well."""
_PROOF = """
steps:
  - set: {pv: w.passed, value: 0.25}
  - set: {pv: d.sp, value: 2, readback: d.rbv, timeout: 20}
"""


class Cell(NamedTuple):
    """What is tried."""

    victim: str
    fault: str
    moment: str

    @property
    def name(self) -> str:
        """Of the command line."""
        return "/".join(self)

    @property
    def wired(self) -> bool:
        """Whether a proxy stands between."""
        return INJECTIONS[self.fault].wired or MOMENTS[self.moment].latency > 0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one cell."""

    victim: str
    fault: str
    moment: str
    status: str
    """Of the run; "none" where it did not end."""
    seconds: float
    """From the strike, or from the start where that came later, to the end of the run."""
    message: str
    findings: tuple[str, ...]
    """What is wrong; none where all is as it should be."""


def all_cells() -> list[Cell]:
    """Every cell that makes sense."""
    return [
        Cell(victim, fault, moment)
        for victim in VICTIMS
        for moment, when in MOMENTS.items()
        if victim in when.victims
        for fault, what in INJECTIONS.items()
        if victim in what.victims
    ]


class _Run:
    """The run of a cell, followed by the service's events."""

    def __init__(self, bed: Testbed) -> None:
        self._bed = bed
        self._after = len(bed.events)
        self._waiting: Pending | None = None

    def start(self, name: str) -> None:
        service = self._bed.service
        service.put("SEQ", name)
        service.put("ARGS", "{}")
        self._waiting = service.client.put_later(f"{service.prefix}START", 1, timeout=120)

    @property
    def events(self) -> list[Event]:
        return self._bed.events[self._after :]

    @property
    def ended(self) -> Event | None:
        return next((event for event in self.events if event.kind == "run_ended"), None)

    def until_step(self, text: str) -> None:
        def entered() -> bool:
            return any(
                text in event["name"] for event in self.events if event.kind == "step_started"
            )

        until(entered, 20, f"the step {text!r}")

    @property
    def entered(self) -> bool:
        """Whether its first step was."""
        return any(event.kind == "step_started" for event in self.events)

    def until_ended(self, deadline: float) -> Event | None:
        while self.ended is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.ended

    def give_up(self) -> None:
        """Abort it, three times if that is what it takes."""
        for _ in range(3):
            self._bed.service.put("ABORT", 1)
            if self.until_ended(time.monotonic() + _GIVE_UP_S / 3):
                return
        raise TestbedError("a run does not end though it was aborted three times")

    def replied(self) -> bool:
        """Whether the put to START has been answered."""
        assert self._waiting is not None  # noqa: S101 - it was started
        with suppress(RefusedError):
            until(lambda: self._waiting is not None and self._waiting.done, 5)
        return self._waiting.done


def run_cell(bed: Testbed, cell: Cell, seed: int) -> Result:
    """Try one; the testbed is healed before, not after it.

    Raises:
        TestbedError: The testbed is of no more use.
    """
    moment, injection = MOMENTS[cell.moment], INJECTIONS[cell.fault]
    dice = random.Random(f"{seed} {cell.name}")  # noqa: S311 - to be repeated, not to be secret
    if injection.loses:
        bed.until_calm()
    if moment.latency:
        bed.proxy.latency_s = moment.latency
    bed.prepare(moment.take)
    log, beats, begun = len(bed.log), bed.service.get("HEARTBEAT"), time.monotonic()
    run = _Run(bed)
    struck = _strike(bed, run, moment, injection, dice)
    moment.drive(bed)
    deadline = max(struck, time.monotonic()) + moment.bound + (injection.lasts or 0) + _SLACK_S
    ended = run.until_ended(deadline)
    findings = [] if ended else [f"hung: not ended {deadline - struck:.0f} s after the strike"]
    if not ended:
        run.give_up()
    ended = run.until_ended(time.monotonic() + 1)
    assert ended is not None  # noqa: S101 - give_up has seen to it
    seconds = time.monotonic() - struck
    beaten = bed.service.get("HEARTBEAT") - beats
    if beaten < time.monotonic() - begun - 2.5:
        findings.append(f"{beaten} heartbeats in {time.monotonic() - begun:.1f} s")
    findings += _judged(bed, run, cell, ended)
    findings += _judged_log(bed.log[log:])
    return Result(
        *cell,
        status=str(ended["status"]),
        seconds=seconds,
        message=str(ended["message"]),
        findings=tuple(findings),
    )


def prove(bed: Testbed) -> list[str]:
    """Whether the healed victim can be used as if nothing had been; what is wrong."""
    bed.prepare(bed.victim.quick)
    run = _Run(bed)
    run.start(bed.service.sequence(_PROOF, "proof"))
    ended = run.until_ended(time.monotonic() + 40)
    if ended is None:
        run.give_up()
        return ["after it was healed: a run does not end"]
    if ended["status"] != "Success":
        return [f"after it was healed: {ended['status']}: {ended['message']}"]
    return []


def _strike(
    bed: Testbed, run: _Run, moment: Moment, injection: Injection, dice: random.Random
) -> float:
    """Start the run, and strike at the moment; the time of what came later."""
    if moment.inner:
        bed.service.sequence(moment.inner, "inner")
    name = moment.python or bed.service.sequence(moment.document(), "cell")
    strike = injection.strike, injection.lasts, injection.end
    if moment.first:
        bed.strike(*strike)
        bed.until_over(5.0)
        time.sleep(1.0)
        run.start(name)
        return time.monotonic()
    run.start(name)
    if moment.here:
        run.until_step(moment.here)
    moment.reached(bed)
    time.sleep(dice.uniform(0.0, 0.2))
    bed.strike(*strike)
    return time.monotonic()


def _judged(bed: Testbed, run: _Run, cell: Cell, ended: Event) -> list[str]:
    """What is wrong with how it ended."""
    status, message = str(ended["status"]), str(ended["message"])
    allowed = expected(cell.fault, MOMENTS[cell.moment].need)
    found = []
    if status not in allowed:
        found.append(f"{status} where {' or '.join(allowed)} was expected")
    if status not in ("Success", "Stopped") and not _names_it(message):
        found.append("the message names no PV of it")
    finals = 11 if cell.moment == "run" else 1
    if bed.finals != (finals if run.entered else 0):
        found.append(f"finalisers: {bed.finals} where {finals if run.entered else 0} was expected")
    if sum(event.kind == "run_ended" for event in run.events) != 1:
        found.append("more than one end")
    if not run.replied():
        found.append("the put to START was not answered")
    for name, wanted in (("BUSY", 0), ("STATE", "Idle"), ("STATUS", status)):
        with suppress(AssertionError):
            bed.service.until(name, wanted, timeout=5)
            continue
        found.append(f"{name} is {bed.service.get(name)!r} after the end")
    return found


def _judged_log(text: str) -> list[str]:
    """What is wrong with what the service has told meanwhile."""
    lines = text.splitlines()
    found = [f"log: {line[:300]}" for line in lines if _TRACES.search(line)][:3]
    if len(lines) > _MOST_LINES:
        kinds = {json.loads(line).get("event", "") for line in lines if line.startswith("{")}
        found.append(f"{len(lines)} lines of log: {', '.join(sorted(kinds))}"[:300])
    return found


def _names_it(message: str) -> bool:
    return PREFIX in message or _NAMED.search(message) is not None
