"""What is drawn, exported and compared is what the run has sampled, over what its loops moved."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from orchestrator.data import RunRecords
from orchestrator.data.journal.reader import entries_of
from orchestrator.data.past import PastRun, PastRuns, account_of, whole_arrays
from orchestrator.data.past.comparison import Known, compare
from orchestrator.data.past.export import FORMS, export
from orchestrator.data.past.picture import Curves, Image, pictures
from orchestrator.data.past.table import read_rows, table_of
from orchestrator.errors import InputError
from orchestrator.types import (
    Metadata,
    NativeType,
    Place,
    Reading,
    RunEnded,
    RunHeader,
    RunStatus,
)

X, Y, COUNTS = "stage.x_rbv", "stage.y_rbv", "det.counts"


class _Outside:
    """Channels that are as they were put."""

    async def put(self, name: str, value: object, **options: object) -> None:
        permit = options["permit"]
        assert callable(permit)
        permit()

    connect = get = doubled = outstanding = None


async def grid(store: Path, run_id: str = "1", *, rows: int = 3, twice: bool = False) -> PastRun:
    """Two loops, the inner one from high to low; counts are 10 y + x."""
    records = RunRecords(store, pytest.fail)
    known = {X: Metadata(NativeType.DOUBLE, units="mm"), COUNTS: None, Y: None}
    record = records.open(RunHeader(run_id, "grid", arguments={"rows": rows}, channels=known))
    journal = record.journal
    channels = journal.channels(_Outside())  # type: ignore[arg-type]  # enough of them
    for row in range(rows):
        await moved(journal, channels, "stage.y", Y, float(row))
        for column in range(4):
            x = 3.0 - column
            await moved(journal, channels, "stage.x", X, x)
            at = Place(("steps", 0, "do", 0, "do", 0), (row, column))
            readings = {X: x, Y: float(row), COUNTS: 10.0 * row + x}
            if twice:  # a try that failed stands before it
                record.row(at, {name: Reading(name, -1.0, 1.5) for name in readings})
            record.row(at, {name: Reading(name, v, 1.5) for name, v in readings.items()})
    await record.close(RunStatus.SUCCESS)
    records.heard(RunEnded(run_id, RunStatus.SUCCESS, "", 0, data_file=record.file))
    await records.close()
    return PastRuns(store).find(run_id)


async def moved(journal, channels, setpoint: str, readback: str, to: float) -> None:  # type: ignore[no-untyped-def]
    step = journal.entered(Place(("steps", 0)), f"set {setpoint}")
    await channels.put(setpoint, to, completion=True, timeout=1.0)
    journal.met(f"the readback of {setpoint} is at {to:g}", [Reading(readback, to, 1.5)])
    journal.left(step)


async def test_the_axes_are_what_was_moved_the_innermost_first(tmp_path: Path) -> None:
    run = await grid(tmp_path)
    assert table_of(run.folder).axes() == [X, Y]


async def test_two_loops_are_an_image_with_both_axes_rising(tmp_path: Path) -> None:
    run = await grid(tmp_path)
    (image,) = pictures([table_of(run.folder)])
    assert isinstance(image, Image)
    assert (image.x_label, image.y_label, image.z_label) == (f"{X} (mm)", Y, COUNTS)
    assert (image.x.tolist(), image.y.tolist()) == ([0, 1, 2, 3], [0, 1, 2])
    assert image.z.tolist() == [[10.0 * y + x for x in range(4)] for y in range(3)]


async def test_a_row_of_a_failed_try_is_not_in_the_image(tmp_path: Path) -> None:
    run = await grid(tmp_path, twice=True)
    (image,) = pictures([table_of(run.folder)], [COUNTS])
    assert isinstance(image, Image)
    assert image.z.min() == 0


async def test_runs_are_drawn_over_each_other_by_the_first_ones_x(tmp_path: Path) -> None:
    runs = [await grid(tmp_path, "1", rows=1), await grid(tmp_path, "2", rows=2)]
    (curves,) = pictures([table_of(run.folder) for run in runs], [COUNTS])
    assert isinstance(curves, Curves)
    assert [series.label for series in curves.series] == ["grid 1", "grid 2"]
    assert curves.series[0].x.tolist() == [0, 1, 2, 3]
    assert curves.series[0].y.tolist() == [0, 1, 2, 3]


async def test_any_channel_that_was_sampled_or_put_may_be_x(tmp_path: Path) -> None:
    table = table_of((await grid(tmp_path)).folder)
    for x, label in (("stage.y", "stage.y as put"), ("time", "time (s)"), (Y, Y)):
        (curves,) = pictures([table], [COUNTS], x)
        assert isinstance(curves, Curves)
        assert curves.x_label == label
        assert np.isfinite(curves.series[0].x).all()
    with pytest.raises(InputError, match=r"has no det\.count.*did you mean.*det\.counts"):
        pictures([table], ["det.count"])


async def test_a_run_without_rows_is_told(tmp_path: Path) -> None:
    run = await grid(tmp_path, rows=0)
    with pytest.raises(InputError, match="it took no sample"):
        pictures([table_of(run.folder)])


async def test_rows_that_a_later_attempt_has_taken_anew_are_not_drawn(tmp_path: Path) -> None:
    run = await grid(tmp_path)
    lines = list(entries_of(run.folder))
    attempt = {"event": "attempt", "t": 1.0, "attempt": 2, "superseded": 8}
    rows = [line for line in lines if line["event"] == "row"][8:]
    again = [{**row, "point": 12 + n} for n, row in enumerate(rows)]
    table = read_rows([*lines, attempt, *again])
    assert np.isnan(table.numbers(COUNTS)).tolist() == [8 <= n < 12 for n in range(16)]
    (image,) = pictures([table], [COUNTS])
    assert isinstance(image, Image)
    assert image.z.shape == (3, 4)
    (curves,) = pictures([table], [COUNTS], X)
    assert isinstance(curves, Curves)
    assert curves.series[0].x.size == 12


@pytest.mark.parametrize("form", FORMS)
async def test_an_export_has_every_row_and_overwrites_nothing(tmp_path: Path, form: str) -> None:
    run, file = await grid(tmp_path), tmp_path / f"out.{form}"
    assert await asyncio.to_thread(export, run, form, file) == 12
    text = file.read_bytes()
    match form:
        case "csv":
            rows = list(csv.DictReader(text.decode().splitlines()))
            found = [float(row[COUNTS]) for row in rows]
        case "json":
            facts = json.loads(text)
            assert facts["units"][X] == "mm"
            found = [row["channels"][COUNTS]["value"] for row in facts["rows"]]
        case "nexus":
            assert text.startswith(b"\x89HDF")
            return
        case _:
            found = parquet.read_table(file)[COUNTS].to_pylist()
    assert found == [10.0 * y + x for y in range(3) for x in (3, 2, 1, 0)]
    with pytest.raises(InputError, match="is there already"):
        export(run, form, file)
    assert file.read_bytes() == text


WAVE = "det.wave"


async def waves(store: Path) -> PastRun:
    """Rows with arrays that are longer than what a journal has of them, of changing lengths."""
    records = RunRecords(store, pytest.fail)
    known = {WAVE: Metadata(NativeType.DOUBLE, count=1000), X: None}
    record = records.open(RunHeader("1", "waves", channels=known))
    for row, size in enumerate((100, 1000, 3)):
        wave = np.arange(size) + 0.5
        wave[1] = np.nan
        readings: dict[str, Reading | None] = {WAVE: Reading(WAVE, wave, 1.5)}
        record.row(Place(("steps", 0), (row,)), readings)
    record.row(Place(("steps", 1)), {X: Reading(X, 1.0, 1.5)})
    await record.close(RunStatus.SUCCESS)
    records.heard(RunEnded("1", RunStatus.SUCCESS, "", 0, data_file=record.file))
    await records.close()
    return PastRuns(store).find("1")


@pytest.mark.parametrize("form", ["json", "parquet"])
async def test_an_export_has_long_arrays_in_whole(tmp_path: Path, form: str) -> None:
    run, file = await waves(tmp_path), tmp_path / f"out.{form}"
    assert await asyncio.to_thread(export, run, form, file) == 4
    if form == "json":
        rows = json.loads(file.read_text())["rows"]
        found = [row["channels"].get(WAVE, {}).get("value") for row in rows]
    else:
        found = parquet.read_table(file)[WAVE].to_pylist()
    assert found == [*([0.5, None, *(np.arange(2, n) + 0.5)] for n in (100, 1000, 3)), None]


async def test_an_export_of_more_than_fits_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await waves(tmp_path)
    monkeypatch.setattr(whole_arrays, "_MOST", 1099)
    with pytest.raises(InputError, match=r"det\.wave: 1100 elements are too many.*nexus"):
        export(run, "json", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


async def test_csv_is_made_of_the_journal_where_its_own_file_is_gone(tmp_path: Path) -> None:
    run = await grid(tmp_path)
    kept = Path(run.data_file).with_suffix(".csv")
    before = list(csv.DictReader(kept.read_text().splitlines()))
    kept.unlink()
    export(run, "csv", tmp_path / "out.csv")
    after = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [float(row[COUNTS]) for row in after] == [float(row[COUNTS]) for row in before]
    assert after[0].keys() == before[0].keys()


async def test_runs_are_compared_item_by_item(tmp_path: Path) -> None:
    known = [
        Known(run, account_of(run.folder, all_steps=True), table_of(run.folder))
        for run in (await grid(tmp_path, "1", rows=1), await grid(tmp_path, "2", rows=2))
    ]
    items = {(item.kind, item.name): item for item in compare(*known)}
    assert (items["argument", "rows"].first, items["argument", "rows"].second) == (1, 2)
    assert not items["run", "outcome"].differs
    counts = items["data", COUNTS]
    assert counts.first == {"points": 4, "min": 0.0, "mean": 1.5, "max": 3.0}
    assert counts.differs
    assert not any(item.differs for item in compare(known[0], known[0]))
