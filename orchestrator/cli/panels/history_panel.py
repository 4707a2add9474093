"""What looks at past runs, and goes on with them: `history`, `show`, `recover`, `finalise`."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Several
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.panels.options import ConfigFile, Json, Verbose
from orchestrator.cli.panels.panel import Panel
from orchestrator.cli.terminal.guard import error_as_json

if TYPE_CHECKING:
    from orchestrator.types import Recovery

panel = Panel("Past runs")

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Its id, a unique beginning of it, last, or last:NAME of a sequence."
    ),
]
Service = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="PREFIX",
        help="Send it to the running service of this prefix and follow it.",
        show_default=False,
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


def _no_run(given: Mapping[str, Any], findings: Several[str], code: int) -> None:
    from orchestrator.display.run_end import show_no_run

    show_no_run(given["run"], findings, code)


@panel.command(_no_run)
def recover(
    run: Run,
    indices: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[INDEX …]",
            help="With --from: the indices of the loops around it, outermost first; one more, of a "
            "loop itself, is a pass of it.",
            show_default=False,
        ),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Print where it could go on; moves nothing.")
    ] = False,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PATH",
            help="Go on there, steps[3].do[0]; if not given, from its last checkpoint, or else "
            "from the beginning of the pass under way of its outermost loop.",
            show_default=False,
        ),
    ] = "",
    current: Annotated[
        bool,
        typer.Option(
            "--current", help="By the documents of today, where they have the same steps."
        ),
    ] = False,
    server: Service = "",
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Go on with a run that was interrupted, or did not succeed.

    With the document and arguments as they were. The loops around are set to their positions
    again; names, variables and samples are as they were there. Rows behind that point stay in the
    file, marked as superseded. It stays the same run, and this is another attempt at it.
    """
    from orchestrator.types import Recovery

    if indices and not start:
        raise typer.BadParameter("indices do nothing without --from PATH")
    if list_them:
        from orchestrator.cli.local import recovery as work

        return work.show_points(run, config, verbose, as_json=as_json)
    return _begin(
        Recovery(run, start, tuple(indices or ()), current),
        server,
        config,
        verbose,
        as_json=as_json,
    )


def _begin(
    recovery: Recovery, server: str, config: Path | None, verbose: int, *, as_json: bool
) -> int:
    if server:
        from orchestrator.cli.remote import recovery_commands

        return recovery_commands.send(recovery, server, config, verbose, as_json=as_json)
    from orchestrator.cli.local import recovery as work

    return work.recover(recovery, config, verbose, as_json=as_json)


@panel.command(_no_run)
def finalise(
    run: Run,
    server: Service = "",
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Run nothing but the finalisers of a run that was interrupted, or did not succeed.

    Those of sub-sequences that were under way come first. Its outcome stays as it was.
    """
    from orchestrator.types import Recovery

    return _begin(Recovery(run, finalise=True), server, config, verbose, as_json=as_json)
