"""A small plot of samples, in characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orchestrator.data.past.picture import Curves, Image
from orchestrator.display.figure import shade

_SMALLEST = 20
"""Characters across, below which a plot tells nothing."""


def plot_lines(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    *,
    title: str = "",
    unit: str = "",
    mark: float | None = None,
    width: int = 60,
    height: int = 12,
) -> list[str]:
    """Draw y over x, joined by lines in the order of x.

    Args:
        x: Shape (n_points,); points where either is not finite are left out.
        y: Shape (n_points,).
        title: Stands above.
        unit: Of x, stands at its ticks.
        mark: Where a vertical line stands.
        width: Characters across, without the frame and the numbers beside it.
        height: Lines, without the frame and the numbers below it.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if not x.size:
        return [title, "(no points)"] if title else ["(no points)"]
    from uniplot import plot_to_string  # only here: most commands draw nothing

    order = np.argsort(x, kind="stable")
    text: str = plot_to_string(
        xs=x[order],
        ys=y[order],
        lines=True,
        title=title or None,
        x_unit=f" {unit}" if unit else "",
        x_gridlines=[] if mark is None else [mark],
        y_gridlines=[],
        width=max(width, _SMALLEST),
        height=height,
        character_set="braille",
        color=False,
    )
    return text.splitlines()


def curve_lines(curves: Curves, width: int, *, color: bool) -> list[str]:
    """Draw a channel over another one, a curve a run; what was fitted is marked.

    Args:
        curves: Of one or several runs.
        width: Characters across, without the frame and the numbers beside it.
        color: Whether the curves are told apart by colours; else by what is beside them.
    """
    from uniplot import plot_to_string  # only here: most commands draw nothing

    shown = [series for series in curves.series if series.x.size]
    title = f"{curves.y_label} over {curves.x_label}"
    if not shown:
        return [title, "(no points)"]
    several = len(shown) > 1
    text: str = plot_to_string(
        xs=[series.x for series in shown],
        ys=[series.y for series in shown],
        lines=[True] * len(shown),
        title=title,
        x_gridlines=[series.fit.center for series in shown if series.fit],
        y_gridlines=[],
        width=max(width, _SMALLEST),
        height=14,
        character_set="braille",
        color=color and several,
        legend_labels=[series.label for series in shown] if several else None,
    )
    return text.splitlines()


_SHADES = " ░▒▓█"


def image_lines(image: Image, width: int, *, color: bool) -> list[str]:
    """Draw a channel over two loops, the darker the larger; the lowest y is at the bottom.

    Args:
        image: What is drawn.
        width: Characters across, at most.
        color: Whether each place has its colour besides.
    """
    finite = image.z[np.isfinite(image.z)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    span = (high - low) or 1.0
    each = max(min((width - 12) // image.z.shape[1], 6), 1)
    lines = [f"{image.z_label}: {low:.4g} … {high:.4g}"]
    for row, y in reversed(list(zip(image.z, image.y, strict=True))):
        cells = "".join(_cell((value - low) / span, each, color=color) for value in row)
        lines.append(f"{y:>10.4g} │{cells}")
    left, right = f"{image.x[0]:.4g}", f"{image.x[-1]:.4g}"
    across = each * image.z.shape[1]
    lines.append(f"{'':>10} └{'─' * across}")
    lines.append(f"{'':>12}{left}{right.rjust(max(across - len(left), len(right) + 1))}")
    return [*lines, f"{'':>12}{image.x_label}, upwards {image.y_label}"]


def _cell(part: float, width: int, *, color: bool) -> str:
    if not np.isfinite(part):
        return "?" * width
    if not color:
        return _SHADES[min(int(part * len(_SHADES)), len(_SHADES) - 1)] * width
    red, green, blue = (int(shade(part)[at : at + 2], 16) for at in (1, 3, 5))
    return f"\x1b[48;2;{red};{green};{blue}m{' ' * width}\x1b[0m"
