"""Finds runs in a store, by the index: which a user means, and those that a filter lets through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.data.journal.buffer import left_over
from orchestrator.data.journal.index import INTERRUPTED, Row, RunIndex
from orchestrator.data.mending import mend_data
from orchestrator.errors import InputError
from orchestrator.language.names import suggestion
from orchestrator.types import RunStatus

UNDER_WAY = "Running"
"""The outcome of a run that has not ended yet."""
OUTCOMES = (
    *(status.value for status in RunStatus if status is not RunStatus.UNDEFINED),
    *(() if INTERRUPTED in {status.value for status in RunStatus} else (INTERRUPTED,)),
    UNDER_WAY,
)
"""What a run can have come to."""

LAST = "last"
_SHOWN = 10
"""Runs that are named where several are meant."""
_FROM = "SELECT folder FROM"
_OF = f"{_FROM} runs"
_AT_A_TIME = 50
"""Runs that are read at a time where it is not known how many are wanted."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run in short, as the index has it."""

    folder: Path
    run_id: str
    name: str
    lane: str
    owner: str
    how: str
    started: datetime | None
    ended: float | None
    """Unix s; None where it has not, or was interrupted."""
    outcome: str
    """One of `OUTCOMES`."""
    cause: str
    message: str
    data_file: str
    points: int

    @property
    def seconds(self) -> float | None:
        """From its start to its end."""
        if self.started is None or self.ended is None:
            return None
        return max(self.ended - self.started.timestamp(), 0.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs a list is to have; what is empty leaves all in."""

    name: str = ""
    """Of the sequence; `*` and `?` stand for any characters."""
    outcomes: Sequence[str] = ()
    """One of those."""
    since: datetime | None = None
    """Begun then or later."""
    until: datetime | None = None
    """Begun before."""
    most: int = 0
    """So many, the newest; 0 = all."""


class PastRuns:
    """The runs of one store. All of it reads files: not for an event loop."""

    def __init__(self, store: Path) -> None:
        """Nothing is read yet."""
        self.store = store
        """Where they are."""
        self._folders = store / "runs"
        self._index = RunIndex(store / "index.db", self._folders)

    def rebuild(self) -> int:
        """Make the index anew from the folders; gives the number of runs.

        Raises:
            InputError: It can't be written.
        """
        return self._index.make_anew()

    def runs(self, wanted: Wanted) -> list[PastRun]:
        """Those that are wanted, the newest first."""
        runs = self._chosen(*choice(wanted))
        if wanted.outcomes:  # what had not ended when it was taken in may have by now
            runs = [run for run in runs if run.outcome in wanted.outcomes]
        return runs[: wanted.most or None]

    def newest(self) -> Iterator[PastRun]:
        """All of them, the newest first, read as far as they are asked for."""
        before = "\U0010ffff"
        while runs := self._chosen(
            "WHERE folder < ? ORDER BY folder DESC LIMIT ?", (before, _AT_A_TIME)
        ):
            yield from runs
            before = runs[-1].folder.name

    def find(self, text: str) -> PastRun:
        """The run that a user means: by its id, a unique beginning of it, `last`, `last:NAME`.

        The data file of one that was killed is put right.

        Raises:
            InputError: There is none, or there are several.
        """
        run = self._find(text)
        if run.outcome == INTERRUPTED:
            mend_data(run.folder)
        return run

    def _find(self, text: str) -> PastRun:
        if text == LAST or text.startswith(f"{LAST}:"):
            return self._last(text.partition(":")[2])
        found = self._beginning(text) if text else []
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputError(f"{self._no(text)}: see orchestrator history")
        lines = [f"  {run.folder.name}  {run.name}  {run.outcome}" for run in found[:_SHOWN]]
        lines += ["  …"] if len(found) > _SHOWN else []
        raise InputError("\n".join([f"{text} is the beginning of several runs:", *lines]))

    def _beginning(self, text: str) -> list[PastRun]:
        found = self._chosen("WHERE folder = ?", (text,))
        past_it = f"{text}\U0010ffff"
        return found or self._chosen(
            "WHERE folder >= ? AND folder < ? ORDER BY folder LIMIT ?", (text, past_it, _SHOWN + 1)
        )

    def _last(self, name: str) -> PastRun:
        if not name:
            found = self._chosen("ORDER BY folder DESC LIMIT 1")
        else:
            found = self._chosen("WHERE name = ? ORDER BY folder DESC LIMIT 1", (name,))
        if found:
            return found[0]
        names = {run.name for run in self._chosen("GROUP BY name")} if name else set()
        if name and names:
            raise InputError(f"no run of {name!r} in {self.store}{suggestion(name, names)}")
        raise InputError(self._no())

    def _no(self, text: str = "") -> str:
        which = f" {text!r}" if text else ""
        if not self._folders.is_dir():
            there = f"there is no store of runs at {self.store}"
            return f"no run{which}: {there} (--store or --config names another)"
        return f"no run{which} in {self.store}"

    def _chosen(self, rest: str, values: Sequence[object] = ()) -> list[PastRun]:
        if not self._folders.is_dir():
            return []  # and none is made to look for runs
        for _ in left_over(self.store):  # what killed processes have left belongs to it
            pass
        return [self._run(row) for row in self._index.rows(rest, values)]

    def _run(self, row: Row) -> PastRun:
        folder, run_id, name, lane, owner, how = map(str, row[:6])
        started, ended, status = row[6:9]
        cause, message, data_file, points = map(str, row[9:13])
        return PastRun(
            folder=self._folders / folder,
            run_id=run_id,
            name=name,
            lane=lane,
            owner=owner,
            how=how,
            started=datetime.fromisoformat(str(started)) if started else None,
            ended=float(str(ended)) if ended is not None else None,
            outcome=str(status or UNDER_WAY),
            cause=cause,
            message=message,
            data_file=data_file,
            points=int(points),
        )


def choice(wanted: Wanted) -> tuple[str, list[object]]:
    """The rest of a SELECT from the runs, and its values; of what has not ended it takes all."""
    conditions, values = _conditions(wanted)
    where, most = " AND ".join(conditions), wanted.most or -1
    if not wanted.outcomes:
        return f"WHERE {where} ORDER BY folder DESC LIMIT ?", [*values, most]
    of_one = f"{_OF} WHERE {where} AND status = ? ORDER BY folder DESC LIMIT ?"
    left = f"{_OF} WHERE {where} AND status IS NULL"
    each = " UNION ALL ".join([*(f"{_FROM} ({of_one})" for _ in wanted.outcomes), left])
    all_values = [value for outcome in wanted.outcomes for value in (*values, outcome, most)]
    return f"WHERE folder IN ({each}) ORDER BY folder DESC", [*all_values, *values]


def _conditions(wanted: Wanted) -> tuple[list[str], list[object]]:
    conditions: list[str] = ["1"]
    values: list[object] = []
    if wanted.name:
        conditions.append("name GLOB ?")
        values.append(wanted.name)
    for moment, comparison in ((wanted.since, ">="), (wanted.until, "<")):
        if moment is not None:  # ids begin with the time, UTC
            conditions.append(f"folder {comparison} ?")
            values.append(_id_time(moment))
    return conditions, values


def _id_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
