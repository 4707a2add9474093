"""What measures: `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.panels.panel import Panel

panel = Panel("Costs")


@panel.command()
def bench(
    rows: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", help="Which rows; all if none is named.", show_default=False),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small counts: proves that it works, measures little.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures there.", show_default=False),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Measurements of each; 5 if not given.", show_default=False),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 when a bar is not met.")
    ] = False,
    list_them: Annotated[bool, typer.Option("--list", help="Print the rows, a line each.")] = False,
) -> int:
    """Measure what a step, an update and a channel cost, beside the bare libraries and peers.

    Starts simulated IOCs, a service and the peers that are installed (pip install '.[bench]'),
    on loopback; takes some minutes.
    """
    from orchestrator.cli.local import bench as work

    return work.bench(
        rows or [], json_file, rounds, quick=quick, strict=strict, list_them=list_them
    )
