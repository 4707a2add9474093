"""The index of runs: one table of SQLite beside their folders, for whoever looks for some of them.

It holds nothing that the folders do not, and is made anew from them where it is missing, damaged
or of another version.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import structlog

from orchestrator.data.journal.reader import points_in, summary_of
from orchestrator.errors import InputError

log = structlog.get_logger(__name__)

Row: TypeAlias = tuple[object, ...]
"""What the table says of a run, in the order of its columns."""

VERSION = 3
"""Raised when a table becomes another one."""
INTERRUPTED = "Interrupted"
"""The status of a run that has not ended, and that nobody runs any more."""

_PATIENCE = 5.0
"""s that another process may take to write to it."""
_AT_ONCE = 200
"""Runs that are taken in at a time."""
_SETTLED = 2.0
"""s without a change after which a folder's time of change is believed: clocks of disks tick."""
_TICK = 20_000_000
"""ns: two changes within one tick of such a clock are one to who looks at the time."""
_COMPARED = 86_400.0
"""s after which all folders are compared again, whatever their time of change says."""
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
    data_file TEXT NOT NULL,
    points INTEGER NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX by_status ON runs (status)",  # and by folder in each: it is the primary key
    """CREATE INDEX ended_in_lane ON runs (lane, how = 'run', run_id)
    WHERE status IS NOT NULL AND status <> 'Interrupted'""",
    "DROP TABLE IF EXISTS looked",
    "CREATE TABLE looked (changed INTEGER NOT NULL, compared REAL NOT NULL)",
)
_FROM_2 = ("DROP INDEX not_ended", *TABLE[2:])
"""What makes this version of 2: to read 100,000 folders anew would take half a minute."""
_STATUS = 8
"""Which of its columns that is."""
_KEEP = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


ALL = "SELECT * FROM runs"
NOT_ENDED = "SELECT folder FROM runs WHERE status IS NULL"
LAST_IN_LANE = """SELECT max(run_id) FROM runs
    WHERE status IS NOT NULL AND status <> 'Interrupted' AND lane = ? AND (how = 'run') = ?"""
LAST_INTERRUPTED = """SELECT folder, lane FROM runs WHERE status = 'Interrupted'
    ORDER BY folder DESC LIMIT ?"""
_MOST_TOLD = 100


