"""What there is to draw of runs: which channel over which, by how they were moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.data.past.fits import Fit, Floats, fit_curve
from orchestrator.data.past.table import RunTable
from orchestrator.errors import InputError
from orchestrator.language.names import suggestion

TIME = "time"
"""As x: s since the first row."""
_MOST = 4
"""Channels that are drawn where none is named."""


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one run."""

    label: str
    x: Floats
    """Shape (n_points,), in rising order."""
    y: Floats
    fit: Fit | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """One channel over another one, of one or several runs."""

    x_label: str
    y_label: str
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class Image:
    """One channel over two loops."""

    x_label: str
    y_label: str
    z_label: str
    x: Floats
    """Shape (n_columns,), in rising order."""
    y: Floats
    """Shape (n_rows,), in rising order."""
    z: Floats
    """Shape (n_rows, n_columns); NaN where there was no point."""


def pictures(
    tables: Sequence[RunTable], ys: Sequence[str] = (), x: str = "", fit: str = ""
) -> list[Curves | Image]:
    """What to draw of runs, the first of which says what over what.

    Args:
        tables: Of one run, or of several to be drawn over each other.
        ys: Channels; none = those that the first run sampled, but for x.
        x: A channel that was sampled or put to, or `TIME`; empty = what the loops moved.
        fit: One of `fits.KINDS`, for each curve; empty = none.

    Raises:
        InputError: There is nothing to draw, no such channel, or the fit fails.
    """
    first = tables[0]
    if not len(first):
        raise InputError(f"{_named(first)} has no rows yet" if not first.ended else _none(first))
    axes = [x] if x else first.axes() or [TIME]
    others = [name for name in first.plottable() if name != axes[0]]
    drawn = list(ys) or [name for name in others if name not in axes][:_MOST] or others
    if not drawn:
        raise InputError(f"{_named(first)} sampled nothing that is a number beside {axes[0]}")
    if len(tables) == 1 and not x and not fit:
        images = [_image(first, axes, name) for name in drawn]
        if all(images):
            return [image for image in images if image]
    return [_curves(tables, axes[0], name, fit) for name in drawn]


def _named(table: RunTable) -> str:
    return f"{table.name} {table.run_id}"


def _none(table: RunTable) -> str:
    return f"{_named(table)} has no rows: it took no sample"


def _curves(tables: Sequence[RunTable], x: str, y: str, fit: str) -> Curves:
    several = []
    for table in tables:
        at, values = _numbers(table, x), _numbers(table, y)
        good = np.isfinite(at) & np.isfinite(values)
        order = np.argsort(at[good], kind="stable")
        at, values = at[good][order], values[good][order]
        found = fit_curve(fit, at, values) if fit else None
        several.append(Series(_named(table), at, values, found))
    return Curves(_label(tables[0], x), _label(tables[0], y), several)


def _numbers(table: RunTable, name: str) -> Floats:
    if name == TIME:
        return np.where(table.superseded, np.nan, table.seconds())
    try:
        return table.numbers(name)
    except KeyError:
        known = [*table.columns, *table.setpoints, TIME]
        there = f"there are {', '.join(known)}"
        raise InputError(
            f"{_named(table)} has no {name}{suggestion(name, known)}; {there}"
        ) from None


def _label(table: RunTable, name: str) -> str:
    units = "s" if name == TIME else table.units(name)
    label = name if name in table.columns or name == TIME else f"{name} as put"
    return f"{label} ({units})" if units else label


def _image(table: RunTable, axes: Sequence[str], name: str) -> Image | None:
    """The channel over the two innermost loops; None where there are no two."""
    if len(axes) < 2:
        return None
    depth = Counter(len(loops) for loops in table.loops).most_common(1)[0][0]
    counts = zip(table.loops, table.superseded, strict=True)
    rows = [n for n, (loops, late) in enumerate(counts) if len(loops) == depth and not late]
    columns = len({table.loops[n][-1:] for n in rows})
    lines = sorted({table.loops[n][-2:-1] for n in rows})
    if depth < 2 or columns < 2 or len(lines) < 2:
        return None
    x, y, z = (_numbers(table, which) for which in (axes[0], axes[1], name))
    grid = np.full((len(lines), columns), np.nan)
    places = np.full((2, *grid.shape), np.nan)
    numbers = sorted({table.loops[n][-1] for n in rows})
    for n in rows:  # a later row of the same place stands for the earlier one: a try that failed
        at = lines.index(table.loops[n][-2:-1]), numbers.index(table.loops[n][-1])
        grid[at], places[0][at], places[1][at] = z[n], x[n], y[n]
    across, up = _means(places[0], 0), _means(places[1], 1)
    if not (np.isfinite(across).all() and np.isfinite(up).all()):
        return None
    by_x, by_y = np.argsort(across), np.argsort(up)
    x_label, y_label, z_label = (_label(table, each) for each in (axes[0], axes[1], name))
    shown = grid[np.ix_(by_y, by_x)]
    return Image(x_label, y_label, z_label, across[by_x], up[by_y], shown)


def _means(places: Floats, axis: int) -> Floats:
    good = np.isfinite(places)
    sums = np.where(good, places, 0).sum(axis=axis)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / good.sum(axis=axis))
