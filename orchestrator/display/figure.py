"""A figure of curves or images as lines, marks and texts at their places, to be drawn anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from orchestrator.data.past.fits import Floats
from orchestrator.data.past.picture import Curves, Image

WIDTH = 900
"""Pixels across."""
_PANEL = 360
"""Pixels of a panel, from its title to the name of its x."""
_HEAD = 40
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 34, 54
COLORS = ("#1f5fa8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93", "#444444")
"""Of curves, told apart by those too who see few colours: their marks differ as well."""
INK, FAINT, PAPER = "#222222", "#e2e2e2", "#ffffff"
_LINE = 18
_MARKS = 200
"""Points of a curve that have each their mark."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, each (x, y) in pixels from the top left."""

    points: Sequence[tuple[float, float]]
    color: str = INK
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A point; `told` is for whoever points at it."""

    x: float
    y: float
    color: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    color: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """A text; `anchor` says which part of it stands at x: start, middle or end."""

    x: float
    y: float
    text: str
    size: int = 13
    anchor: str = "start"
    color: str = INK
    bold: bool = False
    upright: bool = False
    """Read from below: the name of a y."""


Shape: TypeAlias = Line | Mark | Box | Words


@dataclass(slots=True)
class Figure:
    """Shapes in the order in which they are drawn."""

    width: int
    height: int
    title: str
    shapes: list[Shape] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the values of a panel stand in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.right - self.left),
            self.bottom - up * (self.bottom - self.top),
        )


def figure_of(title: str, panels: Sequence[Curves | Image]) -> Figure:
    """Lay out panels below each other."""
    figure = Figure(WIDTH, _HEAD + _PANEL * len(panels), title)
    figure.shapes.append(Words(_LEFT, 26, title, 17, bold=True))
    for number, panel in enumerate(panels):
        top = _HEAD + _PANEL * number
        shapes = _curves(panel, top) if isinstance(panel, Curves) else _image(panel, top)
        figure.shapes += shapes
    return figure


def _frame(
    top: float,
    x: tuple[float, float],
    y: tuple[float, float],
    right: float,
    panel: float | None = None,
) -> _Frame:
    bottom = (top if panel is None else panel) + _PANEL - _BOTTOM
    return _Frame(_LEFT, top + _TOP, WIDTH - right, bottom, x, y)


def _curves(curves: Curves, top: float) -> Iterator[Shape]:
    xs = np.concatenate([series.x for series in curves.series])
    ys = np.concatenate([series.y for series in curves.series])
    legend = _legend(curves, top)
    frame = _frame(top + _LINE * len(legend), _range(xs, 0.02), _range(ys, 0.06), _RIGHT, top)
    yield from _axes(frame, curves.x_label, curves.y_label)
    for shapes in legend:
        yield from shapes
    for number, series in enumerate(curves.series):
        color = COLORS[number % len(COLORS)]
        points = [
            frame.at(*pair) for pair in zip(series.x.tolist(), series.y.tolist(), strict=True)
        ]
        if series.fit is None:
            yield Line(points, color, 1.6)
        if len(points) <= _MARKS:
            for (x, y), (across, up) in zip(
                zip(series.x, series.y, strict=True), points, strict=True
            ):
                yield Mark(across, up, color, f"{x:.6g}, {y:.6g}")
        if series.fit is not None:
            fine = np.linspace(*frame.x, 300)
            inside = [frame.at(*pair) for pair in zip(fine, series.fit.curve(fine), strict=True)]
            yield Line([p for p in inside if frame.top <= p[1] <= frame.bottom], color, 2.2, True)


def _legend(curves: Curves, top: float) -> list[list[Shape]]:
    """The names of the runs, and what their fits have found, a line each above the frame."""
    if len(curves.series) == 1 and curves.series[0].fit is None:
        return []
    lines: list[list[Shape]] = []
    for number, series in enumerate(curves.series):
        y = top + _TOP + _LINE * number
        color = COLORS[number % len(COLORS)]
        text = series.label
        if series.fit is not None:
            found = series.fit
            text += f"   {found.kind}: center {pm(found.center, found.center_error)}"
            text += f", width {pm(found.width, found.width_error)}"
        lines.append([Line([(_LEFT, y - 4), (_LEFT + 18, y - 4)], color, 3)])
        lines[-1].append(Words(_LEFT + 26, y, text, 12))
    return lines


def pm(value: float, error: float) -> str:
    """A number with its error, to two digits of that: `0.5256 ± 0.0012`."""
    if not (math.isfinite(error) and error > 0):
        return f"{value:.6g}"
    digits = 1 - math.floor(math.log10(error))
    if digits > 9 or max(abs(value), error) >= 1e9:
        return f"{value:.6g} ± {error:.2g}"
    digits = max(digits, 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _image(image: Image, top: float) -> Iterator[Shape]:
    x_edges, y_edges = _edges(image.x), _edges(image.y)
    frame = _frame(top, (x_edges[0], x_edges[-1]), (y_edges[0], y_edges[-1]), 120)
    finite = image.z[np.isfinite(image.z)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    span = (high - low) or 1.0
    for row in range(image.z.shape[0]):
        for column in range(image.z.shape[1]):
            value = float(image.z[row, column])
            if math.isfinite(value):
                left, bottom = frame.at(x_edges[column], y_edges[row])
                right, upper = frame.at(x_edges[column + 1], y_edges[row + 1])
                told = f"{image.x[column]:.6g}, {image.y[row]:.6g}: {value:.6g}"
                color = shade((value - low) / span)
                yield Box(left, upper, right - left + 0.5, bottom - upper + 0.5, color, told)
    yield from _axes(frame, image.x_label, image.y_label, grid=False)
    yield from _scale(image.z_label, frame, low, high)


def _scale(label: str, frame: _Frame, low: float, high: float) -> Iterator[Shape]:
    """What the colours mean, beside the image."""
    left, steps = frame.right + 20, 64
    height = (frame.bottom - frame.top) / steps
    for step in range(steps):
        y = frame.bottom - (step + 1) * height
        yield Box(left, y, 14, height + 0.5, shade(step / (steps - 1)))
    yield Words(left + 18, frame.bottom, f"{low:.4g}", 12)
    yield Words(left + 18, frame.top + 10, f"{high:.4g}", 12)
    yield Words(frame.left, frame.top - 8, label, 13, bold=True)


_SHADES = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Dark to light, for every eye: five points of viridis (CC0, S. van der Walt and N. Smith)."""