class RunIndex:
    """Knows the runs of one store. Each method reads and writes files: not for the event loop."""

    def __init__(self, file: Path, folders: Path) -> None:
        """`folders`: where those of the runs are."""
        self._file = file
        self._folders = folders
        self._made: dict[Path, tuple[int, int]] = {}
        """Folders that are not taken in yet: when all of them had changed, and by it."""

    def make_folder(self, folder: Path) -> None:
        """Make that of a run, so that nobody has to compare all folders to find it.

        Raises:
            OSError: It can't be made.
        """
        self._folders.mkdir(parents=True, exist_ok=True)
        with _alone_in(self._folders) as alone:
            before = self._folders.stat().st_mtime_ns
            folder.mkdir(exist_ok=True)
            after = self._folders.stat().st_mtime_ns
        if alone and after - before > _TICK:
            self._made[folder] = before, after

    def keep(self, folder: Path) -> None:
        """Take in how a run is now; that it can't be is logged."""
        made = self._made.pop(folder, None)
        with self._told(), self._opened() as index, index:
            index.execute(_KEEP, _row(folder))
            if made is not None:
                before, after = made
                index.execute("UPDATE looked SET changed = ? WHERE changed = ?", (after, before))

    def look_over(self) -> list[str]:
        """Take in what is new in the folders, and what nobody runs any more: it is Interrupted.

        Gives the folders of those that are Interrupted since the last time. That the index can't
        be kept is logged.
        """
        interrupted: list[str] = []
        if not self._folders.is_dir():
            return interrupted  # there has been no run yet
        with self._told(), self._opened() as index:
            self._take_new(index)
            left = _names(index, NOT_ENDED)
            for names in _batches(sorted(left)):
                rows = [row for name in names if (row := _row_of(self._folders / name))]
                with index:  # not for longer: others may want to write as well
                    index.executemany(_KEEP, rows)
                interrupted += [str(row[0]) for row in rows if row[_STATUS] == INTERRUPTED]
        return interrupted

    def rows(self, rest: str = "", values: Sequence[object] = ()) -> list[Row]:
        """The rows of the table that `rest` of a SELECT chooses, as the runs are now.

        What nobody runs any more is Interrupted here, and stays to be found by `look_over`. Where
        the index can't be written, one in memory takes its place.
        """
        with self._opened_or_made() as index:
            self._take_new(index)
            chosen = index.execute(f"{ALL} {rest}", values).fetchall()
        return [self._now(row) if row[_STATUS] is None else row for row in chosen]

    def make_anew(self) -> int:
        """Make it anew from the folders; gives the number of runs.

        Raises:
            InputError: The index can't be written.
        """
        try:
            with self._opened() as index:
                _make(index, anew=True)
                self._take_new(index)
                return int(index.execute("SELECT count(*) FROM runs").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{self._file} can't be written: {error}") from error

    def _now(self, row: Row) -> Row:
        """The row of a run that had not ended when it was taken in."""
        return _row_of(self._folders / str(row[0])) or row

    @contextmanager
    def _opened_or_made(self) -> Iterator[sqlite3.Connection]:
        with ExitStack() as stack:
            try:
                index = stack.enter_context(self._opened())
                index.execute("BEGIN IMMEDIATE")  # it may be read-only
                index.rollback()
            except (sqlite3.OperationalError, OSError):
                index = stack.enter_context(closing(sqlite3.connect(":memory:")))
                _make(index)
            yield index

    def _take_new(self, index: sqlite3.Connection) -> None:
        """Take in the folders that are new; one that is Interrupted as one that has not ended.

        They are compared only where some were made or removed since the last time, by somebody
        else than those who tell (`make_folder`), or long ago.
        """
        changed = self._folders.stat().st_mtime_ns if self._folders.is_dir() else 0
        if not changed or self._is_known(index, changed):
            return
        there = set(os.listdir(self._folders))  # as texts: a Path each takes ten times as long
        known = _names(index, "SELECT folder FROM runs")
        with index:
            index.executemany("DELETE FROM runs WHERE folder = ?", ((n,) for n in known - there))
        is_all = True
        for names in _batches(sorted(there - known)):
            rows = {name: row for name in names if (row := _row_of(self._folders / name))}
            is_all = is_all and not any(
                self._may_become(name) for name in names if name not in rows
            )
            with index:  # not for longer: others may want to write as well
                index.executemany(_KEEP, map(_untold, rows.values()))
        if is_all and time.time() - changed / 1e9 > _SETTLED:
            with index:
                index.execute("DELETE FROM looked")
                index.execute("INSERT INTO looked VALUES (?, ?)", (changed, time.time()))

    def _is_known(self, index: sqlite3.Connection, changed: int) -> bool:
        looked = index.execute("SELECT changed, compared FROM looked").fetchone()
        return looked is not None and looked[0] == changed and _is_recent(looked[1])

    def _may_become(self, name: str) -> bool:
        """Whether a folder that holds no run may be that of one that has just begun."""
        try:
            return _is_recent((self._folders / name).stat().st_mtime)
        except OSError:
            return False

    def interrupted(self, *, foreground: bool) -> list[str]:
        """The folders of runs that are Interrupted and still to be told, the oldest first.

        To a service, or with `foreground` to a run in the foreground: until one of the same kind
        has begun a run in that lane since, and ended it.
        """
        if not self._file.exists():
            return []
        with self._told(), self._opened() as index:
            found = index.execute(LAST_INTERRUPTED, (_MOST_TOLD,)).fetchall()
            since = {
                lane: index.execute(LAST_IN_LANE, (lane, foreground)).fetchone()[0]
                for lane in {lane for _, lane in found}
            }
            return [
                folder
                for folder, lane in reversed(found)
                if _last_sign(self._folders / folder) >= (since[lane] or "")
            ]
        return []

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


def _make(index: sqlite3.Connection, *, anew: bool = False) -> None:
    """Make the tables, in place of those of another version; `anew`: in any case."""
    with index:
        index.execute("BEGIN IMMEDIATE")
        version = _version(index)
        if anew or version != VERSION:  # nobody else has meanwhile
            for statement in _FROM_2 if version == VERSION - 1 and not anew else TABLE:
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


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Whether nobody else makes a folder there meanwhile who asks the same; no one waits."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # one of the others, or a file system without locks
        yield False
    else:
        yield True
    finally:
        os.close(file)


def _is_recent(moment: float) -> bool:
    return time.time() - moment < _COMPARED


def _names(index: sqlite3.Connection, query: str) -> set[str]:
    return {name for (name,) in index.execute(query)}


def _untold(row: Row) -> Row:
    """The row of a run that is not known to be Interrupted yet."""
    is_news = row[_STATUS] == INTERRUPTED
    return (*row[:_STATUS], None, *row[_STATUS + 1 :]) if is_news else row


def _row_of(folder: Path) -> Row | None:
    """The row of a run; None of a folder that holds none."""
    try:
        return _row(folder)
    except (InputError, OSError) as error:
        log.debug("a folder that holds no run", folder=str(folder), error=str(error))
        return None


def _row(folder: Path) -> Row:
    """What the table says of a run.

    Raises:
        InputError: It is none.
    """
    run = summary_of(folder)
    header, end = run.header, run.end or {}
    status = end.get("status") or (None if run.under_way else INTERRUPTED)
    known = [header.get(name, "") for name in ("run_id", "name", "lane", "owner", "how", "started")]
    told = [end.get(name, "") for name in ("cause", "message", "data_file")]
    points = end["points"] if "points" in end else points_in(folder)
    return (folder.name, *known, end.get("t"), status, *told, points)


def _last_sign(folder: Path) -> str:
    """When its journal was last written to, as the id of a run tells time; empty: unknown."""
    times = [path.stat().st_mtime for path in folder.glob("journal*.jsonl")]
    if not times:
        return ""
    last = datetime.fromtimestamp(max(times), UTC)
    return f"{last:%Y%m%dT%H%M%S}.{last.microsecond // 1000:03}Z"


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]
