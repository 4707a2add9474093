"""Past runs are found by what a user says, and what a journal tells of one is put together."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.data import RunRecords
from orchestrator.data.journal.index import ALL, LAST_IN_LANE, LAST_INTERRUPTED, NOT_ENDED
from orchestrator.data.past import PastRuns, Wanted, account_of
from orchestrator.data.past.finder import choice
from orchestrator.errors import InputError
from orchestrator.types import Place, Reading, RunEnded, RunHeader, RunStatus
from sim_iocs.testing import until

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def no_trouble(why: str) -> None:
    raise AssertionError(why)


def run_id(minute: int) -> str:
    return f"{NOON + timedelta(minutes=minute):%Y%m%dT%H%M%S}.000Z-k3"


async def a_run(
    store: Path, minute: int, name: str = "scan", status: RunStatus | None = RunStatus.SUCCESS
) -> RunRecords:
    """One that has ended, or is under way until the records are closed."""
    records = RunRecords(store, no_trouble)
    header = RunHeader(run_id(minute), name, "me@here", started=NOON + timedelta(minutes=minute))
    record = records.open(header)
    for point in range(minute + 1):
        record.row(Place(("steps", 0)), {"a": Reading("a", float(point), 1.5)})
    if status is not None:
        await record.close(status)
        records.heard(RunEnded(header.run_id, status, f"as {name}", 0, data_file=record.file))
        await records.close()
    return records


def names(past: PastRuns, wanted: Wanted | None = None) -> list[str]:
    return [run.name for run in past.runs(wanted or Wanted())]


async def test_runs_are_listed_the_newest_first_and_by_filters(tmp_path: Path) -> None:
    await a_run(tmp_path, 0, "scan")
    await a_run(tmp_path, 1, "align", RunStatus.FAILED)
    await a_run(tmp_path, 2, "alike")
    past = PastRuns(tmp_path)
    assert names(past) == ["alike", "align", "scan"]
    assert names(past, Wanted(name="ali*")) == ["alike", "align"]
    assert names(past, Wanted(outcomes=["Failed", "Aborted"])) == ["align"]
    assert names(past, Wanted(since=NOON + timedelta(minutes=1))) == ["alike", "align"]
    assert names(past, Wanted(until=NOON + timedelta(minutes=1))) == ["scan"]
    assert names(past, Wanted(most=1)) == ["alike"]
    assert names(past, Wanted(outcomes=["Success"], most=1)) == ["alike"]


async def test_a_run_is_listed_with_what_became_of_it(tmp_path: Path) -> None:
    await a_run(tmp_path, 2, "align", RunStatus.FAILED)
    (run,) = PastRuns(tmp_path).runs(Wanted())
    assert (run.run_id, run.owner, run.outcome, run.points) == (run_id(2), "me@here", "Failed", 3)
    assert (run.message, run.started) == ("as align", NOON + timedelta(minutes=2))
    assert run.data_file.endswith("/data.h5")
    assert run.seconds is not None


async def test_a_run_is_named_by_its_id_by_its_beginning_and_as_the_last(tmp_path: Path) -> None:
    await a_run(tmp_path, 0)
    await a_run(tmp_path, 1, "align")
    await a_run(tmp_path, 2)
    past = PastRuns(tmp_path)
    for text, minute in ((run_id(1), 1), ("20261130T1201", 1), ("last", 2), ("last:align", 1)):
        assert past.find(text).run_id == run_id(minute)
    with pytest.raises(InputError, match=r"of several runs:\n.*\n.*align  Success"):
        past.find("20261130T12")
    with pytest.raises(InputError, match="no run '2027'"):
        past.find("2027")
    with pytest.raises(InputError, match=r"no run of 'alinn'.* did you mean .?align"):
        past.find("last:alinn")


def test_where_there_are_no_runs_that_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    past = PastRuns(tmp_path / "runs")
    assert past.runs(Wanted()) == []
    with pytest.raises(InputError, match="there is no store of runs at"):
        past.find("last")
    assert list(tmp_path.iterdir()) == []


async def test_what_is_under_way_is_running_and_is_interrupted_when_its_process_is_gone(
    tmp_path: Path,
) -> None:
    records = await a_run(tmp_path, 4, status=None)
    past = PastRuns(tmp_path)
    await until_there(tmp_path)
    assert [(run.outcome, run.points) for run in past.runs(Wanted())] == [("Running", 5)]
    assert names(past, Wanted(outcomes=["Interrupted"])) == []
    assert names(past, Wanted(outcomes=["Running"])) == ["scan"]
    copy = tmp_path / "copy"  # nobody holds it: as if its process had been killed
    shutil.copytree(tmp_path / "runs", copy / "runs")
    records.heard(RunEnded(run_id(4), RunStatus.SUCCESS, "", 0))
    await records.close()
    past = PastRuns(copy)
    assert [(run.outcome, run.points) for run in past.runs(Wanted())] == [("Interrupted", 5)]
    assert names(past, Wanted(outcomes=["Interrupted"])) == ["scan"]
    with closing(sqlite3.connect(copy / "index.db")) as index:  # the next service is to tell of it
        assert index.execute("SELECT status FROM runs").fetchall() == [(None,)]


async def until_there(store: Path) -> None:
    journal = store / "runs" / run_id(4) / "journal.jsonl"
    await asyncio.to_thread(
        until, lambda: journal.exists() and b'"point":4' in journal.read_bytes()
    )


async def test_a_folder_that_comes_or_goes_is_seen_also_when_the_others_have_settled(
    tmp_path: Path,
) -> None:
    await a_run(tmp_path, 0, "first")
    past, runs = PastRuns(tmp_path), tmp_path / "runs"
    long_ago = 1.6e18
    os.utime(runs, ns=(int(long_ago), int(long_ago)))
    assert names(past) == ["first"]
    assert names(past) == ["first"]
    await a_run(tmp_path, 1, "second")
    (tmp_path / "index.db").unlink()
    assert names(past) == ["second", "first"]
    shutil.rmtree(runs / run_id(0))
    assert names(past) == ["second"]


async def test_a_run_that_begins_is_found_without_a_look_at_all_folders(tmp_path: Path) -> None:
    await a_run(tmp_path, 0, "first")
    past, runs = PastRuns(tmp_path), tmp_path / "runs"
    long_ago = int(1.6e18)
    os.utime(runs, ns=(long_ago, long_ago))
    assert names(past) == ["first"]  # and that is known from now on
    shutil.copytree(runs / run_id(0), runs / run_id(1))
    os.utime(runs, ns=(long_ago, long_ago))  # nothing tells of the copy: who finds it has looked
    await a_run(tmp_path, 2, "third")
    assert names(past) == ["third", "first"]
    with closing(sqlite3.connect(tmp_path / "index.db")) as index, index:
        index.execute("UPDATE looked SET compared = compared - 90000")  # a day later all are
    assert names(past) == ["third", "first", "first"]


async def test_a_folder_that_holds_no_run_is_looked_at_for_a_day(tmp_path: Path) -> None:
    await a_run(tmp_path, 0, "first")
    past, runs = PastRuns(tmp_path), tmp_path / "runs"
    stray, long_ago = runs / "thumbnails", int(1.6e18)
    stray.mkdir()
    os.utime(runs, ns=(long_ago, long_ago))
    assert names(past) == ["first"]
    shutil.copy(runs / run_id(0) / "journal.jsonl", stray)
    assert names(past) == ["first", "first"]  # it had only begun
    (stray / "journal.jsonl").unlink()
    for folder in (stray, runs):
        os.utime(folder, ns=(long_ago, long_ago))
    (tmp_path / "index.db").unlink()
    assert names(past) == ["first"]
    shutil.copy(runs / run_id(0) / "journal.jsonl", stray)
    os.utime(runs, ns=(long_ago, long_ago))
    assert names(past) == ["first"]


async def test_an_index_of_the_version_before_is_kept_and_made_this_one(tmp_path: Path) -> None:
    await a_run(tmp_path, 0, "first")
    with closing(sqlite3.connect(tmp_path / "index.db")) as index, index:
        for statement in (
            "DROP INDEX by_status",
            "DROP INDEX ended_in_lane",
            "DROP TABLE looked",
            "CREATE INDEX not_ended ON runs (folder) WHERE status IS NULL",
            "CREATE TABLE looked (changed INTEGER NOT NULL)",
            "UPDATE runs SET name = 'as it was read'",
            "PRAGMA user_version = 2",
        ):
            index.execute(statement)
    assert names(PastRuns(tmp_path)) == ["as it was read"]
    assert_plans_are_short(tmp_path)


async def test_no_question_to_the_index_reads_all_runs(tmp_path: Path) -> None:
    await a_run(tmp_path, 0)
    assert_plans_are_short(tmp_path)


def assert_plans_are_short(store: Path) -> None:
    """How SQLite finds what is asked for: it has no need to go through all."""
    rest, values = choice(Wanted(outcomes=["Failed", "Running"], most=20))
    newest, _ = choice(Wanted(most=20))
    questions: list[tuple[str, list[object]]] = [
        (NOT_ENDED, []),
        (LAST_IN_LANE, ["", True]),
        (LAST_INTERRUPTED, [100]),
        (f"{ALL} {rest}", values),
        (f"{ALL} {newest}", [20]),
    ]
    with closing(sqlite3.connect(store / "index.db")) as index:
        for question, of in questions:
            plan = [str(step[3]) for step in index.execute(f"EXPLAIN QUERY PLAN {question}", of)]
            if question.endswith(newest):  # in the order of the table, as many as there are wanted
                assert plan == ["SCAN runs"]
            else:
                assert not any(step.startswith("SCAN runs") for step in plan), plan


async def test_the_index_is_rebuilt_from_the_folders(tmp_path: Path) -> None:
    await a_run(tmp_path, 0)
    past = PastRuns(tmp_path)
    with closing(sqlite3.connect(tmp_path / "index.db")) as index, index:
        index.execute("UPDATE runs SET name = 'wrong'")
    assert names(past) == ["wrong"]
    assert past.rebuild() == 1
    assert names(past) == ["scan"]


async def test_a_store_that_can_only_be_read_is_read(tmp_path: Path) -> None:
    await a_run(tmp_path, 0)
    (tmp_path / "index.db").unlink()
    (tmp_path / "index.db").mkdir()  # nobody can write there, root neither
    past = PastRuns(tmp_path)
    assert names(past) == ["scan"]
    with pytest.raises(InputError, match=r"index\.db can't be written"):
        past.rebuild()


async def a_failure(store: Path) -> Path:
    """A run in which one step was tolerated and another one was not."""
    records = RunRecords(store, no_trouble)
    record = records.open(RunHeader("1", "scan"))
    journal = record.journal
    tolerated = journal.entered(Place(("steps", 0)), "wait until a > 9")
    journal.left(tolerated, "timeout", "waited 2 s")
    done = journal.entered(Place(("steps", 1)), "set a")
    journal.met("a = 1", [Reading("a", 1.0, 1.5)])
    journal.left(done)
    group = journal.entered(Place(("steps", 2)), "group")
    inner = journal.entered(Place(("steps", 2, "group", 0)), "set b")
    journal.left(inner, "failed", "b: refused")
    journal.left(group, "failed", "b: refused")
    final = journal.entered(Place(("finally", 0)), "set shutter")
    journal.left(final)
    journal.bound({"best": 2.5})
    await record.close(RunStatus.FAILED)
    records.heard(RunEnded("1", RunStatus.FAILED, "steps[2].group[0]: b: refused", 0))
    await records.close()
    return store / "runs" / "1"


async def test_an_account_tells_the_step_that_failed_from_those_around_and_before_it(
    tmp_path: Path,
) -> None:
    account = account_of(await a_failure(tmp_path))
    assert account.decisive is not None
    assert (account.decisive.path, account.decisive.why) == ("steps[2].group[0]", "b: refused")
    assert [step.name for step in account.tolerated] == ["wait until a > 9"]
    assert [step.path for step in account.finalisers] == ["finally[0]"]
    assert (account.entered, account.failed, account.under_way) == (5, 2, [])
    assert account.values == {"best": 2.5}


async def test_an_account_has_all_steps_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = await a_failure(tmp_path)
    steps = account_of(folder, all_steps=True).steps
    assert [step.how for step in steps] == ["timeout", "done", "failed", "failed", "done"]
    assert steps[1].met[0][0] == "a = 1"


async def test_what_was_under_way_when_a_process_was_killed_is_known(tmp_path: Path) -> None:
    folder = await a_failure(tmp_path)
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    entered = next(n for n, line in enumerate(lines) if b"group[0]" in line)
    journal.write_bytes(b"".join(lines[: entered + 1]) + lines[entered + 1][:-3])
    account = account_of(folder)
    assert [step.name for step in account.under_way] == ["group", "set b"]
    assert account.end is None
    attempt = b'{"t":9,"event":"attempt","attempt":2,"superseded":0}\n'
    journal.write_bytes(b"".join(lines[: entered + 1]) + attempt + b"".join(lines[-1:]))
    account = account_of(folder)
    assert (account.attempts, account.under_way) == (2, [])
    assert [step.name for step in account.interrupted] == ["group", "set b"]
