"""One round of a soak: a sequence, what is done to it meanwhile, and what must be true after it."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from orchestrator.bench.hostile.attacks import ATTACKS
from orchestrator.bench.soak.programs import PROGRAMS
from orchestrator.bench.soak.testbed import STRUCK, Testbed
from orchestrator.data.journal.reader import Entry, entries_of
from sim_iocs.testing import RefusedError
from sim_iocs.testing.client import Pending
from sim_iocs.testing.outcome import Event

CONTROLS = ("pause", "stop", "abort", "abort twice", "skip", "suspend")
FAULTS = ("killed", "frozen", "slow", "refuses")
_BY_KIT = ("stage", "shutter")
"""IOCs that can be told to be slow."""
_ATTACK_S = 2.0
_BOUND_S = 60.0
"""From the start, or the end of the last thing that was done to it, to the end of the run."""
_TRACES = re.compile(r'Traceback|"exception"|internal error|never retrieved|was destroyed')
_MOST_LINES = 100
"""That one round may add to the service's log."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is tried."""

    number: int
    program: str
    controls: tuple[tuple[float, str], ...] = ()
    """s after the start, and one of `CONTROLS`."""
    fault: str = ""
    victim: str = ""
    struck: float = 0.0
    """s after the start."""
    lasts: float = 0.0
    attack: str = ""

    @property
    def name(self) -> str:
        """Of the line that tells it."""
        controls = [f"{what} at {at:.1f}" for at, what in self.controls]
        fault = [f"{self.victim} {self.fault} at {self.struck:.1f}"] if self.fault else []
        attack = [f"attack {self.attack}"] if self.attack else []
        return ", ".join([self.program, *controls, *fault, *attack])


