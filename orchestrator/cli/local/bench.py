"""`bench`: the table of costs beside the bare libraries and the peers."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from orchestrator.bench import ROWS, Figure, RowResult, choose, measure
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.interrupts import raise_interrupts
from orchestrator.display.screen import Screen
from orchestrator.errors import InputError

_PACKAGES = ("aioca", "caproto", "numpy", "bluesky", "ophyd-async", "pyepics", "pysmlib")


def bench(
    names: Sequence[str],
    file: Path | None,
    rounds: int | None,
    *,
    quick: bool,
    strict: bool,
    list_them: bool,
) -> int:
    """Measure rows and print them as they come; with `file`, write them as JSON too.

    Raises:
        InputError: There is no such row, or the file can't be written.
    """
    rows = choose(names)
    if list_them:
        width = max(len(row.name) for row in ROWS)
        typer.echo("\n".join(f"{row.name:<{width}}  {row.title}" for row in rows))
        return Code.SUCCESS
    if file is not None:
        _write(file, "a", "")  # what can't be written is told before minutes of measuring
    raise_interrupts()
    console = Screen(highlight=False)
    results = []
    for row in rows:
        with console.status(f"{row.name}: {row.title} …"):
            result = measure(row, quick=quick, rounds=rounds or (2 if quick else 5))
        results.append(result)
        console.print(table_of(result))
        if result.error:
            console.print(Text(result.error, style="red"))
    if file is not None:
        _write(file, "w", json.dumps(_report(results, quick=quick), indent=2) + "\n")
    unmet = [result.name for result in results if not result.met]
    console.print(f"Not met: {', '.join(unmet)}." if unmet else "All bars are met.")
    if quick:
        console.print("--quick proves that it works; its figures mean little.")
    return code_of(results, strict=strict)


def code_of(results: Sequence[RowResult], *, strict: bool) -> Code:
    """The exit code; one bar that is missed, or row that could not be measured, is enough."""
    return Code.FAILED if strict and not all(r.met for r in results) else Code.SUCCESS


def _write(file: Path, mode: str, text: str) -> None:
    try:
        with file.open(mode, encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise InputError(f"--json {file}: {error.strerror}") from error


def table_of(result: RowResult) -> Table:
    """The figures of a row, with their bars; the verdict is never cut."""
    title = f"{result.name}: {result.title} ({result.seconds:.0f} s)"
    table = Table(title=title, title_justify="left", expand=True)
    table.add_column("figure", ratio=5)
    table.add_column("median", justify="right", ratio=2)
    table.add_column("lowest … highest", justify="right", ratio=3)
    table.add_column("bar", justify="right", ratio=2)
    table.add_column("", min_width=len("not met"), no_wrap=True)
    table.add_column("made of", ratio=4)
    for figure in result.figures:
        table.add_row(*_cells(figure))
    return table


def _cells(figure: Figure) -> list[Text]:
    parts = ", ".join(f"{name} {value}" for name, value in figure.parts.items())
    if figure.missing:
        style = "dim" if figure.skipped else "red"
        return [Text(figure.what), Text("–"), Text(""), _bar(figure), _verdict(figure),
                Text(figure.missing, style=style)]  # fmt: skip
    spread = f"{min(figure.values):.3g} … {max(figure.values):.3g}"
    median = f"{figure.value:.3g} {figure.unit}"
    return [Text(figure.what), Text(median), Text(spread), _bar(figure), _verdict(figure),
            Text(parts, style="dim")]  # fmt: skip


def _bar(figure: Figure) -> Text:
    if figure.at_most is not None:
        return Text(f"≤ {figure.at_most:g}")
    return Text("" if figure.at_least is None else f"≥ {figure.at_least:g}")


def _verdict(figure: Figure) -> Text:
    if figure.met is None:
        return Text("")
    return Text("met", style="green") if figure.met else Text("not met", style="red")


def _report(results: Sequence[RowResult], *, quick: bool) -> dict[str, object]:
    return {
        "quick": quick,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load": round(os.getloadavg()[1], 1),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "rows": [result.as_json() for result in results],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
