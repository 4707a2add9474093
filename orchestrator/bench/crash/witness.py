"""What others have seen when a service was killed, and what its store tells of the same."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.data.journal.reader import entries_of
from orchestrator.errors import InputError

Entry: TypeAlias = Mapping[str, Any]

_NEAR = 1e-9
"""By which a value that has gone through the net as a double may differ."""


@dataclass(slots=True)
class Seen:
    """By clients of the service and of the IOC, up to the kill."""

    run_id: str = ""
    """The last run that the service told of."""
    points: int = 0
    """The last `DATA:NPTS` that it told."""
    ended: Mapping[str, str] = field(default_factory=dict)
    """The outcomes that it told, by run."""
    reached: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The values that PVs of the IOC had since the service before was killed, the last one last."""
    accepted: Sequence[str] = ()
    """The sequences that it has taken into its queue."""


@dataclass(slots=True)
class Kept:
    """One run, by its journal."""

    run_id: str
    entries: Sequence[Entry]

    def of(self, event: str) -> Iterator[Entry]:
        """Its lines of one kind."""
        return (entry for entry in self.entries if entry["event"] == event)

    @property
    def status(self) -> str:
        """How it ended; empty: it has not."""
        return next((str(end["status"]) for end in self.of("run_ended")), "")

    @property
    def name(self) -> str:
        """Of its sequence."""
        return str(self.entries[0]["name"])

    @property
    def rows(self) -> int:
        """So many there are."""
        return sum(1 for _ in self.of("row"))


def kept_in(store: Path, since: str) -> list[Kept]:
    """The runs behind one, by their journals, the oldest first.

    Raises:
        InputError: One can't be read.
    """
    there = sorted(path for path in (store / "runs").iterdir() if path.name > since)
    return [Kept(path.name, list(entries_of(path))) for path in there]


def unreadable(store: Path, runs: Sequence[Kept]) -> Iterator[str]:
    """What can't be opened of the files of these runs, and of the index."""
    for run in runs:
        yield from _wrong_rows(run)
        for path in sorted(store.rglob(f"{run.run_id}*.csv")):
            yield from _wrong_table(path)
    with closing(sqlite3.connect(store / "index.db")) as index:
        if index.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            yield "the index is damaged"


def _wrong_rows(run: Kept) -> Iterator[str]:
    points = [row["point"] for row in run.of("row")]
    if points != list(range(len(points))):
        yield f"{run.run_id}: rows are missing in its journal: {points}"


def _wrong_table(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    table = list(csv.reader(whole.splitlines()))
    if any(len(row) != len(table[0]) for row in table):
        yield f"{path.name}: a row has not as many cells as the header"


def untrue(seen: Seen, runs: Sequence[Kept]) -> Iterator[str]:
    """Where the journals do not tell what clients have seen."""
    by_id = {run.run_id: run for run in runs}
    if seen.run_id and seen.run_id not in by_id:
        yield f"the run {seen.run_id} was told of, and has no journal"
    # With the next run just begun the points seen may be those of the one before.
    if seen.points > max((run.rows for run in runs[-2:]), default=0):
        yield f"{seen.points} points were told, and {[run.rows for run in runs[-2:]]} are kept"
    for run_id, status in seen.ended.items():
        if run_id in by_id and by_id[run_id].status != status:
            yield f"{run_id} was told to be {status}, its journal says {by_id[run_id].status!r}"
    for pv, values in seen.reached.items():
        yield from _unknown_puts(pv, values, runs)


def _unknown_puts(pv: str, values: Sequence[float], runs: Sequence[Kept]) -> Iterator[str]:
    puts = [(put, run) for run in runs for put in run.of("put_leaves") if put["pv"] == pv]
    intended = [float(put["value"]) for put, _ in puts]
    for value in values[1:]:
        if not any(abs(value - known) < _NEAR for known in intended):
            yield f"{pv} came to {value}, and no journal has such a put"
    done = {
        (run.run_id, end["put"])
        for run in runs
        for end in run.of("put_ended")
        if end["how"] == "completed"
    }
    completed = [n for n, (put, run) in enumerate(puts) if (run.run_id, put["put"]) in done]
    if completed and values:
        possible = intended[completed[-1] :]  # those behind it may have arrived, or not
        if not any(abs(values[-1] - known) < _NEAR for known in possible):
            yield f"{pv} is {values[-1]}, but {possible[0]} was completed and {possible[1:]} left"


@dataclass(frozen=True, slots=True)
class Next:
    """What the service after that shows."""

    status: str
    run_id: str
    message: str
    queue: Sequence[Mapping[str, Any]]
    held: bool
    busy: bool


def untold(seen: Seen, runs: Sequence[Kept], shown: Next) -> Iterator[str]:
    """What the next service should tell, and does not."""
    last = runs[-1] if runs else None
    if shown.busy:
        yield "a run is under way by itself"
    if last is not None and not last.status:
        if (shown.status, shown.run_id) != ("Interrupted", last.run_id):
            yield f"{last.run_id} was interrupted, shown is {shown.status} {shown.run_id}"
        yield from _unsaid(last, shown.message)
    elif shown.status == "Interrupted":
        yield f"shown is Interrupted {shown.run_id}, but no run was"
    well = {run.name for run in runs if run.status == "Success"}
    there = [run["name"] for run in shown.queue]
    expected = [name for name in seen.accepted if name not in well]
    if [name for name in there if name in expected] != expected:
        yield f"the queue is {there}: {expected} were accepted and have not ended well"
    if again := well.intersection(there):
        yield f"{sorted(again)} have ended well, and wait again"
    if shown.queue and not shown.held:
        yield "the queue is not held"


def _unsaid(run: Kept, message: str) -> Iterator[str]:
    ended = {end["put"] for end in run.of("put_ended")}
    for put in run.of("put_leaves"):
        if put["put"] not in ended and put["pv"] not in message:
            yield f"the put to {put['pv']} was in flight, and is not told: {message}"
    if next(run.of("step_entered"), None) is not None and "finalisers" not in message:
        yield f"nothing is said of finalisers: {message}"


def last_of(posts: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """The last run, and the outcomes, that posts of EVENTS tell."""
    run_id, ended = "", {}
    for post in posts:
        told = json.loads(post)
        run_id = told.get("fields", {}).get("RUN_ID", run_id)
        for event in told.get("events", ()):
            if event["event"] == "run_started":
                run_id = event["run_id"]
            elif event["event"] == "run_ended":
                ended[event["run_id"]] = event["status"]
    return run_id, ended


def unread(store: Path, since: str) -> tuple[list[Kept], list[str]]:
    """The runs behind one, and what is wrong with their files."""
    try:
        runs = kept_in(store, since)
    except (InputError, OSError) as error:
        return [], [str(error)]
    return runs, list(unreadable(store, runs))
