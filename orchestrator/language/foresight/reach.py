"""Which values the names of a program can have at a step: its loops walked through beforehand.

A name is bound once for the rest of its list and never changed, so that what a step sees is
decided by the passes of the loops around it; a variable of the document that is assigned is never
known. They are gone through one by one, up to
`MOST_STATES`; of what goes beyond, a name is known by its least and greatest value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeAlias, cast

import numpy as np

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.language.expressions.intervals import Interval, hull, interval_of
from orchestrator.language.expressions.operand import Environment, Operand, constant_value
from orchestrator.language.program.nodes import Passes
from orchestrator.language.program.parts import Count, Listed, Points, Range, While
from orchestrator.language.values.operations import plain
from orchestrator.language.values.points import range_points

MOST_STATES = 5_000
"""Combinations of values that are looked at one by one."""
MOST_WORK = 300_000
"""Values computed and states made for one program; what comes after that is not known."""
State: TypeAlias = Mapping[str, object]
"""Names and their values; `UNSURE` or an `Interval` where not known."""


class _Unsure:
    def __repr__(self) -> str:
        return "?"


UNSURE = _Unsure()
"""A value that is known only when the run comes there."""


@dataclass(slots=True)
class Budget:
    """How much may still be computed."""

    left: int = field(default_factory=lambda: MOST_WORK)

    def take(self, work: int) -> bool:
        """Whether so much may still be done; it counts as done."""
        self.left -= work
        return self.left > 0


@dataclass(frozen=True, slots=True)
class Case:
    """What an operand comes to in one state."""

    value: object
    """The value, an `Interval`, `UNSURE`, or the error that it ends in."""
    state: State
    """A state in which it does."""
    names: frozenset[str]
    """The names that decide it."""

    @property
    def failed(self) -> bool:
        """Whether it can't be computed."""
        return isinstance(self.value, Exception)

    def told(self) -> str:
        """The end of a message: ` (with x = 6)`."""
        shown = [
            f"{name} = {_shown(self.state[name])}"
            for name in sorted(self.names)
            if not name.startswith("$") and name in self.state
        ]
        return f" (with {', '.join(shown)})" if shown else ""


