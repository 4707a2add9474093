"""Looks at past runs, and goes on with them: `history`, `show`, `plot`, `recover` and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.panels import completion
from orchestrator.cli.panels.options import ConfigFile, Json, Verbose
from orchestrator.cli.panels.panel import Panel
from orchestrator.cli.terminal.guard import error_as_json

if TYPE_CHECKING:
    from orchestrator.types import Recovery

panel = Panel("Past runs")


def _no_run(given: Mapping[str, Any], findings: Sequence[str], code: int) -> None:
    from orchestrator.display.run_end import show_no_run

    show_no_run(given["run"], findings, code)


Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Its id, a unique beginning of it, last, or last:NAME of a sequence.",
        autocompletion=completion.runs,
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


Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Where the runs are; if not given, the store of the configuration.",
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
    store: Store = None,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """List runs, the newest first, of whoever started them.

    The first column is what show takes, or the beginning of it as far as it is unique.
    """
    from orchestrator.cli.past import listing as work

    options = work.ListOptions(name, status or [], since, until, most, rebuild, as_json)
    return work.history(config, store, verbose, options)


@panel.command(error_as_json)
def show(
    run: Run,
    steps: Annotated[bool, typer.Option("--steps", help="Tell of each step.")] = False,
    document: Annotated[
        bool, typer.Option("--document", help="Print the sequence as it was run, nothing else.")
    ] = False,
    as_json: Json = False,
    store: Store = None,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Tell what became of a run: what it failed of, what was asked of it, what it left.

    Of a step: what was put and what came back, and the readings by which a condition came true.
    """
    from orchestrator.cli.past import listing as work

    options = work.ShowOptions(steps, document, as_json)
    return work.show(run, config, store, verbose, options)


@panel.command(error_as_json)
def plot(
    run: Run,
    ys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="Y", help="Channels; if none is given, those sampled.", show_default=False
        ),
    ] = None,
    x: Annotated[
        str,
        typer.Option(
            "--x",
            metavar="X",
            help="A channel, or time; if not given, what the loop moved.",
            show_default=False,
        ),
    ] = "",
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN", help="Another run to draw with it; once for each.", show_default=False
        ),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(
            metavar="CURVE",
            help="Fit gauss, lorentz or edge: where it is, and how wide at half its height.",
            show_default=False,
        ),
    ] = "",
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page that needs a browser only.", show_default=False
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Draw it again as it grows, until the run ends.")
    ] = False,
    as_json: Json = False,
    store: Store = None,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Draw what a run has sampled, in the terminal or in a file; two loops as an image.

    plot last --over last:NAME draws two runs over each other.
    """
    from orchestrator.cli.past import drawing as work

    options = work.PlotOptions(ys or [], x, over or [], fit, png, html, follow, as_json)
    return work.plot(run, config, store, verbose, options)


@panel.command(error_as_json)
def compare(
    run: Run,
    other: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Another one, named alike.", autocompletion=completion.runs
        ),
    ],
    as_json: Json = False,
    store: Store = None,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Show two runs side by side: arguments, outcomes, durations, steps, data.

    What differs is marked by ≠.
    """
    from orchestrator.cli.past import taking as work

    return work.compare_runs((run, other), config, store, verbose, as_json=as_json)


@panel.command(error_as_json)
def export(
    run: Run,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="csv, json, parquet or nexus.")
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to; if not given, the run's id here.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    store: Store = None,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Write the rows of a run to a file for other programs. Nothing is overwritten.

    parquet needs pyarrow: pip install 'ioc-orchestrator[parquet]'.
    """
    from orchestrator.cli.past import taking as work

    return work.export_run(run, form, out, config, store, verbose, as_json=as_json)


@panel.command(_no_run)
def again(
    run: Run,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE", help="Parameters that are to be others.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
    store: Store = None,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Run a past run's document again, with its arguments but for those that are named.

    As orchestrator run does, by a service that lives for the time of the run. What is run is the
    document as it was then; sequences that it runs and Python are what they are today, and it is
    told where they have changed. The new run says which one it repeats.
    """
    from orchestrator.cli.past import repeating as work

    return work.again(run, arguments or [], config, store, verbose, as_json=as_json)


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
