"""A run's rows in the forms that other programs read."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from orchestrator.data.past.finder import PastRun
from orchestrator.data.past.table import RunTable, table_of
from orchestrator.data.past.whole_arrays import complete
from orchestrator.errors import InputError


def export(run: PastRun, form: str, file: Path) -> int:
    """Write the rows of a run to a file; gives their number.

    Args:
        run: Whose rows.
        form: One of `FORMS`.
        file: Where to; it must not be there yet.

    Raises:
        InputError: It can't be written, or what the form needs is not installed.
    """
    table = table_of(run.folder)
    if form in _MADE_OF_THE_JOURNAL:
        complete(table, data_file_of(run, ".h5"))
    try:
        with file.open("x", encoding="utf-8", newline=""):  # nothing is overwritten
            pass
    except FileExistsError as error:
        raise InputError(f"{file} is there already; choose another name by --out") from error
    except OSError as error:
        raise InputError(f"{file} can't be written: {error.strerror}") from error
    try:
        FORMS[form](run, table, file)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{file} can't be written: {error.strerror}") from error
        raise
    return len(table)


def data_file_of(run: PastRun, suffix: str) -> Path | None:
    """Its data file of a kind where it is now, also of a store that was moved; None = none."""
    if not run.data_file:
        return None
    named = Path(run.data_file).with_suffix(suffix)
    places = (named, run.folder / named.name, run.folder.parents[1] / named.name)
    return next((place for place in places if place.is_file()), None)


def _as_csv(run: PastRun, table: RunTable, file: Path) -> None:
    """The run's own CSV file, in which arrays are whole; without one what the journal has."""
    kept = data_file_of(run, ".csv")
    if kept is not None:
        shutil.copyfile(kept, file)
        return
    with file.open("w", encoding="utf-8", newline="") as out:
        _write_rows(table, out)


def _write_rows(table: RunTable, out: TextIO) -> None:
    writer = csv.writer(out)
    ends = ("", ":timestamp", ":severity")
    head = [f"{name}{end}" for name in table.columns for end in ends]
    marked = any(table.superseded)  # the column is that of the run's own file
    writer.writerow(["point", "step", "loop", "try", *["superseded"] * marked, *head])
    for point in range(len(table)):
        cells: list[object] = []
        for column in table.columns.values():
            value = column.values[point]
            shown = json.dumps(value) if isinstance(value, list | dict) else value
            cells += [shown, _stamp(column.times[point]), column.severities[point]]
        loops, tries = (" ".join(map(str, n[point])) for n in (table.loops, table.tries))
        mark = ["1" if table.superseded[point] else ""] * marked
        writer.writerow([table.points[point], table.paths[point], loops, tries, *mark, *cells])


def _stamp(moment: float | None) -> str:
    return "" if moment is None else f"{moment:.6f}"


def table_facts(run: PastRun, table: RunTable) -> dict[str, Any]:
    """The rows as an object of JSON, with what the run was."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "outcome": run.outcome,
        "units": {name: table.units(name) for name in table.columns},
        "rows": [
            {
                "point": table.points[point],
                "superseded": table.superseded[point],
                "step": table.paths[point],
                "loop": table.loops[point],
                "try": table.tries[point],
                "channels": {
                    name: {
                        "value": column.values[point],
                        "time": column.times[point],
                        "severity": column.severities[point],
                    }
                    for name, column in table.columns.items()
                    if column.severities[point] is not None
                },
            }
            for point in range(len(table))
        ],
    }


def _as_json(run: PastRun, table: RunTable, file: Path) -> None:
    file.write_text(json.dumps(table_facts(run, table)), encoding="utf-8")


def _as_parquet(run: PastRun, table: RunTable, file: Path) -> None:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "--format parquet needs pyarrow: pip install 'ioc-orchestrator[parquet]'"
        ) from error
    columns: dict[str, Any] = {
        "point": table.points,
        "superseded": table.superseded,
        "step": table.paths,
        "loop": [list(loops) for loops in table.loops],
        "try": [list(tries) for tries in table.tries],
    }
    for name, column in table.columns.items():
        columns[name] = arrow.array(_alike(column.values))
        columns[f"{name}:timestamp"] = arrow.array(column.times, arrow.float64())
        columns[f"{name}:severity"] = arrow.array(column.severities, arrow.int8())
    made = arrow.table(columns)
    facts = {"run_id": run.run_id, "name": run.name, "outcome": run.outcome}
    units = {name: table.units(name) for name in table.columns}
    made = made.replace_schema_metadata({**facts, "units": json.dumps(units)})
    parquet.write_table(made, file)


def _alike(values: list[Any]) -> list[Any]:
    """Values of one type, as a column has to have: text where they are not."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and dict not in kinds:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [
        value if value is None or isinstance(value, str) else json.dumps(value) for value in values
    ]


def _as_nexus(run: PastRun, table: RunTable, file: Path) -> None:
    """The run's own HDF5 file: it has all that there is, arrays and images whole."""
    del table
    kept = data_file_of(run, ".h5")
    if kept is None:
        raise InputError(
            f"{run.name} {run.run_id} has no HDF5 file: it took no sample, or [store] formats has "
            "no hdf5; csv, json and parquet are made of its journal"
        )
    shutil.copyfile(kept, file)


FORMS: Mapping[str, Callable[[PastRun, RunTable, Path], None]] = {
    "csv": _as_csv,
    "json": _as_json,
    "parquet": _as_parquet,
    "nexus": _as_nexus,
}
"""By the word of `--format`."""
_MADE_OF_THE_JOURNAL = ("json", "parquet")
SUFFIXES = {"nexus": "h5"}
"""Of files; that of another form is its word."""
