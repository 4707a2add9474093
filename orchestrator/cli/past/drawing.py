"""`plot`: what past runs, or one under way, have sampled, on the terminal or in a file."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.text import Text

from orchestrator.cli.past.listing import print_json, print_lines, width
from orchestrator.cli.past.stores import past_runs
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.data.past import PastRun
from orchestrator.data.past.fits import KINDS, Fit
from orchestrator.data.past.picture import Curves, Image, pictures
from orchestrator.data.past.table import table_of
from orchestrator.display.figure import figure_of, pm
from orchestrator.display.figure_files import write_html, write_png
from orchestrator.display.past_list import local_time
from orchestrator.display.plot import curve_lines, image_lines
from orchestrator.errors import InputError, OrchestratorError

_PERIOD = 1.0
"""s between two looks at a run that is followed."""
_WIDE = 72
"""Characters across, where stdout is no terminal."""
_CLEAR = "\x1b[H\x1b[J"


@dataclass(frozen=True, slots=True)
class PlotOptions:
    """What `plot` is asked for."""

    ys: Sequence[str]
    x: str
    over: Sequence[str]
    fit: str
    png: Path | None
    html: Path | None
    follow: bool
    as_json: bool


def plot(
    run: str, file: Path | None, store: Path | None, verbose: int, options: PlotOptions
) -> int:
    """Draw one run, or several over each other.

    Raises:
        InputError: There is no such run or channel, nothing to draw, or a file can't be written.
    """
    set_up_logs(level_of(verbose))
    if options.fit and options.fit not in KINDS:
        raise InputError(f"--fit {options.fit}: expected one of {', '.join(KINDS)}")
    if options.png and find_spec("PIL") is None:
        raise InputError("--png needs Pillow: pip install 'ioc-orchestrator[png]'")
    past = past_runs(file, store)
    runs = [past.find(text) for text in (run, *options.over)]
    while True:
        tables = [table_of(found.folder) for found in runs]
        ended = tables[0].ended or past.find(runs[0].folder.name).outcome != "Running"
        try:
            panels = pictures(tables, options.ys, options.x, options.fit)
            _draw(runs, panels, options, last=ended or not options.follow)
        except OrchestratorError:
            if ended or not options.follow:
                raise  # what is followed may have no rows, or no peak, yet
        if ended or not options.follow:
            return Code.SUCCESS
        time.sleep(_PERIOD)


def _draw(
    runs: Sequence[PastRun], panels: Sequence[Curves | Image], options: PlotOptions, *, last: bool
) -> None:
    title = ", ".join(f"{run.name} {local_time(run.started)}" for run in runs)
    if options.html:
        page = figure_of(title, panels)
        _write(options.html, lambda file: write_html(file, page, _page_facts(runs, panels)))
    if options.png:
        figure = figure_of(title, panels)
        _write(options.png, lambda file: write_png(file, figure))
    if options.as_json:
        if last:
            print_json([_facts(panel) for panel in panels])
        return
    if options.html or options.png:
        if last:
            print_lines(Text(f"written: {file}") for file in (options.png, options.html) if file)
            print_lines(map(Text, _found(panels)))
        return
    if not last and not sys.stdout.isatty():
        return  # a file gets the whole picture, at the end
    if options.follow and sys.stdout.isatty():
        sys.stdout.write(_CLEAR)
    across = (width() or _WIDE) - 14
    for panel in panels:
        color = sys.stdout.isatty()
        if isinstance(panel, Curves):
            lines = curve_lines(panel, across, color=color)
        else:
            lines = image_lines(panel, across, color=color)
        sys.stdout.write("\n".join(lines) + "\n")
    print_lines(map(Text, _found(panels)))


def _write(file: Path, write: Callable[[Path], None]) -> None:
    try:
        write(file)
    except OSError as error:
        raise InputError(f"{file} can't be written: {error.strerror}") from error


def _found(panels: Sequence[Curves | Image]) -> list[str]:
    """What was fitted, a line a curve."""
    return [
        f"{panel.y_label}, {series.label}: {_fit_text(series.fit)}"
        for panel in panels
        for series in (panel.series if isinstance(panel, Curves) else ())
        if series.fit is not None
    ]


def _fit_text(fit: Fit) -> str:
    place, width = pm(fit.center, fit.center_error), pm(fit.width, fit.width_error)
    height = pm(fit.height, fit.height_error)
    background = pm(fit.background, fit.background_error)
    return f"{fit.kind} at {place}, width {width}, height {height}, background {background}"


def _page_facts(runs: Sequence[PastRun], panels: Sequence[Curves | Image]) -> list[tuple[str, str]]:
    facts = [
        ("run", f"{run.name} {run.run_id}: {run.outcome}, {run.points} points, {run.owner}")
        for run in runs
    ]
    return facts + [("fit", line) for line in _found(panels)]


def _facts(panel: Curves | Image) -> dict[str, object]:
    if isinstance(panel, Image):
        rows = [[v if math.isfinite(v) else None for v in row] for row in panel.z.tolist()]
        axes = {"x": panel.x.tolist(), "y": panel.y.tolist()}
        return {
            "x_label": panel.x_label,
            "y_label": panel.y_label,
            "z_label": panel.z_label,
            **axes,
            "z": rows,
        }
    series = [
        {"label": each.label, "x": each.x.tolist(), "y": each.y.tolist()}
        | (each.fit.facts() if each.fit else {})
        for each in panel.series
    ]
    return {"x_label": panel.x_label, "y_label": panel.y_label, "series": series}
