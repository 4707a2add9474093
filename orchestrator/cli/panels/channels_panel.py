"""What reads and writes channels: `monitor`, `get`, `put`, `info`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.panels import completion
from orchestrator.cli.panels.options import ConfigFile, Json, Numbers, Pvs, Timeout, Verbose
from orchestrator.cli.panels.panel import Panel
from orchestrator.cli.terminal.guard import error_as_json

panel = Panel("Channels")


@panel.command(error_as_json)
def monitor(
    pvs: Pvs,
    count: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="End after N updates.", show_default=False),
    ] = None,
    numbers: Numbers = False,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Print each update: name, date, time, value, alarm. Ctrl-C ends it, with exit code 3."""
    from orchestrator.cli.remote import get_and_put

    return get_and_put.monitor(pvs, count, config, verbose, numbers=numbers, as_json=as_json)


@panel.command(error_as_json)
def get(
    pvs: Pvs,
    timeout: Timeout = None,
    numbers: Numbers = False,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Print the values of PVs."""
    from orchestrator.cli.remote import get_and_put

    return get_and_put.get(pvs, timeout, config, verbose, numbers=numbers, as_json=as_json)


@panel.command(error_as_json, ignore_unknown_options=True)  # negative numbers
def put(
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="PV VALUE",
            help="What to write where; an enum takes a label or an index.",
            autocompletion=completion.channels,
        ),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Put-callback: wait until the IOC has done it.")
    ] = False,
    timeout: Timeout = None,
    numbers: Annotated[
        bool,
        typer.Option("--numbers", help="Put a list, “[1, 2]”, to an array of CHAR as its numbers."),
    ] = False,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Write values to PVs, and print what they then hold.

    What was refused is told with its reason, a service's message included, and so is a value that
    the IOC has clipped; both are exit code 1.
    """
    from orchestrator.cli.remote import get_and_put

    return get_and_put.put(
        pairs, timeout, config, verbose, wait=wait, numbers=numbers, as_json=as_json
    )


@panel.command(error_as_json)
def info(
    pvs: Pvs,
    timeout: Timeout = None,
    as_json: Json = False,
    config: ConfigFile = None,
    verbose: Verbose = 0,
) -> int:
    """Print type, size, host, access, units, limits and labels of PVs."""
    from orchestrator.cli.remote import get_and_put

    return get_and_put.info(pvs, timeout, config, verbose, as_json=as_json)