def drawn(dice: random.Random, number: int) -> Round:
    """One of all that a soak does, by chance."""
    program = dice.choice(list(PROGRAMS))
    controls = sorted(
        (round(dice.uniform(0, 3), 2), dice.choice(CONTROLS))
        for _ in range(dice.choice((0, 0, 1, 2)))
    )
    victim = dice.choice(STRUCK)
    fault = dice.choice(FAULTS) if dice.random() < 0.4 else ""
    if fault == "slow" and victim not in _BY_KIT:
        fault = "frozen"
    return Round(
        number,
        program,
        tuple(controls),
        fault,
        victim if fault else "",
        struck=round(dice.uniform(0, 2), 2),
        lasts=round(dice.uniform(0.2, 3), 2),
        attack=dice.choice(list(ATTACKS)) if dice.random() < 0.3 else "",
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one round."""

    round: Round
    status: str
    """Of the run; "none" where it did not end."""
    seconds: float
    message: str
    findings: tuple[str, ...]
    """What is wrong; none where all is as it should be."""


class _Conduct:
    """The run of a round, and what is done to it at its times."""

    def __init__(self, bed: Testbed, what: Round) -> None:
        self._bed, self._round = bed, what
        self._after = len(bed.service.events)
        self._waiting: Pending | None = None

    @property
    def events(self) -> list[Event]:
        """Of this run."""
        return self._bed.service.events[self._after :]

    @property
    def ended(self) -> Event | None:
        """Its last event, where it has ended."""
        return next((event for event in self.events if event.kind == "run_ended"), None)

    def start(self) -> None:
        """Ask for it; what refuses it shows in the reply."""
        service, program = self._bed.service, PROGRAMS[self._round.program]
        name = program.python or service.sequence(
            program.document(), f"document_{self._round.program}"
        )
        service.put("SEQ", name)
        service.put("ARGS", "{}")
        self._waiting = service.client.put_later(service.pv("START"), 1, timeout=180)

    def follow(self) -> None:
        """Do everything at its time, and wait for the end of the run, or give it up."""
        begun = time.monotonic()
        for at, act in sorted(self._acts(), key=lambda act: act[0]):
            while time.monotonic() < begun + at:
                time.sleep(0.005)
            with suppress(RefusedError):  # nothing to stop, skip … any more
                act()
        self.until_ended(_BOUND_S)

    def _acts(self) -> Iterator[tuple[float, Callable[[], object]]]:
        service, what = self._bed.service, self._round
        for at, control in what.controls:
            match control:
                case "pause":
                    yield at, lambda: service.put("PAUSE", 1)
                    yield at + 0.7, lambda: service.put("PAUSE", 0)
                case "suspend":
                    yield at, lambda: service.put("w.hold", "Blue")
                    yield at + 0.7, lambda: service.put("w.hold", "Red")
                case "abort twice":
                    yield at, lambda: service.put("ABORT", 1)
                    yield at + 0.1, lambda: service.put("ABORT", 1)
                case _:
                    yield at, partial(service.put, control.upper(), 1)
        if what.fault:
            yield what.struck, self._strike
            yield what.struck + what.lasts, lambda: self._bed.heal(what.victim)

    def _strike(self) -> None:
        ioc = self._bed.ioc(self._round.victim)
        match self._round.fault:
            case "killed":
                ioc.kill()
            case "frozen":
                ioc.freeze()
            case "slow":
                ioc.delay(0.3)
            case _:
                ioc.refuse_writes()

    def until_ended(self, seconds: float) -> Event | None:
        """Wait for its end or its refusal, at most so long."""
        deadline = time.monotonic() + seconds
        while self.ended is None and time.monotonic() < deadline:
            if self._waiting is not None and self._waiting.done and not self._begun:
                return None
            time.sleep(0.01)
        return self.ended

    @property
    def _begun(self) -> bool:
        return any(event.kind == "run_started" for event in self.events)

    def give_up(self) -> bool:
        """Abort it, three times if that is what it takes; whether it has ended then."""
        for _ in range(3):
            self._bed.service.put("ABORT", 1)
            if self.until_ended(5):
                return True
        return False

    def reply(self) -> str | None:
        """Why the put to START failed, empty where it did not; None where nobody has answered."""
        assert self._waiting is not None  # noqa: S101 - it was started
        deadline = time.monotonic() + 5
        while not self._waiting.done and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self._waiting.done:
            return None
        return self._bed.service.reply_of(self._waiting)


def conducted(bed: Testbed, what: Round, seed: int) -> Result:
    """Carry one out.

    Raises:
        AssertionError: An IOC that is there is not found again.
        ServiceError: The service has ended.
    """
    bed.prepare()
    log, (then, beats) = len(bed.service.log), bed.beats()
    run = _Conduct(bed, what)
    with _attacked(bed, what.attack, seed + what.number):
        run.start()
        run.follow()
        findings = [] if run.ended else [f"not ended {_BOUND_S:.0f} s after all was as before"]
        if run.ended is None and not run.give_up():
            return Result(what, "none", 0.0, "", (*findings, "nor by three aborts"))
    now, beats_now = bed.beats()
    if beats_now - beats < now - then - 2.5:
        findings.append(f"{beats_now - beats} heartbeats in {now - then:.1f} s")
    ended = run.ended
    assert ended is not None  # noqa: S101 - give_up has seen to it
    findings += _judged(bed, run, what, ended)
    findings += _judged_log(bed.service.log[log:], attacked=bool(what.attack))
    return Result(what, str(ended["status"]), now - then, str(ended["message"]), tuple(findings))


@contextmanager
def _attacked(bed: Testbed, attack: str, seed: int) -> Iterator[None]:
    if not attack:
        yield
        return
    words = [attack, str(seed), str(_ATTACK_S), json.dumps(asdict(bed.target))]
    with subprocess.Popen(  # noqa: S603 - a program of ours
        [sys.executable, "-P", "-m", "orchestrator.bench.hostile.attacks", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
            process.wait(60)
        finally:
            process.kill()


def _judged(bed: Testbed, run: _Conduct, what: Round, ended: Event) -> list[str]:
    status = str(ended["status"])
    entries = _whole_journal(bed.service.directory / "runs" / "runs" / str(ended["run_id"]))
    found = _judged_status(entries, what, status)
    entered = any(entry["event"] == "step_entered" for entry in entries)
    finals = int(bed.service.get("w.finals"))
    if finals != int(entered):
        found.append(f"finalisers: {finals} where {int(entered)} was expected")
    if sum(event.kind == "run_ended" for event in run.events) != 1:
        found.append("more than one end")
    reply = run.reply()
    if reply is None:
        found.append("the put to START was not answered")
    elif (reply == "") != (status == "Success"):
        found.append(f"the put to START told {reply or 'success'!r} of {status}")
    for name, wanted in (("BUSY", 0), ("STATE", "Idle"), ("STATUS", status)):
        if (shown := bed.service.get(name)) != wanted:
            found.append(f"{name} is {shown!r} after the end")
    return found + _judged_data(bed, what, ended, entries)


def _judged_status(entries: Sequence[Entry], what: Round, status: str) -> list[str]:
    in_time = _controls_in_time(entries)
    if "abort" in in_time and status in ("Success", "Stopped"):
        return [f"{status} though it was aborted"]
    if "stop" in in_time and status == "Success":
        return ["Success though it was stopped"]
    asked = {control for _, control in what.controls}
    disturbed = what.fault or asked & {"stop", "abort", "abort twice", "skip"}
    if status != "Success" and not disturbed:
        return [f"{status} where nothing was done to it"]
    if status == "Aborted" and not asked & {"abort", "abort twice"}:
        return ["Aborted though nobody asked for it"]
    return []


def _controls_in_time(entries: Sequence[Entry]) -> set[str]:
    """What was asked of a run before its last step, of the finalisers too, was done."""
    last = max((at for at, entry in enumerate(entries) if entry["event"] == "step_left"), default=0)
    return {str(entry["verb"]) for entry in entries[:last] if entry["event"] == "controlled"}


def _judged_data(bed: Testbed, what: Round, ended: Event, entries: Sequence[Entry]) -> list[str]:
    status = ended["status"]
    rows = sum(entry["event"] == "row" for entry in entries)
    found = []
    if (shown := int(bed.service.get("DATA:NPTS"))) != rows:
        found.append(f"DATA:NPTS {shown} where the journal has {rows} rows")
    if entries[-1].get("status") != status:
        found.append(f"the journal ends with {entries[-1]}")
    if (in_file := _rows_in(str(ended["data_file"]))) != rows:
        found.append(f"{in_file} rows in the file, {rows} in the journal")
    skipped = any(control == "skip" for _, control in what.controls)
    if status == "Success" and not skipped:
        if bed.service.get("w.passed") != 1:
            found.append("Success, and its last step was not done")
        wanted = PROGRAMS[what.program].rows
        if wanted and rows != wanted:
            found.append(f"Success with {rows} rows where {wanted} were expected")
    return found


def _whole_journal(folder: Path) -> list[Entry]:
    """What a run's journal has; its last lines are in the file 20 ms after they are kept."""
    deadline = time.monotonic() + 2
    while (entries := list(entries_of(folder)))[-1]["event"] != "run_ended":
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return entries


def _rows_in(file: str) -> int:
    if not file:
        return 0
    return len(Path(file).with_suffix(".csv").read_text(encoding="utf-8").splitlines()) - 1


def _judged_log(text: str, *, attacked: bool) -> list[str]:
    lines = text.splitlines()
    found = [f"log: {line[:300]}" for line in lines if _TRACES.search(line)][:3]
    most = 2 * _MOST_LINES if attacked else _MOST_LINES
    if len(lines) > most:
        found.append(f"{len(lines)} lines of log")
    return found
