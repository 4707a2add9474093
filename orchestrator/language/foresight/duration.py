"""How long a program will take: a run of it without channels, on given speeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from orchestrator.errors import OrchestratorError
from orchestrator.language.expressions.operand import Environment, Operand
from orchestrator.language.foresight.reach import UNSURE, Reach
from orchestrator.language.program.nodes import (
    Another,
    Either,
    InOrder,
    Node,
    Passes,
    Runnable,
    Together,
    Walk,
    walk,
)
from orchestrator.language.program.parts import Abort, Awaited, Comparison, Leaves, Put, While
from orchestrator.language.values.conditions import Relation

MOST_STEPS = 20_000
"""Steps that are simulated one by one; passes of loops beyond count as the mean of those before."""
MOST_PASSES = 1_000
"""Of a `while` loop on channels that the program moves itself: as many are tried."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a program's duration."""

    seconds: float = 0.0
    """Delays, moves and settling times."""
    puts: int = 0
    """Puts that are awaited, to channels of unknown speed; each takes an unknown time besides."""
    waits: int = 0
    """Waits, each of which takes an unknown time besides."""
    waiting: float = 0.0
    """s that they may take together, by their timeouts."""
    unbounded: int = 0
    """Those of them that have no timeout, or one that is not known."""
    calls: int = 0
    """Functions and Python sequences, the same."""
    questions: int = 0
    """Times that it asks and waits for an answer, the same."""
    loops: int = 0
    """Loops of an unknown number of passes; one pass is counted."""
    guesses: int = 0
    """Branches and delays that hang on channels; the longer branch, or 0 s, is counted."""

    def __str__(self) -> str:
        """As people read it: `about 75 s, plus 2 waits (at most 20 s)`."""
        unknown = {
            "put": self.puts,
            "wait": self.waits,
            "call": self.calls,
            "question": self.questions,
            "loop of unknown length": self.loops,
        }
        more = [f"{_counted(n, thing)}{self._bound(thing)}" for thing, n in unknown.items() if n]
        if more and not self.seconds:
            text = f"not known: {', '.join(more)}"
        else:
            text = f"about {_clock(self.seconds)}" + (f", plus {', '.join(more)}" if more else "")
        return f"{text}; depends on what channels hold" if self.guesses else text

    def _bound(self, thing: str) -> str:
        if thing != "wait" or self.unbounded:
            return ""
        return f" (at most {_clock(self.waiting)})"


def _counted(number: int, thing: str) -> str:
    head, _, tail = thing.partition(" ")
    return f"{number} {head}{'s' if number > 1 else ''}{' ' + tail if tail else ''}"


