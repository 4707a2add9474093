"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.panels import completion

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration; ./orchestrator.toml if there is one.",
        show_default=False,
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        metavar="",
        help="Say more, with tracebacks; -vv says all, packets too.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
Numbers = Annotated[
    bool, typer.Option("--numbers", help="Show arrays of CHAR as numbers, not as text.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.0,
        help="How long to wait for the IOCs; if not given, connect_timeout of the configuration.",
        show_default=False,
    ),
]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="PREFIX",
        help="The service's prefix; if not given, what runs in this folder, or the prefix of the "
        "configuration (ORCH:).",
        show_default=False,
    ),
]
Meta = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="What is to be kept of the run beside its arguments; once for each.",
        show_default=False,
    ),
]
ForegroundRun = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        help="A foreground run in this folder, where there are several: its id or name.",
        show_default=False,
    ),
]
Sequence = Annotated[
    str,
    typer.Argument(
        metavar="SEQUENCE",
        help="A file, or a name from the directory in the configuration.",
        autocompletion=completion.sequences,
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=VALUE", help="Its parameters.", show_default=False),
]
Pvs = Annotated[
    list[str],
    typer.Argument(
        metavar="PV",
        help="PV names, or aliases of the configuration.",
        autocompletion=completion.channels,
    ),
]
