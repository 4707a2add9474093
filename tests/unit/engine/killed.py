"""What is left of a run whose process was killed, at any line of its journal; and its going on.

It is made of a whole run: the journal up to a line, the file of its rows up to what a thread may
have written by then, and the channels as they were put until then.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.data import RunRecords
from orchestrator.data.journal.reader import entries_of
from orchestrator.data.writer import DataForm
from orchestrator.types import RunEnded
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench

SEQUENCES = {
    "inner": """
parameters: {to: {default: 1.0}}
variables: {count: 0}
steps:
  - loop: {count: 2, as: k}
    do:
      - let: {count: count + 1}
      - set: {pv: sim.det, value: "=to + count"}
      - sample: [sim.det]
finally: [{set: {pv: sim.text, value: =to}}]
""",
}


def written(folder: Path) -> Path:
    """A directory with the sequences, and the table, that documents of tests run."""
    folder.mkdir()
    for name, text in SEQUENCES.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "rows.csv").write_text(
        "sim.x, sim.y, axis, to\n1, 2, sim.det, 7\n3, , sim.counts, 8\n"
    )
    return folder


def no_trouble(why: str) -> None:
    raise AssertionError(why)


def play(store: Path, scenario: Any, **options: Any) -> Any:
    async def main() -> Any:
        records = RunRecords(store, no_trouble, DataForm(("csv",)))
        try:
            async with bench(records=records, **options) as it:
                return await scenario(it)
        finally:
            await records.close()

    return run_virtual(main())


def folder_of(store: Path) -> Path:
    (folder,) = (store / "runs").iterdir()
    return folder


def lines_of(store: Path) -> list[dict[str, Any]]:
    return [dict(entry) for entry in entries_of(folder_of(store))]


def killed_at(whole: Path, line: int, store: Path) -> list[dict[str, Any]]:
    """What is there of a run whose process was killed behind that line of its journal."""
    folder = store / "runs" / folder_of(whole).name
    folder.mkdir(parents=True)
    lines = (folder_of(whole) / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:line]) + lines[line][: line % 7])
    left = [json.loads(text) for text in lines[:line]]
    rows = sum(own["event"] == "row" for own in left)
    (data,) = whole.rglob("*.csv")
    cells = data.read_bytes().splitlines(keepends=True)
    in_file = max(rows - line % 3, 0)  # a thread writes it: it may be behind
    if rows:
        torn = b"".join(cells[in_file + 1 : in_file + 2])[: line % 9]
        (folder / data.name).write_bytes(b"".join(cells[: in_file + 1]) + torn)
    return left


def killed_again(once: Path, line: int, store: Path) -> list[dict[str, Any]]:
    """The same of the second attempt at a run, behind a line of that."""
    left = lines_of(once)
    folder = store / "runs" / folder_of(once).name
    shutil.copytree(once, store, ignore=shutil.ignore_patterns("journal-2*", "index.db*"))
    second = (folder_of(once) / "journal-2.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal-2.jsonl").write_text("".join(second[:line]) + second[line][: line % 7])
    left = left[: len(left) - len(second) + line]
    rows = sum(own["event"] == "row" for own in left)
    for data in store.rglob("*.csv"):
        cells = data.read_bytes().splitlines(keepends=True)
        data.write_bytes(b"".join(cells[: rows + 1]))
        if not rows:
            data.unlink()
    return left


def taken(store: Path) -> list[tuple[str, str, dict[str, float]]]:
    """The rows that count: where, and by channel."""
    superseded = 0
    rows: list[tuple[int, Any]] = []
    for line in lines_of(store):
        if line["event"] == "attempt" and line["how"] == "recover":
            superseded = line["superseded"]
            rows = [row for row in rows if row[0] < superseded]
        if line["event"] == "row":
            values = {name: read["value"] for name, read in line["channels"].items()}
            rows.append((line["point"], (line["path"], str(line["loops"]), values)))
    return [row for _, row in rows]


def in_csv(store: Path) -> list[dict[str, str]]:
    (file,) = store.rglob("*.csv")
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def bound(store: Path) -> dict[str, Any]:
    *_, last = (line for line in lines_of(store) if line["event"] == "values")
    return dict(last["values"])


def restored(it: Bench, lines: list[dict[str, Any]]) -> None:
    """Put the channels where they were put to."""
    for line in lines:
        if line["event"] == "put_leaves":
            it.sim.post(line["pv"], float(line["value"]))


def whole_run(
    store: Path, sequences: Path, text: str, before: Callable[[Bench], None] | None = None
) -> tuple[RunEnded, Bench]:
    """Run a document to its end, with channels as `before` makes them."""

    async def scenario(it: Bench) -> Any:
        if before is not None:
            before(it)
            await it.pull.idle()
        return await it.run(text), it

    return play(store, scenario, directory=sequences)  # type: ignore[no-any-return]


def go_on(store: Path, sequences: Path, lines: list[dict[str, Any]], *at: Any, **how: Any) -> Any:
    run_id = folder_of(store).name

    async def scenario(it: Bench) -> Any:
        restored(it, lines)
        await it.pull.idle()
        return await it.recover(run_id, *at, **how), it

    return play(store, scenario, directory=sequences)
