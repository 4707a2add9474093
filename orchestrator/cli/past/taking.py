"""`compare`, `export`: two runs side by side, and a run's rows for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from orchestrator.cli.past.listing import print_json, print_lines, width
from orchestrator.cli.past.stores import past_runs
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.data.past import account_of
from orchestrator.data.past.comparison import Known, compare
from orchestrator.data.past.export import FORMS, SUFFIXES, export
from orchestrator.data.past.table import table_of
from orchestrator.display.side_by_side import comparison_lines
from orchestrator.errors import InputError

_WIDE = 120


def compare_runs(
    runs: Sequence[str], file: Path | None, store: Path | None, verbose: int, *, as_json: bool
) -> int:
    """Show two runs side by side.

    Raises:
        InputError: There is no such run, or its journal can't be read.
    """
    set_up_logs(level_of(verbose))
    past = past_runs(file, store)
    found = [past.find(text) for text in runs]
    first, second = (
        Known(run, account_of(run.folder, all_steps=True), table_of(run.folder)) for run in found
    )
    compared = compare(first, second)
    if as_json:
        facts = [
            {
                "kind": c.kind,
                "name": c.name,
                "first": c.first,
                "second": c.second,
                "differs": c.differs,
            }
            for c in compared
        ]
        print_json(facts)
    else:
        print_lines(comparison_lines(compared, width() or _WIDE))
    return Code.SUCCESS


def export_run(
    run: str,
    form: str,
    out: Path | None,
    file: Path | None,
    store: Path | None,
    verbose: int,
    *,
    as_json: bool,
) -> int:
    """Write the rows of a run in a form that other programs read.

    Raises:
        InputError: There is no such run or form, or the file can't be written.
    """
    set_up_logs(level_of(verbose))
    if form not in FORMS:
        raise InputError(f"--format {form}: expected one of {', '.join(FORMS)}")
    found = past_runs(file, store).find(run)
    target = out or Path(f"{found.folder.name}.{SUFFIXES.get(form, form)}")
    rows = export(found, form, target)
    if as_json:
        sys.stdout.write(json.dumps({"file": str(target), "rows": rows}) + "\n")
    else:
        print_lines([Text(f"{target}: {rows} rows of {found.name} {found.run_id}")])
    return Code.SUCCESS
