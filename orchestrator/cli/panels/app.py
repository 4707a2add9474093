"""The command line put together from its panels."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from orchestrator.cli.panels import (
    channels_panel,
    costs_panel,
    history_panel,
    sequences_panel,
    service_panel,
    sims_panel,
)

# Nothing heavy may be imported here: `orchestrator --help` has to be quick.

_EXIT_CODES = (
    "Exit codes: 0 success; 1 failed or timed out; 2 usage, an invalid file, a finding of the "
    "check before a run; 3 aborted, stopped, Ctrl-C; 4 a channel or the service is not connected "
    "before a run."
)

app = typer.Typer(
    help="Run sequences across several EPICS IOCs, served as process variables.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"orchestrator {version('ioc-orchestrator')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


# The order in which --help tells them.
_PANELS = (
    sequences_panel,
    service_panel,
    history_panel,
    channels_panel,
    sims_panel,
    costs_panel,
)
for module in _PANELS:
    module.panel.add_to(app)