def _clock(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def estimate(
    program: Runnable, speeds: Mapping[str, float], start: Mapping[str, object]
) -> Estimate:
    """How long a program takes if nothing fails and all puts arrive.

    Args:
        program: As compiled.
        speeds: Of the channels that move, in their units per s; all others arrive at once.
        start: Values of channels when it starts, as expressions see them. A channel whose
            value is not known arrives at once the first time.
    """
    simulation = _Simulation(speeds, dict(start))
    simulation.begin(program)
    seconds = simulation.run(program.all_steps, {})
    return Estimate(seconds, **simulation.counts)


class _Simulation:
    """Goes through the steps with a picture of where the channels are."""

    def __init__(self, speeds: Mapping[str, float], values: dict[str, object]) -> None:
        self._speeds = speeds
        self._values = values
        self._left = MOST_STEPS
        self._variables: dict[str, object] = {}
        """Of the document that is gone through."""
        self._leaves: Leaves | None = None
        """How the steps that are gone through are left early."""
        self.counts: Counter[str] = Counter()

    def begin(self, program: Runnable) -> None:
        """Give the variables of a document their first values."""
        self._variables = {}
        for name, operand in program.variables:
            self._variables[name] = self.value(operand, program.arguments)

    def run(self, nodes: Sequence[Node], scope: Mapping[str, object]) -> float:
        """Steps in order; how long they take, in s."""
        scope, seconds = dict(scope), 0.0
        for node in nodes:
            seconds += self._step(node, scope)
            if not isinstance(node.on_error, Abort) and self._leaves is Leaves.FAILING:
                self._leaves = None
            if self._leaves is not None:
                break
        return seconds

    def _step(self, node: Node, scope: dict[str, object]) -> float:
        self._left -= 1
        known = _Known(self, scope)
        inside = node.inside
        if isinstance(inside, Walk):
            return self._walk(node, inside, known)
        own = node.takes(known)
        self._leaves = node.leaves
        for name, operand in node.binds:
            names = self._variables if name in node.assigns else scope
            names[name] = UNSURE if operand is None else self.value(operand, scope)
        return own + self._inside(node, inside, scope)

    def _inside(
        self,
        node: Node,
        inside: InOrder | Passes | Either | Together | Another,
        scope: Mapping[str, object],
    ) -> float:
        match inside:
            case InOrder(body, last):
                return self.run(body, scope) + self._finalisers(last, scope)
            case Passes():
                return self._loop(node, inside, scope)
            case Together(branches, first):
                return self._together(branches, scope, first=first)
            case Either():
                return self._either(inside, scope)
            case Another():
                given = {name: self.value(operand, scope) for name, operand in inside.args}
                around = self._variables
                if inside.known is not None:
                    self.begin(inside.known)
                seconds, self._variables = self.run(inside.steps, given), around
                if self._leaves is Leaves.SEQUENCE:
                    self._leaves = None
                return seconds

    def _finalisers(self, last: Sequence[Node], scope: Mapping[str, object]) -> float:
        """How long these take, however the steps before them are left."""
        way, self._leaves = self._leaves, None
        seconds, self._leaves = self.run(last, scope), way
        return seconds

    def _together(
        self, branches: Sequence[Node], scope: Mapping[str, object], *, first: bool
    ) -> float:
        """How long the slowest branch takes, or the `first`, or one that ends all of them."""
        longest, shortest, way = 0.0, math.inf, None
        for branch in branches:
            seconds = self.run((branch,), scope)
            longest = max(longest, seconds)
            if (first or self._leaves is not None) and seconds < shortest:
                shortest, way = seconds, self._leaves
            self._leaves = None
        self._leaves = way
        return min(longest, shortest)

    def wait(self, awaited: Awaited, scope: Mapping[str, object]) -> float:
        """How long a channel of known speed takes to where it is awaited; 0 of others."""
        comparison = awaited.comparison
        if comparison is not None and self._speeds.get(comparison.pv):
            before = self._values.get(comparison.pv)
            after = self._awaited(comparison, before, scope)
            if _is_number(before) and _is_number(after):
                self._values[comparison.pv] = after
                return self._travel(comparison.pv, before, after, awaited=False)
        self.counts["waits"] += 1
        limit = UNSURE if awaited.timeout is None else self.value(awaited.timeout, scope)
        if isinstance(limit, int | float):
            self.counts["waiting"] += limit  # type: ignore[assignment]  # a Counter adds floats too
        else:
            self.counts["unbounded"] += 1
        return 0.0

    def _awaited(
        self, comparison: Comparison, before: object, scope: Mapping[str, object]
    ) -> object:
        """The value at which a comparison is met first, coming from another one."""
        wanted = self.value(comparison.operand, scope)
        if not (isinstance(before, int | float) and isinstance(wanted, int | float)):
            return UNSURE
        match comparison.relation:
            case Relation.EQUALS:
                return wanted
            case Relation.ABOVE | Relation.AT_LEAST:
                return max(before, wanted)
            case Relation.BELOW | Relation.AT_MOST:
                return min(before, wanted)
            case Relation.INCREASE_BY:
                return before + wanted
            case Relation.DECREASE_BY:
                return before - wanted
            case _:
                return UNSURE

    def puts(self, puts: Sequence[Put], scope: Mapping[str, object]) -> float:
        """How long the slowest of them takes."""
        return max((self._put(put, scope) for put in puts), default=0.0)

    def _put(self, put: Put, scope: Mapping[str, object]) -> float:
        before = self._values.get(put.pv)
        value = self.value(put.value, scope)
        if put.origin is not None:
            origin = scope.get(_origin(put), self._values.get(put.origin))
            known = isinstance(origin, int | float) and isinstance(value, int | float)
            value = origin + value if known else UNSURE  # type: ignore[operator]  # both are numbers
        self._values[put.pv] = value
        if put.readback is not None:
            wanted = put.readback_value
            self._values[put.readback] = value if wanted is None else self.value(wanted, scope)
        awaited = put.completion or put.readback is not None
        travel = self._travel(put.pv, before, value, awaited=awaited)
        return travel + self.number(put.settle, scope)

    def travel(self, put: Put, speed: float, scope: Mapping[str, object]) -> float:
        """How long a put takes at a speed of its step's own; not known, it is a guess."""
        before, after = self._values.get(put.pv), self.value(put.value, scope)
        self._values[put.pv] = after
        if speed > 0 and isinstance(before, int | float) and isinstance(after, int | float):
            return abs(after - before) / speed
        self.counts["guesses"] += 1
        return 0.0

    def _travel(self, pv: str, before: object, after: object, *, awaited: bool) -> float:
        speed = self._speeds.get(pv, 0.0)
        if not speed and awaited:
            self.counts["puts"] += 1
        if speed > 0 and isinstance(before, int | float) and isinstance(after, int | float):
            travel = abs(after - before) / speed
            return travel if math.isfinite(travel) else 0.0  # an IOC may hold NaN and infinities
        return 0.0

    def _either(self, inside: Either, scope: Mapping[str, object]) -> float:
        value = self.value(inside.condition, scope)
        if isinstance(value, bool):
            return self.run(inside.then if value else inside.else_, scope)
        self.counts["guesses"] += 1
        before = dict(self._values)
        longest = self.run(inside.then, scope)
        after, self._values = self._values, before
        other, self._leaves = self.run(inside.else_, scope), None
        for name in {n for node in walk(inside.steps) for n in node.assigns}:
            self._variables[name] = UNSURE
        if longest >= other:
            self._values = after
        return max(longest, other)

    def _loop(self, node: Node, passes: Passes, scope: Mapping[str, object]) -> float:
        if isinstance(passes.points, While):
            return self._while(node, passes, passes.points.condition, scope)
        points = Reach().points(passes.points, scope)
        if not isinstance(points, Sequence):
            self.counts["loops"] += 1
            points = (UNSURE,)
        origins = {_origin(p): self._values.get(p.origin) for p in node.puts if p.origin}
        scope = {**scope, **origins}
        before = self.counts.copy()
        seconds = 0.0
        for done, point in enumerate(points):
            if self._left <= 0 and done:
                return seconds + self._rest(seconds, before, len(points) / done - 1)
            took = self._pass(node, passes, scope, point)
            is_last = self._is_left() or done + 1 == len(points)
            seconds += took if is_last else self._kept(took, passes, scope)
            if is_last:
                break
        return seconds

    def _kept(self, took: float, passes: Passes, scope: Mapping[str, object]) -> float:
        """How long after a pass the next one begins."""
        if passes.every is None:
            return took
        return max(took, self.number(passes.every, scope))

    def _is_left(self) -> bool:
        """Whether a loop is left by the pass that was gone through."""
        way = self._leaves
        if way in (Leaves.LOOP, Leaves.NEXT):
            self._leaves = None
        return way not in (None, Leaves.NEXT)

    def _walk(self, node: Node, walk: Walk, known: _Known) -> float:
        if walk.points is None:
            self.counts["loops"] += 1
        points = 1 if walk.points is None else walk.points
        before = self.counts.copy()
        seconds = node.takes(known) + self.run(walk.steps, known.scope)
        return seconds if self._is_left() else seconds + self._rest(seconds, before, points - 1)

    def _rest(self, seconds: float, before: Counter[str], times: float) -> float:
        """Passes that are not simulated: so many times those that were."""
        for name, count in (self.counts - before).items():
            self.counts[name] += round(count * times)
        return seconds * times

    def _while(
        self, node: Node, passes: Passes, condition: Operand, scope: Mapping[str, object]
    ) -> float:
        seconds = 0.0
        for index in range(MOST_PASSES):
            value = self.value(condition, scope)
            if value is False:
                return seconds
            if value is UNSURE or self._left <= 0:
                self.counts["loops"] += 1
                return seconds if index else self._pass(node, passes, scope, UNSURE)
            took = self._pass(node, passes, scope, index)
            if self._is_left():
                return seconds + took
            seconds += self._kept(took, passes, scope)
        self.counts["loops"] += 1
        return seconds

    def _pass(
        self, node: Node, passes: Passes, scope: Mapping[str, object], point: object
    ) -> float:
        inner = dict(scope) if passes.variable is None else {**scope, passes.variable: point}
        return self.puts(node.puts, inner) + self.run(passes.steps, inner)

    def number(self, operand: Operand, scope: Mapping[str, object]) -> float:
        """The value of a number; where it is not known, 0 and a guess."""
        value = self.value(operand, scope)
        if isinstance(value, int | float):
            return float(value)
        self.counts["guesses"] += 1
        return 0.0

    def _named(self, name: str, scope: Mapping[str, object]) -> object:
        return scope[name] if name in scope else self._variables.get(name, UNSURE)

    def value(self, operand: Operand, scope: Mapping[str, object]) -> object:
        """The value of an operand; UNSURE where it is not known."""
        needed = [self._named(name, scope) for name in operand.variables]
        needed += [self._values.get(name, UNSURE) for name in operand.channels]
        if (
            operand.links
            or operand.data
            or operand.timed
            or any(value is UNSURE for value in needed)
        ):
            return UNSURE
        try:
            return operand.evaluate(
                cast(Environment, _Picture({**self._variables, **scope}, self._values))
            )
        except (OrchestratorError, LookupError):
            return UNSURE


class _Known:
    """What a step can ask, with the names that hold where it stands; implements `nodes.Timing`."""

    def __init__(self, simulation: _Simulation, scope: Mapping[str, object]) -> None:
        self._simulation = simulation
        self.scope = scope

    def puts(self, puts: Sequence[Put]) -> float:
        return self._simulation.puts(puts, self.scope)

    def travel(self, put: Put, speed: float) -> float:
        return self._simulation.travel(put, speed, self.scope)

    def number(self, operand: Operand) -> float:
        return self._simulation.number(operand, self.scope)

    def wait(self, awaited: Awaited) -> float:
        return self._simulation.wait(awaited, self.scope)

    def count(self, what: Literal["waits", "calls", "questions"]) -> float:
        self._simulation.counts[what] += 1
        return 0.0


def _origin(put: Put) -> str:
    """The name in the simulation that holds what a loop's puts are counted from."""
    return f"$origin {put.pv}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


class _Picture:
    """The environment of expressions in the simulation."""

    def __init__(self, scope: Mapping[str, object], values: Mapping[str, object]) -> None:
        self._scope, self._values = scope, values

    def variable(self, name: str) -> object:
        return self._scope[name]

    def channel(self, name: str) -> object:
        return self._values[name]

    def check_label(self, name: str, text: str) -> None:
        """Nothing is known of labels here."""

    def severity(self, name: str) -> int:
        raise LookupError(name)

    age = index = latched = severity
