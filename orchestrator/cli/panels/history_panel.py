"""What looks at past runs: `history`, `show`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.panels.options import ConfigFile, Json, Verbose
from orchestrator.cli.panels.panel import Panel
from orchestrator.cli.terminal.guard import error_as_json

panel = Panel("Past runs")

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Its id, a unique beginning of it, last, or last:NAME of a sequence."
    ),
]


@panel.command(error_as_json)
def history(
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Of this sequence; * stands for anything.", show_default=False
        ),
    ] = "",
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME",
            help="That came to this: Success, Failed, Timeout, Aborted, Stopped, Interrupted, "
            "Running; once for each.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Begun then or later: 2026-11-30, 2026-11-30T16:04, 16:04, today, yesterday, 2h, "
            "3d.",
            show_default=False,
        ),
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Begun before.", show_default=False)
    ] = "",
    most: Annotated[
        int, typer.Option("-n", metavar="N", min=0, help="The newest N; 0 = all.")
    ] = 20,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew from the runs' folders.")
    ] = False,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """List runs, the newest first, of whoever started them.

    The first column is what show takes, or the beginning of it as far as it is unique.
    """
    from orchestrator.cli.past import listing as work

    options = work.ListOptions(name, status or [], since, until, most, rebuild, as_json)
    return work.history(config, verbose, options)


@panel.command(error_as_json)
def show(
    run: Run,
    steps: Annotated[bool, typer.Option("--steps", help="Tell of each step.")] = False,
    document: Annotated[
        bool, typer.Option("--document", help="Print the sequence as it was run, nothing else.")
    ] = False,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Tell what became of a run: what it failed of, what was asked of it, what it left.

    Of a step: what was put and what came back, and the readings by which a condition came true.
    """
    from orchestrator.cli.past import listing as work

    return work.show(run, config, verbose, all_steps=steps, document=document, as_json=as_json)
