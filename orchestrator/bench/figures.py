"""Measurements of several rounds, as ratios with their spread, held against their bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

Rounds = dict[str, list[float]]
"""By contestant, one measurement a round."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a row: the median over the rounds, from the lowest to the highest."""

    what: str
    """What is compared or measured, in a few words."""
    values: tuple[float, ...] = ()
    """One a round."""
    unit: str = "×"
    """`×` for a ratio."""
    at_most: float | None = None
    """The bar, if there is one; the median is held against it."""
    at_least: float | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the ratio was made of: contestant -> its median, with unit."""
    missing: str = ""
    """Why there is no value."""
    skipped: bool = False
    """It is missing, and that is no failure (`--quick`)."""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.missing:
            return None if self.skipped else False
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        common = {"what": self.what, "unit": self.unit, "met": self.met, "parts": dict(self.parts)}
        bars = {"at_most": self.at_most, "at_least": self.at_least}
        if self.missing:
            return {**common, **bars, "missing": self.missing}
        spread = {"median": self.value, "low": min(self.values), "high": max(self.values)}
        return {**common, **bars, **spread, "rounds": list(self.values)}


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row of the table."""

    name: str
    title: str
    figures: Sequence[Figure]
    seconds: float
    error: str = ""
    """Why it could not be measured."""

    @property
    def met(self) -> bool:
        """Whether no bar of it is missed."""
        return not self.error and all(figure.met is not False for figure in self.figures)

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "name": self.name,
            "title": self.title,
            "met": self.met,
            "seconds": round(self.seconds, 1),
            "error": self.error,
            "figures": [figure.as_json() for figure in self.figures],
        }


def interleaved(rounds: int, contestants: Mapping[str, Callable[[], float]]) -> Rounds:
    """Let the contestants take turns, each round in another order."""
    taken: Rounds = {name: [] for name in contestants}
    names = list(contestants)
    for _ in range(rounds):
        for name in names:
            taken[name].append(contestants[name]())
        names = [*names[1:], names[0]]
    return taken


def ratio(
    what: str,
    taken: Mapping[str, Sequence[float]],
    above: str,
    below: str,
    *,
    scale: float = 1.0,
    unit: str = "",
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """One contestant divided by another, round by round.

    Args:
        what: In words.
        taken: What `interleaved` gave.
        above: Whose measurement is divided.
        below: By whose.
        scale: Makes a measurement one of `unit`, for the parts.
        unit: As above.
        at_most: The bar.
        at_least: The bar, from below.
    """
    values = tuple(a / b for a, b in zip(taken[above], taken[below], strict=True))
    parts = {name: f"{median(taken[name]) * scale:.3g} {unit}" for name in (above, below)}
    return Figure(what, values, "×", at_most, at_least, parts)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of all lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