@dataclass(frozen=True, slots=True)
class Reach:
    """The states in which a step is entered; without any it is never reached."""

    states: tuple[State, ...] = ({},)
    parameters: Mapping[str, object] = field(default_factory=dict)
    """The values of the program's parameters."""
    given: frozenset[str] = frozenset()
    """Names that a parameter has a part in: with other arguments they have other values."""
    budget: Budget = field(default_factory=Budget)

    def cases(self, operand: Operand) -> list[Case]:
        """What an operand can come to, each value with a state; none where nothing is reached."""
        found: dict[object, Case] = {}
        names = operand.variables
        for state in self.states if names else self.states[:1]:
            key = tuple(_key(state.get(name, UNSURE)) for name in sorted(names))
            if key not in found:
                found[key] = Case(self._value(operand, state), state, names)
        return list(found.values())

    def depends_on_arguments(self, operand: Operand) -> bool:
        """Whether other arguments could lead to other values."""
        return bool(operand.parameters or operand.variables & self.given)

    def where(self, condition: Operand, wanted: bool) -> Reach:
        """The states in which a condition is, or could be, so."""
        verdicts = self._by_state(condition)
        kept = (s for s, v in zip(self.states, verdicts, strict=True) if v in (wanted, UNSURE))
        return replace(self, states=tuple(kept))

    def bound(self, name: str, operand: Operand) -> Reach:
        """With a name bound to a value."""
        values = self._by_state(operand)
        states = tuple(
            {**state, name: UNSURE if isinstance(value, Exception) else value}
            for state, value in zip(self.states, values, strict=True)
        )
        return self._with(states, name, self.depends_on_arguments(operand))

    def unsure(self, *names: str) -> Reach:
        """With names bound to what can't be known."""
        states = tuple({**state, **dict.fromkeys(names, UNSURE)} for state in self.states)
        return replace(self, states=states, given=self.given.difference(names))

    def inside(self, loop: Passes) -> Reach:
        """The states in which the passes of a loop are entered."""
        every = [(state, self.points(loop.points, state)) for state in self.states]
        several = [(state, points) for state, points in every if _length(points)]
        name = loop.variable
        if name is None:
            return replace(self, states=tuple(state for state, _ in several))
        depends = any(self.depends_on_arguments(o) for o in operands_of(loop.points))
        if sum(_length(points) for _, points in several) <= MOST_STATES:
            states = tuple({**s, name: v} for s, points in several for v in _each(points))
        else:
            states = tuple({**s, name: _ends(points)} for s, points in several)
        return self._with(states, name, depends)

    def _with(self, states: tuple[State, ...], name: str, depends: bool) -> Reach:
        given = self.given | {name} if depends else self.given - {name}
        if states and not self.budget.take(len(states)):
            states = (dict.fromkeys(states[0], UNSURE),)
        return replace(self, states=states, given=given)

    def _by_state(self, operand: Operand) -> list[object]:
        """The operand's value in each state."""
        names = sorted(operand.variables)
        known: dict[object, object] = {}
        values = []
        for state in self.states:
            key = tuple(_key(state.get(name, UNSURE)) for name in names)
            if key not in known:
                known[key] = self._value(operand, state)
            values.append(known[key])
        return values

    def _value(self, operand: Operand, state: State) -> object:
        if operand.asks_the_run:
            return UNSURE
        if operand.constant:
            return constant_value(operand)
        values = {name: state.get(name, UNSURE) for name in operand.variables}
        if any(value is UNSURE for value in values.values()) or not self.budget.take(1):
            return UNSURE
        if any(isinstance(value, Interval) for value in values.values()):
            return interval_of(operand.text, {**self.parameters, **values}) or UNSURE
        try:
            return operand.evaluate(cast(Environment, Bound(values)))
        except OrchestratorError as error:
            return error

    def points(self, points: Points, state: State) -> Sequence[object] | _Unsure:
        """The points of a loop in one state, none of them stored."""
        values = [self._value(operand, state) for operand in operands_of(points)]
        if any(v is UNSURE or isinstance(v, Interval | Exception) for v in values):
            return UNSURE
        try:
            return _points(points, values)
        except InputError:
            return UNSURE


def passes_of(points: Points) -> int | None:
    """How many passes a loop has, None where that is known only when the run comes there."""
    known = Reach().points(points, {})
    return None if isinstance(known, _Unsure) else len(known)


def operands_of(points: Points) -> list[Operand]:
    """What the points of a loop are made from."""
    match points:
        case Count(count):
            return [count]
        case Listed(values):
            return [values]
        case Range(start, stop, step, num):
            return [operand for operand in (start, stop, step, num) if operand is not None]
        case While(condition):
            return [condition]


def _points(points: Points, values: list[object]) -> Sequence[object] | _Unsure:
    match points, values:
        case Count(), [int(count)]:
            return range(count)
        case Listed(), [list() | np.ndarray() as listed]:
            return [plain(value) for value in listed]
        case Range(step=None), [start, stop, num]:
            return range_points(start, stop, None, num)
        case Range(to_the_end=to_the_end), [start, stop, step]:
            return range_points(start, stop, step, to_the_end=to_the_end)
        case While(), [False]:
            return ()
        case _:
            return UNSURE


def _length(points: Sequence[object] | _Unsure) -> int:
    return 1 if isinstance(points, _Unsure) else len(points)


def _each(points: Sequence[object] | _Unsure) -> Iterable[object]:
    return (UNSURE,) if isinstance(points, _Unsure) else points


def _ends(points: Sequence[object] | _Unsure) -> object:
    """The interval of the points; of a range its ends are enough."""
    if isinstance(points, _Unsure):
        return UNSURE
    several = list(points) if isinstance(points, list) else [points[0], points[len(points) - 1]]
    return hull(several) or UNSURE


class Bound:
    """The environment of an operand that reads names only."""

    def __init__(self, values: State) -> None:
        """`values`: by name."""
        self._values = values

    def variable(self, name: str) -> object:
        """The value of a name."""
        return self._values[name]

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"an operand of names asked for {name}")


def _key(value: object) -> object:
    """Something hashable that tells values apart, 1 and true included."""
    if isinstance(value, list):
        return tuple(map(_key, value))
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return type(value), value


def _shown(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
