"""What works on sequences: `demo`, `run`, `check`, `schema`, `serve`, `replay`."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Several
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.panels.options import Arguments, ConfigFile, Json, Meta, Sequence, Verbose
from orchestrator.cli.panels.panel import Panel

panel = Panel("Sequences")


@panel.command()
def demo(
    peak: Annotated[
        float | None,
        typer.Option(
            metavar="MM",
            min=-0.9,
            max=0.9,
            help="Where the peak is; drawn if not given.",
            show_default=False,
        ),
    ] = None,
    verbose: Verbose = 0,
) -> int:
    """See it work: simulated IOCs, the service and a sequence across them, on loopback.

    Needs no argument, no network and no root, and takes less than a minute. Ctrl-C stops it
    cleanly.
    """
    from orchestrator.cli.local import demo as work

    return work.demo(peak, verbose)


def _no_run(given: Mapping[str, Any], findings: Several[str], code: int) -> None:
    from orchestrator.display.run_end import show_no_run

    show_no_run(Path(given["sequence"]).stem, findings, code)


@panel.command(_no_run)
def run(
    sequence: Sequence,
    arguments: Arguments = None,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            metavar="PREFIX",
            help="Send it to the running service of this prefix and follow it.",
            show_default=False,
        ),
    ] = "",
    meta: Meta = None,
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Run one sequence and exit with its outcome.

    The service lives for the time of the run, on loopback; or --server names one that runs
    already. Ctrl-C aborts the run, its finalisers run, and the exit code is 3; a second one gives
    up on outstanding completions, a third drops the finalisers. On a terminal Enter answers a
    question (ask), and the keys p, r, s and q pause, resume, skip and abort; status, pause,
    resume, stop, abort, skip and answer do so from another terminal in the same folder.
    """
    if server:
        from orchestrator.cli.remote import follow

        return follow.run(
            sequence, arguments or [], meta or [], server, config, verbose, as_json=as_json
        )
    from orchestrator.cli.local import embedded

    return embedded.run(sequence, arguments or [], meta or [], config, verbose, as_json=as_json)


def _no_check(given: Mapping[str, Any], findings: Several[str], code: int) -> None:
    from orchestrator.cli.local import check as work

    work.show_no_check(given["sequence"], findings, code)


@panel.command(_no_check)
def check(
    sequence: Sequence,
    arguments: Arguments = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Look at the files only, not at the IOCs.")
    ] = False,
    speed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL=UNITS_PER_SECOND",
            help="How fast a channel moves, for the estimated duration; once for each.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Find what is wrong with a sequence, with file, line and column; runs and writes nothing.

    Connects every channel that it uses, and looks at all values that its loops and expressions
    will produce: write access, labels, limits, waits in vain, steps that are never reached, two
    branches that put to one PV, one PV on two servers. Warnings do not change the exit code.
    """
    from orchestrator.cli.local import check as work

    options = work.CheckOptions(offline=offline, speeds=speed or [], as_json=as_json)
    return work.check(sequence, arguments or [], config, verbose, options)


@panel.command()
def schema(config: ConfigFile = None) -> int:
    """Print the JSON Schema of sequence documents, for editors and other programs.

    With it are the steps of your own that the configuration names.
    """
    from orchestrator.cli.local import print_schema as work

    return work.schema(config)


@panel.command()
def serve(
    more_interfaces: Annotated[
        list[str] | None, typer.Argument(metavar="ADDRESS", hidden=True, show_default=False)
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="In place of the configuration's.")
    ] = "",
    list_pvs: Annotated[
        bool, typer.Option("--list-pvs", help="Print the names of the PVs at the start.")
    ] = False,
    interfaces: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Listen on this only; more may follow.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="In place of the configuration's; 0 = a free one."),
    ] = None,
    macro: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What $(NAME) stands for in the configuration.",
            show_default=False,
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add the events of runs to it, a line of JSON each.",
            show_default=False,
        ),
    ] = None,
    stop_with_stdin: Annotated[
        bool,
        typer.Option("--stop-with-stdin", help="Stop when stdin ends too, as with a parent."),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write down all that comes from outside, for `orchestrator replay`; "
            "compressed if FILE ends in .gz. A file that exists stays: the name gets a number.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say errors only.")] = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Run the service until Ctrl-C or SIGTERM.

    A run under way is then aborted and its finalisers run; a second Ctrl-C gives up on outstanding
    completions, a third drops the finalisers.
    """
    from orchestrator.cli.local import serve as work

    options = work.ServeOptions(
        prefix=prefix,
        list_pvs=list_pvs,
        interfaces=interfaces or [],
        more_interfaces=more_interfaces or [],
        port=port,
        macros=macro or [],
        events=events,
        stop_with_stdin=stop_with_stdin,
        record=record,
        quiet=quiet,
        verbose=verbose,
    )
    return work.serve(config, options)


@panel.command()
def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `orchestrator serve --record` wrote.")
    ],
    run: Annotated[
        str,
        typer.Option(
            metavar="N|ID",
            help="Tell of one run only, by its number from 1 or its id.",
            show_default=False,
        ),
    ] = "",
    sequence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="What the sequence NAME is this time; once for each.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> int:
    """Run a recorded night again, at once, and tell whether it comes to the same.

    Device, engine and sequences get what they got then, at the times at which they got it; nothing
    is read or written outside. Exit codes: 0 the same, 1 a difference, 2 no recording that this
    version can read.
    """
    from orchestrator.cli.local import replay as work

    return work.replay(file, run, sequence or [], verbose, as_json=as_json)
