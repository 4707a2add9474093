"""What a journal tells of a run, put together: which steps failed, what was put, what was asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.data.journal.reader import Entry, entries_of

LAST_STEPS = 5
"""Steps before the end that an account has, whatever became of them."""
_DONE = "done"
_FAILED = ("failed", "timeout")
_EVENTS = ("controlled", "told", "state_changed", "indices_set")
_MOST = 1000
"""Of each kind, what an account of a very long run has, the newest; the others are counted."""


@dataclass(slots=True)
class PutDone:
    """A put, and what came back."""

    pv: str
    value: object
    began: float
    """Unix s."""
    completion: bool
    ended: float | None = None
    how: str = ""
    """As in the journal; empty: nothing came back."""
    why: str = ""


@dataclass(slots=True)
class StepDone:
    """A step, and what happened in it."""

    number: int
    path: str
    name: str
    loops: tuple[int, ...]
    tries: tuple[int, ...]
    began: float
    """Unix s."""
    ended: float | None = None
    how: str = ""
    """As in the journal; empty: it was never left."""
    why: str = ""
    puts: list[PutDone] = field(default_factory=list)
    met: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """Conditions that came true, each with the readings that made it so, by channel."""
    holds_failed: bool = False
    """Whether it failed because a step in it did."""

    @property
    def failed(self) -> bool:
        """Whether an error ended it."""
        return self.how in _FAILED

    @property
    def finalises(self) -> bool:
        """Whether it is one of the steps that run whatever happened."""
        return "finally" in self.path or "restore" in self.path


@dataclass(slots=True)
class Account:
    """All that is to be told of a run, but for its rows."""

    header: Entry = field(default_factory=dict)
    """Its first line."""
    end: Entry | None = None
    """Its line `run_ended`; None where there is none."""
    last_line: float = 0.0
    """When the last line was written, Unix s."""
    events: deque[Entry] = field(default_factory=lambda: deque(maxlen=_MOST))
    """What was asked of it, what it told, and its states."""
    failures: deque[StepDone] = field(default_factory=lambda: deque(maxlen=_MOST))
    """Steps that failed by themselves, not by a step inside."""
    failed: int = 0
    """How many there were."""
    interrupted: deque[StepDone] = field(default_factory=lambda: deque(maxlen=_MOST))
    """Steps that something else ended early: an abort, a skip, a sibling that failed."""
    finalisers: list[StepDone] = field(default_factory=list)
    under_way: list[StepDone] = field(default_factory=list)
    """Entered and not left; the outermost first."""
    lost_puts: list[PutDone] = field(default_factory=list)
    """That nobody got an answer to."""
    steps: deque[StepDone] = field(default_factory=lambda: deque(maxlen=LAST_STEPS))
    """The last ones that were left; all of them where they were asked for."""
    attempts: int = 1
    entered: int = 0
    puts: int = 0
    rows: int = 0
    left_out: int = 0
    """Lines that are missing."""
    is_short: bool = False
    """Whether the middle of a very long journal is not kept: what happened there is not told."""
    values: Mapping[str, object] = field(default_factory=dict)
    """What names were bound to in the end."""

    @property
    def decisive(self) -> StepDone | None:
        """The step whose failure the run ended with; None where it ended otherwise."""
        message = str((self.end or {}).get("message", ""))
        if not self.failures or str((self.end or {}).get("status")) not in ("Failed", "Timeout"):
            return None
        by_word = [step for step in self.failures if step.why and step.why in message]
        body = [step for step in self.failures if not step.finalises]
        return (by_word or body or list(self.failures))[-1]

    @property
    def tolerated(self) -> list[StepDone]:
        """Failures that the run has survived."""
        decisive = self.decisive
        return [step for step in self.failures if step is not decisive]


def account_of(folder: Path, *, all_steps: bool = False) -> Account:
    """Put together what a run's journal tells.

    Args:
        folder: Of the run.
        all_steps: Whether `steps` are to be all of them.

    Raises:
        InputError: It is no journal, or one that this version can't read.
    """
    return _Reader(all_steps=all_steps).read(entries_of(folder))


class _Reader:
    def __init__(self, *, all_steps: bool) -> None:
        self._account = Account()
        if all_steps:
            self._account.steps = deque()
        self._open: dict[int, StepDone] = {}
        self._puts: dict[int, PutDone] = {}

    def read(self, entries: Iterable[Entry]) -> Account:
        account = self._account
        takes = {
            "run": self._run,
            "step_entered": self._step_entered,
            "step_left": self._step_left,
            "put_leaves": self._put_leaves,
            "put_ended": self._put_ended,
            "condition_met": self._condition_met,
            "row": self._row,
            "values": self._values,
            "left_out": self._left_out,
            "snapshot": self._snapshot,
            "run_ended": self._run_ended,
            "attempt": self._attempt,
            **dict.fromkeys(_EVENTS, account.events.append),
        }
        for entry in entries:
            take = takes.get(str(entry.get("event")))
            if take is not None:  # a later version may tell more
                take(entry)
            account.last_line = float(entry.get("t", account.last_line))
        account.under_way = list(self._open.values())
        account.lost_puts += self._puts.values()
        return account

    def _run(self, entry: Entry) -> None:
        self._account.header = entry

    def _step_entered(self, entry: Entry) -> None:
        self._account.entered += 1
        step = StepDone(
            entry["step"],
            entry["path"],
            entry["name"],
            tuple(entry["loops"]),
            tuple(entry["tries"]),
            entry["t"],
        )
        self._open[step.number] = step
        if step.finalises and len(self._account.finalisers) < _MOST:
            self._account.finalisers.append(step)

    def _step_left(self, entry: Entry) -> None:
        step = self._open.pop(entry["step"], None)
        if step is None:
            return
        account = self._account
        step.ended, step.how, step.why = entry["t"], entry["how"], entry.get("why", "")
        account.steps.append(step)
        if step.failed:
            step.holds_failed = self._has_failed_within(step)
            if not step.holds_failed:
                account.failed += 1
                account.failures.append(step)
        elif step.how != _DONE:
            account.interrupted.append(step)

    def _has_failed_within(self, step: StepDone) -> bool:
        failures = self._account.failures
        return any(
            inner.began >= step.began and inner.path.startswith(f"{step.path}.")
            for inner in reversed(failures)
        )

    def _put_leaves(self, entry: Entry) -> None:
        self._account.puts += 1
        put = PutDone(entry["pv"], entry["value"], entry["t"], entry["completion"])
        self._puts[entry["put"]] = put
        if step := self._open.get(entry["step"]):
            step.puts.append(put)

    def _put_ended(self, entry: Entry) -> None:
        put = self._puts.pop(entry["put"], None)
        if put is None:
            return
        put.ended, put.how, put.why = entry["t"], entry["how"], entry.get("why", "")
        if put.how in ("orphaned", "lost") and len(self._account.lost_puts) < _MOST:
            self._account.lost_puts.append(put)

    def _condition_met(self, entry: Entry) -> None:
        if step := self._open.get(entry["step"]):
            step.met.append((entry["condition"], entry["by"]))

    def _row(self, entry: Entry) -> None:
        self._account.rows = entry["point"] + 1

    def _values(self, entry: Entry) -> None:
        self._account.values = entry["values"]

    def _left_out(self, entry: Entry) -> None:
        if entry["lines"] is None:
            self._account.is_short = True
        else:
            self._account.left_out += entry["lines"]

    def _snapshot(self, _entry: Entry) -> None:
        self._account.is_short = True

    def _attempt(self, entry: Entry) -> None:
        """What was under way in the attempt before is so no longer."""
        account = self._account
        account.attempts = entry["attempt"]
        account.end = None
        account.interrupted += self._open.values()
        account.lost_puts += self._puts.values()
        self._open.clear()
        self._puts.clear()

    def _run_ended(self, entry: Entry) -> None:
        self._account.end = entry
