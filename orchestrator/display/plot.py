"""A small plot of samples, in characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