def shade(part: float) -> str:
    """The colour of a value, 0 to 1."""
    place = min(max(part, 0.0), 1.0) * (len(_SHADES) - 1)
    below = min(int(place), len(_SHADES) - 2)
    pairs = zip(_SHADES[below], _SHADES[below + 1], strict=True)
    mixed = [round(a + (b - a) * (place - below)) for a, b in pairs]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _edges(centers: Floats) -> list[float]:
    middles = (centers[1:] + centers[:-1]) / 2
    first, last = 2 * centers[0] - middles[0], 2 * centers[-1] - middles[-1]
    return [float(edge) for edge in (first, *middles, last)]


def _axes(frame: _Frame, x_label: str, y_label: str, *, grid: bool = True) -> Iterator[Shape]:
    for tick, text in ticks(*frame.x):
        x, _ = frame.at(tick, frame.y[0])
        if grid:
            yield Line([(x, frame.top), (x, frame.bottom)], FAINT)
        yield Line([(x, frame.bottom), (x, frame.bottom + 5)])
        yield Words(x, frame.bottom + 19, text, 12, "middle")
    for tick, text in ticks(*frame.y):
        _, y = frame.at(frame.x[0], tick)
        if grid:
            yield Line([(frame.left, y), (frame.right, y)], FAINT)
        yield Line([(frame.left - 5, y), (frame.left, y)])
        yield Words(frame.left - 9, y + 4, text, 12, "end")
    corners = [
        (frame.left, frame.top),
        (frame.right, frame.top),
        (frame.right, frame.bottom),
        (frame.left, frame.bottom),
        (frame.left, frame.top),
    ]
    yield Line(corners)
    yield Words((frame.left + frame.right) / 2, frame.bottom + 40, x_label, 13, "middle")
    yield Words(18, (frame.top + frame.bottom) / 2, y_label, 13, "middle", upright=True)


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between two, about six, with their texts."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * n for n in (1, 2, 5) if power * n >= rough), power * 10)
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    digits = max(-math.floor(math.log10(step) + 1e-9), 0)
    large = max(abs(low), abs(high)) >= 1e6 or digits > 6
    return [(n * step, f"{n * step:.6g}" if large else f"{n * step:,.{digits}f}") for n in numbers]


def _range(values: Floats, margin: float) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return low - room, high + room
