"""The index of runs: one table of SQLite beside their folders, for whoever looks for some of them.

It holds nothing that the folders do not, and is made anew from them where it is missing, damaged
or of another version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from orchestrator.data.journal.reader import summary_of
from orchestrator.errors import InputError

log = structlog.get_logger(__name__)

VERSION = 1
"""Raised when the table becomes another one."""
INTERRUPTED = "Interrupted"
"""The status of a run that has not ended, and that nobody runs any more."""

_PATIENCE = 5.0
"""s that another process may take to write to it."""
_AT_ONCE = 200
"""Runs that are taken in at a time."""
TABLE = (
    "DROP TABLE IF EXISTS runs",
    """CREATE TABLE runs (
    folder TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    lane TEXT NOT NULL,
    owner TEXT NOT NULL,
    how TEXT NOT NULL,
    started TEXT,
    ended REAL,
    status TEXT,
    cause TEXT NOT NULL,
    message TEXT NOT NULL,
    data_file TEXT NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX not_ended ON runs (folder) WHERE status IS NULL",
)
_STATUS = 8
"""Which of its columns that is."""
_KEEP = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class RunIndex:
    """Knows the runs of one store. Each method reads and writes files: not for the event loop."""

    def __init__(self, file: Path, folders: Path) -> None:
        """`folders`: where those of the runs are."""
        self._file = file
        self._folders = folders

    def keep(self, folder: Path) -> None:
        """Take in how a run is now; that it can't be is logged."""
        with self._told(), self._opened() as index, index:
            index.execute(_KEEP, _row(folder))

    def look_over(self) -> list[str]:
        """Take in what is new in the folders, and what nobody runs any more: it is Interrupted.

        Gives the folders of those that are Interrupted since the last time. That the index can't
        be kept is logged.
        """
        interrupted: list[str] = []
        if not self._folders.is_dir():
            return interrupted  # there has been no run yet
        with self._told(), self._opened() as index:
            there = {path.name for path in self._folders.iterdir()}
            known = _names(index, "SELECT folder FROM runs")
            left = _names(index, "SELECT folder FROM runs WHERE status IS NULL") & there
            with index:
                gone = [(name,) for name in known - there]
                index.executemany("DELETE FROM runs WHERE folder = ?", gone)
            for names in _batches(sorted((there - known) | left)):
                rows = [row for name in names if (row := _row_of(self._folders / name))]
                with index:  # not for longer: others may want to write as well
                    index.executemany(_KEEP, rows)
                interrupted += [str(row[0]) for row in rows if row[_STATUS] == INTERRUPTED]
        return interrupted

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, InputError) as error:
            log.warning("the index of runs can't be kept", file=str(self._file), error=str(error))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            index = self._connected()
        except sqlite3.DatabaseError:
            if not _is_damaged(self._file):
                raise
            self._file.unlink(missing_ok=True)
            index = self._connected()
        with closing(index):
            yield index

    def _connected(self) -> sqlite3.Connection:
        index = sqlite3.connect(self._file, timeout=_PATIENCE, isolation_level="IMMEDIATE")
        try:
            if _version(index) != VERSION:
                index.execute("PRAGMA journal_mode = WAL")
                _make(index)
            index.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            index.close()
            raise
        return index


def _version(index: sqlite3.Connection) -> int:
    return int(index.execute("PRAGMA user_version").fetchone()[0])


def _make(index: sqlite3.Connection) -> None:
    """Make the table, in place of one of another version."""
    with index:
        index.execute("BEGIN IMMEDIATE")
        if _version(index) != VERSION:  # nobody else has meanwhile
            for statement in TABLE:
                index.execute(statement)
            index.execute(f"PRAGMA user_version = {VERSION}")


def _is_damaged(file: Path) -> bool:
    """Whether it is no file of SQLite, or none that can be read; not where it is only held."""
    try:
        with closing(sqlite3.connect(file, timeout=_PATIENCE)) as index:
            return bool(index.execute("PRAGMA quick_check").fetchone()[0] != "ok")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


def _names(index: sqlite3.Connection, query: str) -> set[str]:
    return {name for (name,) in index.execute(query)}


def _row_of(folder: Path) -> tuple[object, ...] | None:
    """The row of a run; None of a folder that holds none."""
    try:
        return _row(folder)
    except (InputError, OSError) as error:
        log.debug("a folder that holds no run", folder=str(folder), error=str(error))
        return None


def _row(folder: Path) -> tuple[object, ...]:
    """What the table says of a run.

    Raises:
        InputError: It is none.
    """
    run = summary_of(folder)
    header, end = run.header, run.end or {}
    status = end.get("status") or (None if run.under_way else INTERRUPTED)
    known = [header.get(name, "") for name in ("run_id", "name", "lane", "owner", "how", "started")]
    told = [end.get(name, "") for name in ("cause", "message", "data_file")]
    return (folder.name, *known, end.get("t"), status, *told)


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]
