"""`demo`: simulated IOCs, the service, and a sequence that finds a peak with them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
from collections.abc import MutableMapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import FrameType

import typer

from orchestrator import loops
from orchestrator.cli.local.embedded import LOOPBACK, Embedded, beginning, seen_again
from orchestrator.cli.settings import choose, settings
from orchestrator.cli.terminal.codes import Code, code_of_run
from orchestrator.cli.terminal.interrupts import raise_interrupts
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.client import configure_environment
from orchestrator.display.plot import plot_lines
from orchestrator.display.progress import RunProgress
from orchestrator.display.run_display import open_display
from orchestrator.display.run_end import show_outcome
from orchestrator.types import RunEnded, RunRefused
from sim_iocs.fleet import Fleet, Member

FILES = Path(str(resources.files("orchestrator"))) / "demo"
"""Configuration and sequence, as a user would write them."""

_DRAWN = (-0.6, 0.6)
"""mm between which the peak is drawn; the scan goes from -1 to 1."""
_X, _Y = "stage.x_rbv", "det.counts"


def demo(peak: float | None, verbose: int) -> int:
    """Run it; everything that it starts ends with it.

    Args:
        peak: Where the peak is, mm; drawn if None.
        verbose: As `-v` counts.

    Raises:
        FleetError: A simulated IOC did not start.
    """
    set_up_logs(level_of(verbose))
    raise_interrupts()
    signal.signal(signal.SIGTERM, _interrupt)  # like Ctrl-C, also while the IOCs start
    center = round(random.uniform(*_DRAWN), 4) if peak is None else peak  # noqa: S311 - no secret
    fleet = Fleet(
        [
            "motor",
            Member("detector", options=("--center", f"{center}")),
            "temperature",
            "shutter",
        ]
    )
    _isolate(os.environ, fleet.env)
    typer.echo(f"Starting {len(fleet)} simulated IOCs: {', '.join(fleet.names)}")
    with fleet:
        return _run(center)


def _run(center: float) -> int:
    config = replace(
        settings(FILES / "orchestrator.toml"),
        server=LOOPBACK,
        store=Path(tempfile.mkdtemp(prefix="orchestrator-demo-")),
    )
    configure_environment(config)
    typer.echo(f"Running {FILES / 'align.yaml'}")
    chosen = choose(str(FILES / "align.yaml"))
    with open_display() as display:
        end = loops.run(Embedded(config, display).run(chosen.name, beginning(chosen, {})))
    show_outcome(end, display.progress, as_json=False, code=code_of_run(end))
    if code_of_run(end) is Code.SUCCESS:
        _show_peak(display.progress, center)
        for line in seen_again(end, config):
            typer.echo(line)
    elif not _file_of(end):
        shutil.rmtree(config.store, ignore_errors=True)
    return code_of_run(end)


def _show_peak(progress: RunProgress, center: float) -> None:
    x, y = progress.run.columns[_X], progress.run.columns[_Y]
    width = min(shutil.get_terminal_size().columns - 12, 60)
    typer.echo()
    found = float(x[-1])  # the last row was taken there
    typer.echo(
        "\n".join(plot_lines(x, y, title=f"{_Y} over {_X}", unit="mm", mark=found, width=width))
    )
    typer.echo(f"\npeak found at {found:.4f} mm; it was drawn at {center:.4f} mm")


def _file_of(end: RunEnded | RunRefused) -> str:
    return end.data_file if isinstance(end, RunEnded) else ""


def _isolate(environ: MutableMapping[str, str], ours: MutableMapping[str, str]) -> None:
    """Nothing of the user's EPICS is looked at or found."""
    for name in [name for name in environ if name.startswith("EPICS_")]:
        del environ[name]
    environ.update(ours)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
