"""What starts simulated IOCs, and makes your own: `sim`, `new-ioc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.panels.options import Verbose
from orchestrator.cli.panels.panel import Panel

panel = Panel("Simulated IOCs")


@panel.command()
def sim(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Which; all where none is named.", show_default=False),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Print what there is, a line each.")
    ] = False,
    prefix: Annotated[
        str, typer.Option(metavar="P", help="Prefix of the PVs, where one IOC is named.")
    ] = "",
    list_pvs: Annotated[
        bool, typer.Option("--list-pvs", help="Print the names of the PVs.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="Repeats all that is drawn.", show_default=False)
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME] FAULT",
            help="Begin with it: delay SECONDS, refuse_writes, alarm PV SEVERITY, freeze, kill; "
            "once for each.",
            show_default=False,
        ),
    ] = None,
    verbose: Verbose = 0,
) -> int:
    """Start simulated IOCs on loopback, and print the environment that clients need.

    They run until Ctrl-C. Meanwhile a line that is typed is a fault lever: motor delay 0.5,
    motor refuse_writes on, motor alarm X.RBV MAJOR, motor clear, motor freeze, thaw, kill,
    restart; without the name where there is one IOC.
    """
    from orchestrator.cli.local import sim as work

    return work.sim(
        names or [],
        prefix,
        seed,
        verbose,
        faults=fault or [],
        list_them=list_them,
        list_pvs=list_pvs,
    )


@panel.command()
def new_ioc(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the IOC: a Python identifier, my_laser.")
    ],
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="D", help="Where to; a new folder NAME if not given.", show_default=False
        ),
    ] = None,
    verbose: Verbose = 0,
) -> int:
    """Write an IOC of your own: a device, its PVs, tests, and a sequence across it.

    It works as it stands, with a simulated instrument in the place of yours. Nothing is
    overwritten.
    """
    del verbose
    from orchestrator.cli.local import new_ioc as work

    return work.new_ioc(name, directory)
