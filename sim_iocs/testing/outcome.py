"""What came of what a service under test was asked for: of a run, a check, a command."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BEFORE = 4
"""Columns before the first channel's: point, step, loop, try."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""

    kind: str
    """run_started, state_changed, step_started, row_taken, told, run_ended, run_refused."""
    at: float
    """Unix seconds."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """run_id, and of step_started: path, name, done, loops; row_taken: points, row; told: text,
    severity, question; state_changed: state; run_ended: status, message, data_file …"""

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]


class Status(str):
    """How a run ended; a failed comparison of it tells the run's message."""

    __slots__ = ("message",)
    message: str

    def __new__(cls, text: str, message: str) -> Status:
        """The text, and why it is so."""
        status = super().__new__(cls, text)
        status.message = message
        return status


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it took and told."""

    status: str
    """Success, Failed, Aborted, Stopped or Timeout."""
    message: str
    """Why it did not succeed."""
    run_id: str
    """Its `RUN_ID`."""
    name: str
    """Of the sequence."""
    data_file: str
    """The file with its samples; empty where it took none."""
    events: tuple[Event, ...] = field(repr=False)
    """All that happened, in order; steps are told 20 times a second at most."""

    def __post_init__(self) -> None:
        """Have the status know the message."""
        object.__setattr__(self, "status", Status(self.status, self.message))

    @property
    def points(self) -> int:
        """How many rows it took, those of failed tries included."""
        return max(len(self._table) - 1, 0)

    @property
    def told(self) -> list[str]:
        """The texts that it told, by `log` and otherwise."""
        return [str(event["text"]) for event in self.events if event.kind == "told"]

    @cached_property
    def data(self) -> dict[str, npt.NDArray[Any]]:
        """The samples by channel: shape (n_points,), or (n_points, length) of arrays.

        Numbers are floats, of enums the index, NaN where a row did not sample the channel or it did
        not answer; texts are empty there. Rows of failed tries are among them.
        """
        return self._columns(0)

    @cached_property
    def timestamps(self) -> dict[str, npt.NDArray[np.float64]]:
        """When each IOC took its value, Unix seconds, by channel; NaN where there is none."""
        return self._columns(1)

    @cached_property
    def severities(self) -> dict[str, npt.NDArray[np.float64]]:
        """0 none, 1 MINOR, 2 MAJOR, 3 INVALID, by channel; NaN where there is no value."""
        return self._columns(2)

    def _columns(self, which: int) -> dict[str, npt.NDArray[Any]]:
        """Of the three that a channel has in the data file (docs/explanations/files.md)."""
        head, *rows = self._table
        return {
            head[at]: _column([row[at + which] for row in rows])
            for at in range(_BEFORE, len(head), 3)
        }

    @cached_property
    def _table(self) -> list[list[str]]:
        if not self.data_file:
            return [[]]
        file_name = Path(self.data_file).with_suffix(".csv")
        most = csv.field_size_limit(sys.maxsize)  # an array is one cell
        try:
            with file_name.open(newline="", encoding="utf-8") as file:
                return list(csv.reader(file))
        finally:
            csv.field_size_limit(most)


def _column(cells: list[str]) -> npt.NDArray[Any]:
    import numpy as np  # only now: pytest starts without it

    if any(cell.startswith("[") for cell in cells):
        arrays = [json.loads(cell) if cell else [] for cell in cells]
        longest = max(map(len, arrays))
        filled = [[*array, *[np.nan] * (longest - len(array))] for array in arrays]
        return np.array(filled)
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return np.array(cells)


class EventFile:
    """`serve --events FILE`, read as it grows."""

    def __init__(self, path: Path) -> None:
        """It need not be there yet."""
        self.path = path
        self._read = 0
        self._events: list[Event] = []

    def news(self) -> list[Event]:
        """All events so far; the same list, longer, each time."""
        if not self.path.exists():
            return self._events
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            facts = json.loads(line)
            self._events.append(Event(facts.pop("event"), facts.pop("at"), facts))
        return self._events


@dataclass(frozen=True)
class Finding:
    """Something that `orchestrator check` has to say."""

    level: str
    """error or warning."""
    where: str
    """File, line and column."""
    text: str
    """What is wrong, and what was wanted."""


@dataclass(frozen=True)
class Check:
    """What `orchestrator check` found."""

    ok: bool
    """Whether it can be run."""
    findings: Sequence[Finding]
    """Each of them."""
    facts: Mapping[str, Any]
    """All of its JSON: reads, writes, steps, seconds, not_connected, …"""
    exit_code: int
    """0, 2 with errors, 4 where a channel is not connected."""

    @classmethod
    def read(cls, output: str) -> Check:
        """From the JSON that it prints."""
        facts = json.loads(output)
        findings = tuple(Finding(**each) for each in facts["findings"])
        return cls(facts["ok"], findings, facts, facts["exit_code"])


@dataclass(frozen=True)
class Command:
    """A command that has ended."""

    code: int
    """Its exit code."""
    output: str
    """What it wrote to stdout."""
    errors: str
    """What it wrote to stderr."""
