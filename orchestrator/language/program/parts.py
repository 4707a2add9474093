"""What steps are made of: puts, comparisons, points, what becomes of an error. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from orchestrator.language.expressions.operand import Operand, constant
from orchestrator.language.names import ServerChannels
from orchestrator.language.values.conditions import Relation

NO_TIME = constant(0.0)


@dataclass(frozen=True, slots=True)
class Put:
    """One put, and when it counts as arrived; `scope.Context.put` makes one of a channel's name."""

    pv: str
    """Canonical name."""
    record: str
    """What it is one and the same by, whatever it is called: see `names.record_of`."""
    value: Operand
    completion: bool = True
    """Whether to wait for the put-callback."""
    readback: str | None = None
    """Canonical name of the channel that must come to the value."""
    readback_value: Operand | None = None
    """What it must come to; None = the value."""
    tolerance: Operand | None = None
    """A float ≥ 0; None = by `conditions.default_tolerance`."""
    settle: Operand = NO_TIME
    """s, a float ≥ 0."""
    accept_restart: bool = False
    """Whether the readback's first value after a reconnection counts."""
    accept_invalid: bool = False
    """Whether a readback with severity INVALID counts."""
    origin: str | None = None
    """Canonical name of the channel whose value on entering the step is added; None = none's."""
    leaves_invalid: bool | None = None
    """Whether the put may leave its own record INVALID; None = as its channel says, else told."""

    def of(self, value: object) -> Put:
        """The same with another value."""
        return replace(self, value=constant(value))


# What happens when a step fails or loses a channel ------------------------------------------


@dataclass(frozen=True, slots=True)
class Abort:
    """The error goes to the list around the step."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The error is told and counted; the next step runs."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The step is tried again, each time with its full timeout; then the error goes on."""

    tries: int
    """More tries at most, from 1; counted anew each time the step is entered."""
    delay: Operand
    """s before each of them, a float ≥ 0."""


class OnDisconnect(StrEnum):
    """What a step does while a channel that it needs is disconnected."""

    FAIL = "fail"
    """It fails at once."""
    WAIT = "wait"
    """It waits for the channel within its timeout; a put is held with us meanwhile."""


class Leaves(StrEnum):
    """Where a step goes on that never goes on with the next one."""

    LOOP = "loop"
    """Behind the innermost loop."""
    NEXT = "next"
    """With the next pass of the innermost loop."""
    SEQUENCE = "sequence"
    """With the finalisers of its sequence."""
    FAILING = "failing"
    """Where its failure leads to."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition on one channel."""

    pv: str
    """Canonical name."""
    relation: Relation
    operand: Operand
    """A value; a list of two for `between`, a list for `in`, a float ≥ 0 for `increase_by` and
    `decrease_by`."""
    tolerance: Operand | None
    """A float ≥ 0; None = by `conditions.default_tolerance`."""


@dataclass(frozen=True, slots=True)
class Range:
    """Evenly spaced values, see `points.range_points`; one of `step` and `num` is given."""

    start: Operand
    stop: Operand
    step: Operand | None
    num: Operand | None
    to_the_end: bool = False
    """Whether `stop` is visited in any case."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The values of a list or array."""

    values: Operand


@dataclass(frozen=True, slots=True)
class Count:
    """So many times."""

    count: Operand
    """An int ≥ 0."""


@dataclass(frozen=True, slots=True)
class While:
    """As long as a condition holds; looked at before each pass. The point is the pass from 0."""

    condition: Operand
    """A bool."""


Points: TypeAlias = Range | Listed | Count | While
"""What a loop runs over."""


@dataclass(frozen=True, slots=True)
class NestedLevel:
    """One loop of a `nested`."""

    server: ServerChannels
    indices: tuple[int, ...] | None
    """Those that it goes through; None = all of the trajectory that is loaded."""
    known: int | None
    """How many these are, where a step before has told; for estimates only."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a step waits for: a comparison or an expression, one of which is given."""

    comparison: Comparison | None
    until: Operand | None
    timeout: Operand | None
    hold: Operand
