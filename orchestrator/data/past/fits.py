"""Curves through the points of a scan: a peak or an edge, where it is, and how wide.

Least squares by Levenberg and Marquardt (K. Levenberg, Quart. Appl. Math. 2 (1944) 164;
D. Marquardt, SIAM J. 11 (1963) 431), with numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]
_Model: TypeAlias = Callable[[Floats, Floats], Floats]

_ROUNDS = 200
_ENOUGH = 1e-10
"""A step that makes the squares less by a smaller part than this is the last one."""
_EXACT = 1e-20
"""Squares of points between 0 and 1 that are none."""
_FWHM = 2 * math.sqrt(2 * math.log(2))
"""Of a Gaussian, in units of its sigma."""
_NAMES = ("center", "width", "height", "background")
_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class Fit:
    """A curve that was found, each number with its standard error."""

    kind: str
    """One of `KINDS`."""
    center: float
    center_error: float
    width: float
    """Full width at half maximum; of an edge, that of its derivative."""
    width_error: float
    height: float
    """Above the background, negative for a dip; of an edge, from the left to the right."""
    height_error: float
    background: float
    background_error: float
    curve: Callable[[Floats], Floats]
    """Its values at some x."""

    def facts(self) -> dict[str, object]:
        """As JSON."""
        names = [word for name in _NAMES for word in (name, f"{name}_error")]
        return {"fit": self.kind} | {name: _or_null(getattr(self, name)) for name in names}


def _gauss(x: Floats, p: Floats) -> Floats:
    return np.asarray(p[2] * np.exp(-0.5 * ((x - p[0]) * _FWHM / p[1]) ** 2) + p[3])


def _lorentz(x: Floats, p: Floats) -> Floats:
    return np.asarray(p[2] / (1 + (2 * (x - p[0]) / p[1]) ** 2) + p[3])


def _edge(x: Floats, p: Floats) -> Floats:
    return np.asarray(p[2] * 0.5 * (1 + _erf((x - p[0]) * _FWHM / (p[1] * math.sqrt(2)))) + p[3])


_MODELS: Mapping[str, _Model] = {"gauss": _gauss, "lorentz": _lorentz, "edge": _edge}
KINDS = tuple(_MODELS)
"""What can be fitted."""


def fit_curve(kind: str, x: Floats, y: Floats) -> Fit:
    """Find the curve of a kind that is nearest to some points.

    Args:
        kind: One of `KINDS`; an edge may rise or fall.
        x: Shape (n_points,); points where either is not finite are left out.
        y: Shape (n_points,).

    Raises:
        InputError: There are too few points, or no such curve is in them.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[finite], kind="stable")
    x, y = x[finite][order], y[finite][order]
    if len(np.unique(x)) <= len(_NAMES):
        raise InputError(f"--fit {kind}: {len(np.unique(x))} different points are too few, 5 do")
    if y.max() == y.min():
        raise InputError(f"--fit {kind}: all values are {y[0]:g}")
    # In units of their own ranges: equations of 1e-9 beside 1e6 lose what they say.
    left, span, low, high = x[0], x[-1] - x[0], y.min(), y.max() - y.min()
    found, errors = _fitted(kind, (x - left) / span, (y - low) / high)
    if not np.isfinite(found).all() or not -1 <= found[0] <= 2:
        raise InputError(f"--fit {kind}: no {kind} is in these points")
    scales = np.array([span, span, high, high])
    parameters = found * scales + np.array([left, 0, 0, low])
    center, width, height, background = map(float, parameters)
    sure = [float(error) for error in errors * scales]
    return Fit(
        kind,
        center=center,
        center_error=sure[0],
        width=width,
        width_error=sure[1],
        height=height,
        height_error=sure[2],
        background=background,
        background_error=sure[3],
        curve=lambda at: _MODELS[kind](at, parameters),
    )


def _fitted(kind: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The best of what is found from several beginnings."""
    model = _MODELS[kind]
    tried = (_least_squares(model, x, y, start) for start in _starts(kind, x, y))
    return min(tried, key=lambda each: float(np.sum((y - model(x, each[0])) ** 2)))


def _starts(kind: str, x: Floats, y: Floats) -> list[Floats]:
    """From where to begin: for a peak and for a dip, of several widths."""
    span, spacing = x[-1] - x[0], (x[-1] - x[0]) / (len(x) - 1)
    if kind == "edge":
        ends = max(len(y) // 5, 1)
        low, high = float(np.mean(y[:ends])), float(np.mean(y[-ends:]))
        middle = x[int(np.argmin(np.abs(y - (low + high) / 2)))]
        steepest = x[int(np.argmax(np.abs(np.gradient(y))))]
        widths = (span / 3, span / 10, 2 * spacing)
        return [
            np.array([at, width, high - low, low]) for at in (middle, steepest) for width in widths
        ]
    base = float(np.median(y))
    starts = []
    for extreme in (np.argmax(y), np.argmin(y)):
        height = float(y[extreme]) - base
        wide = np.count_nonzero((y - base) * np.sign(height) > abs(height) / 2) * spacing
        for width in (max(wide, spacing), span / 4):
            edge = float(y.min() if height > 0 else y.max())
            starts += [np.array([x[extreme], width, y[extreme] - b, b]) for b in (base, edge)]
    return starts


def _least_squares(model: _Model, x: Floats, y: Floats, start: Floats) -> tuple[Floats, Floats]:
    """The parameters that come nearest to the points, and their standard errors."""
    p, damping = start.astype(np.float64), 1e-3
    smallest = (x[-1] - x[0]) * 1e-6
    rest = y - model(x, p)
    squares = float(rest @ rest)
    for _ in range(_ROUNDS):
        slopes = _slopes(model, x, p)
        square, gradient = slopes.T @ slopes, slopes.T @ rest
        weights = np.diag(np.maximum(np.diag(square), 1e-300))
        tried = p + np.linalg.lstsq(square + damping * weights, gradient, rcond=None)[0]
        tried[1] = max(abs(tried[1]), smallest)
        rest_then = y - model(x, tried)
        squares_then = float(rest_then @ rest_then)
        if squares_then < squares:
            enough = squares - squares_then < _ENOUGH * squares
            p, rest, squares, damping = tried, rest_then, squares_then, damping / 10
            if enough or squares < _EXACT:
                break
        elif damping > 1e12:
            break
        else:
            damping *= 10
    return p, _errors(_slopes(model, x, p), squares, len(x))


def _slopes(model: _Model, x: Floats, p: Floats) -> Floats:
    """How the curve changes with each parameter; shape (n_points, n_parameters)."""
    columns = []
    for number, scale in enumerate((p[1], p[1], abs(p[2]), abs(p[2]))):
        step = np.zeros_like(p)
        step[number] = 1e-6 * max(scale, 1e-300)
        columns.append((model(x, p + step) - model(x, p - step)) / (2 * step[number]))
    return np.stack(columns, axis=1)


def _errors(slopes: Floats, squares: float, points: int) -> Floats:
    free = max(points - slopes.shape[1], 1)
    covariance = np.linalg.pinv(slopes.T @ slopes) * squares / free
    return np.asarray(np.sqrt(np.maximum(np.diag(covariance), 0)))


def _or_null(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
