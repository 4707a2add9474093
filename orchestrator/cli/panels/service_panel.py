"""What talks to a running service or foreground run: `status` to `queue`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.panels import completion
from orchestrator.cli.panels.options import (
    Arguments,
    ConfigFile,
    ForegroundRun,
    Json,
    Meta,
    Server,
    Verbose,
)
from orchestrator.cli.panels.panel import Panel
from orchestrator.cli.terminal.guard import error_as_json

panel = Panel("A running service or run")


@panel.command(error_as_json)
def status(
    server: Server = "",
    run: ForegroundRun = "",
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until Ctrl-C.")] = False,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Show what the service does, how its last run ended, and which channels it has.

    Like the other commands here, it finds a foreground `orchestrator run` of the same folder.
    """
    from orchestrator.cli.remote import show_status as work

    return work.status(server, run, config, verbose, watch=watch, as_json=as_json)


@panel.command()
def pause(
    server: Server = "",
    run: ForegroundRun = "",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Pause the run; what is in flight is awaited."""
    from orchestrator.cli.remote import run_commands

    return run_commands.send("pause", "", server, run, config, verbose)


@panel.command()
def resume(
    server: Server = "",
    run: ForegroundRun = "",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Go on with a paused run."""
    from orchestrator.cli.remote import run_commands

    return run_commands.send("resume", "", server, run, config, verbose)


@panel.command()
def stop(
    server: Server = "",
    run: ForegroundRun = "",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """End the run at its next boundary; its finalisers run."""
    from orchestrator.cli.remote import run_commands

    return run_commands.send("stop", "", server, run, config, verbose)


@panel.command()
def abort(
    reason: Annotated[
        list[str] | None, typer.Argument(metavar="REASON", help="Why.", show_default=False)
    ] = None,
    server: Server = "",
    run: ForegroundRun = "",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Interrupt the run at once; its finalisers run. Again: harder."""
    from orchestrator.cli.remote import run_commands

    return run_commands.send("abort", " ".join(reason or []), server, run, config, verbose)


@panel.command()
def skip(
    server: Server = "",
    run: ForegroundRun = "",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Interrupt the step that runs and go on with the next."""
    from orchestrator.cli.remote import run_commands

    return run_commands.send("skip", "", server, run, config, verbose)


@panel.command(ignore_unknown_options=True)  # negative numbers
def answer(
    value: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VALUE",
            help="The answer; without one it is the default, or to go on.",
            show_default=False,
        ),
    ] = None,
    server: Server = "",
    run: ForegroundRun = "",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Answer the question of a step `ask`: the run goes on.

    A wrong answer is refused with what would be right; the first right one counts.
    """
    from orchestrator.cli.remote import run_commands

    return run_commands.send("answer", " ".join(value or []), server, run, config, verbose)


@panel.command(error_as_json)
def submit(
    sequence: Annotated[
        str,
        typer.Argument(
            metavar="SEQUENCE",
            help="The name of a sequence of the service.",
            autocompletion=completion.sequences,
        ),
    ],
    arguments: Arguments = None,
    meta: Meta = None,
    server: Server = "",
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Put a run into the queue of a service; it begins when those before it have ended well.

    Does not wait for it. What can't be run is refused at once, with exit code 2.
    """
    from orchestrator.cli.remote import queue_commands as work

    return work.submit(
        sequence, arguments or [], meta or [], server, config, verbose, as_json=as_json
    )


@panel.command(error_as_json)
def queue(
    action: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ACTION",
            help="list, start, hold, clear, remove N, or move N POSITION (1 = the next one).",
            show_default="list",
        ),
    ] = None,
    server: Server = "",
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Show or change the runs that wait.

    A run that does not succeed stays in front and holds the others: start tries it again, remove
    and start goes on without it. hold lets the run under way end and begins no other.
    """
    from orchestrator.cli.remote import queue_commands as work

    return work.queue(action or ["list"], server, config, verbose, as_json=as_json)


@panel.command(error_as_json)
def doctor(as_json: Json = False, config: ConfigFile = None, verbose: Verbose = 0) -> int:
    """Look for what goes wrong where a service is set up, and say what to do.

    Versions, files, the store and its disk, ports, descriptors, where IOCs are looked for, each
    chained IOC (nothing there, silence like a firewall's, names that it does not have, a PV on two
    servers, INVALID values), and whether its clock is ours. Connects and reads, writes nothing; may
    be used beside the running service. Exit code 1 if something does not work.
    """
    from orchestrator.cli.local import doctor_command as work

    return work.doctor(config, verbose, as_json=as_json)


@panel.command()
def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send a message to all who would be told.")
    ] = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Show of what people are told, as the configuration has it, and try whether they are.

    A service tells them by itself; this needs none. Exit code 1 if a message does not reach all.
    """
    from orchestrator.cli.local import notify_test as work

    return work.notify(config, verbose, test=test)


@panel.command()
def screens(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where they are written.")],
    wanted: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="bob (Phoebus), ui (PyDM), alarms (Phoebus' alarm server), archive (a list).",
        ),
    ] = "bob",
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Write operator screens of the service as it is configured.

    Lanes with their buttons, the queue, IOCs, channels, plots of the data; those that are there are
    written anew. Or its PVs for an alarm server or an archiver.
    """
    from orchestrator.cli.local import write_screens as work

    return work.screens(folder, wanted, config, verbose)
