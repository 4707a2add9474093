"""Which runs go, and which stay whatever there is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestrator.data.journal.file import file_name, locked
from orchestrator.data.journal.index import RunIndex
from orchestrator.data.records import RunRecords
from orchestrator.data.retention import Retention
from orchestrator.types import RunEnded, RunHeader, RunStatus
from tests.small_disk import small_disk

DAY = 86_400.0
A, B, C, D = (f"2020010{day}T000000.000Z-aa" for day in range(1, 5))


def no_trouble(text: str) -> None:
    raise AssertionError(text)


async def kept(store: Path, *run_ids: str, status: str = "Success") -> None:
    """Runs that have ended now."""
    records = RunRecords(store, no_trouble)
    for run_id in run_ids:
        records.open(RunHeader(run_id, "scan", how="START"))
        records.heard(RunEnded(run_id, RunStatus(status), "", 0))
    await records.close()


def aged(store: Path, run_id: str, days: float) -> None:
    """As if it had ended so long ago."""
    file = store / "runs" / run_id / file_name(1)
    lines = file.read_text().splitlines()
    now = f'"t":{int(time.time()) // 1000}'
    assert now in lines[-1], lines[-1]
    head, _, rest = lines[-1].partition('"t":')
    number = rest.split(",")[0].rstrip("}")
    then = rest.replace(number, f"{float(number) - days * DAY:.3f}", 1)
    file.write_text("\n".join([*lines[:-1], f'{head}"t":{then}']) + "\n")
    RunIndex(store / "index.db", store / "runs").keep(file.parent)


def there(store: Path) -> set[str]:
    return {path.name for path in (store / "runs").iterdir()}


async def test_what_is_older_goes_whatever_it_began_before(tmp_path: Path) -> None:
    await kept(tmp_path, A, B, C)
    aged(tmp_path, B, 100)
    assert Retention(tmp_path, 90 * DAY, None).tidy() == [B]
    assert there(tmp_path) == {A, C}
    index = RunIndex(tmp_path / "index.db", tmp_path / "runs")
    assert [row[0] for row in index.rows("ORDER BY folder")] == [A, C]
    assert not list((tmp_path / ".removed").iterdir())


async def test_one_that_waits_to_be_gone_on_with_or_is_under_way_stays(tmp_path: Path) -> None:
    await kept(tmp_path, A, B, C)
    journal = tmp_path / "runs" / C / file_name(1)
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))  # killed
    RunIndex(tmp_path / "index.db", tmp_path / "runs").make_anew()
    for run_id in (A, B):
        aged(tmp_path, run_id, 100)
    lock = locked(tmp_path / "runs" / A / file_name(1))  # somebody goes on with it
    try:
        assert Retention(tmp_path, 1.0, 10**18).tidy() == [B]
    finally:
        os.close(lock)
    assert there(tmp_path) == {A, C}


async def test_the_oldest_go_until_there_is_room(tmp_path: Path) -> None:
    told: list[str] = []
    with small_disk(tmp_path / "disk") as disk:
        await kept(disk, A, B, C, D)
        for run_id in (A, B, C):
            (disk / "runs" / run_id / "data.h5").write_bytes(b"\0" * 16_000_000)
        retention = Retention(disk, None, 40_000_000, told.append)
        assert retention.tidy() == [A, B]
        assert there(disk) == {C, D}
        assert retention.tidy() == []
        assert not told
        (disk / "ballast").write_bytes(b"\0" * 40_000_000)
        assert retention.tidy() == [C, D]
        assert len(told) == 1, "nothing is left"
        retention.tidy()
        assert len(told) == 1, "told once"


async def test_what_a_killed_process_has_begun_to_remove_goes(tmp_path: Path) -> None:
    await kept(tmp_path, A)
    (tmp_path / ".removed" / B).mkdir(parents=True)
    assert Retention(tmp_path, 90 * DAY, None).tidy() == []
    assert not (tmp_path / ".removed").exists()


@pytest.mark.parametrize("store", ["", "nowhere"])
def test_where_there_is_no_run_nothing_happens(tmp_path: Path, store: str) -> None:
    assert Retention(tmp_path / store, 1.0, 10**18).tidy() == []
