"""A program: what the engine runs. Frozen data, every name resolved, every value compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.language.expressions.expression import Operand
from orchestrator.language.names import ServerChannels
from orchestrator.language.values.relation import Relation
from orchestrator.types import Path

if TYPE_CHECKING:
    from orchestrator.language.text.document import Document

POINT = "$point"
"""The variable that holds the value of a loop that gives it no name of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """One put, and when it counts as arrived."""

    pv: str
    """Canonical name."""
    value: Operand
    completion: bool
    """Whether to wait for the put-callback."""
    readback: str | None
    """Canonical name of the channel that must come to the value."""
    readback_value: Operand | None
    """What it must come to; None = the value."""
    tolerance: Operand | None
    """A float ≥ 0; None = by `compare.default_tolerance`."""
    settle: Operand
    """s, a float ≥ 0."""
    accept_restart: bool
    """Whether the readback's first value after a reconnection counts."""
    record: str
    """What it is one and the same by, whatever it is called: see `names.record_of`."""
    accept_invalid: bool
    """Whether a readback with severity INVALID counts."""
    leaves_invalid: bool | None
    """Whether the put may leave its own record INVALID; None = as its channel says, else told."""


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


@dataclass(frozen=True, slots=True)
class Handler:
    """The error is told and counted, these steps run, then the next step."""

    body: tuple[Node, ...]


OnError: TypeAlias = Abort | Continue | Retry | Handler
"""What becomes of a step's error. Aborts, stops and skips are none."""


class OnDisconnect(StrEnum):
    """What a step does while a channel that it needs is disconnected."""

    FAIL = "fail"
    """It fails at once."""
    WAIT = "wait"
    """It waits for the channel within its timeout; a put is held with us meanwhile."""


@dataclass(frozen=True, slots=True)
class Step:
    """What every node has."""

    path: Path
    """Where it stands in the run: below `(…, "run")` in the document of a sub-sequence."""
    where: str
    """The same for people, in its own document: `align.yaml:7:5`."""
    label: str
    """What it does, in a few words."""
    on_error: OnError = field(default=Abort(), kw_only=True)
    on_disconnect: OnDisconnect | None = field(default=None, kw_only=True)
    """None = the default of the step: `wait` waits, all else fails."""


@dataclass(frozen=True, slots=True)
class SetNode(Step):
    """Put one value or several at the same time."""

    targets: tuple[Target, ...]
    timeout: Operand
    """s for all of them, a float > 0."""


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
    """A float ≥ 0; None = by `compare.default_tolerance`."""


@dataclass(frozen=True, slots=True)
class WaitNode(Step):
    """Wait for a comparison or an expression, one of which is given."""

    comparison: Comparison | None
    until: Operand | None
    """A bool."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    hold: Operand
    """s for which it has to hold without a break, a float ≥ 0."""
    edge: bool
    """Whether it has to become true after the step began."""
    accept_restart: bool
    """Whether the first value after a reconnection counts."""
    accept_invalid: bool
    """Whether a value with severity INVALID counts."""


@dataclass(frozen=True, slots=True)
class DelayNode(Step):
    """Wait for a time."""

    seconds: Operand
    """A float ≥ 0."""


@dataclass(frozen=True, slots=True)
class SampleNode(Step):
    """Take a row of the data."""

    channels: tuple[str, ...]
    """Canonical names, each once."""
    fresh: bool
    """Read from the servers; if not, the last updates are taken."""
    timeout: Operand
    """s, a float > 0."""
    missing_nan: bool
    """Record NaN for what does not answer, rather than fail."""


@dataclass(frozen=True, slots=True)
class LetNode(Step):
    """Bind names for the rest of the enclosing list, one after the other."""

    bindings: tuple[tuple[str, Operand], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Evenly spaced values, see `points.range_points`; one of `step` and `num` is given."""

    start: Operand
    stop: Operand
    step: Operand | None
    num: Operand | None


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
class LoopNode(Step):
    """Run a body for each point, after setting a channel to it where there is one."""

    target: Target | None
    """Its `value` reads the loop's variable."""
    timeout: Operand
    """s for each setting, a float > 0."""
    points: Points
    variable: str | None
    """Bound to the value of each point (of Count and While: its index from 0) in target and body.

    With a target never None: `POINT` where the document gives no name.
    """
    body: tuple[Node, ...]
    serpentine: bool
    """Whether it runs its points backwards in every other pass of the loop around it.

    Forwards where the index of the innermost loop around it is even (0, 2, …) or where there is
    none, backwards where it is odd. `y` over [0, 1, 2] around a serpentine `x` over [1, 2, 3]
    visits (0,1) (0,2) (0,3) (1,3) (1,2) (1,1) (2,1) (2,2) (2,3). Its own index counts passes in
    the order in which they are run, 0 first, in either direction. Never with `While`.
    """


@dataclass(frozen=True, slots=True)
class TrajectoriesNode(Step):
    """Load several sequence servers at once."""

    loads: tuple[tuple[ServerChannels, Operand], ...]
    """Each with the text of its trajectory, checked when it is evaluated."""
    timeout: Operand
    """s for all of them, a float > 0."""


@dataclass(frozen=True, slots=True)
class Level:
    """One loop of a `nested`."""

    server: ServerChannels
    indices: tuple[int, ...] | None
    """Those that it goes through; None = all of the trajectory that is loaded."""
    known: int | None
    """How many these are, where a step before has told; for estimates only."""


@dataclass(frozen=True, slots=True)
class NestedNode(Step):
    """Walk the indices of sequence servers, and run a body at each point."""

    levels: tuple[Level, ...]
    """Outermost first."""
    timeout: Operand
    """s for each point, a float > 0."""
    body: tuple[Node, ...]

    @property
    def points(self) -> int | None:
        """How many points it has; None where that is known only when the run comes there."""
        known = [level.known for level in self.levels]
        return None if None in known else math.prod(n for n in known if n is not None)


@dataclass(frozen=True, slots=True)
class GroupNode(Step):
    """Run a body once."""

    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ParallelNode(Step):
    """Run steps at the same time; the first failure cancels the others."""

    branches: tuple[Node, ...]
    """Each with a scope of its own: a `let` in one is seen by no other."""


@dataclass(frozen=True, slots=True)
class CallNode(Step):
    """Call a registered Python function."""

    function: str
    args: tuple[tuple[str, Operand], ...]
    """By the names of its parameters."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    variable: str | None
    """Bound to the result for the rest of the list (the field `as`)."""


@dataclass(frozen=True, slots=True)
class RunNode(Step):
    """Run another sequence within this run, with its own parameters, names and finalisers."""

    sequence: str
    args: tuple[tuple[str, Operand], ...]
    document: Document | None
    """None for a Python sequence."""
    program: Program | None
    """Compiled where all arguments are known before the run.

    Where it is None and there is a document, it is compiled once they are: by `compile_program`
    with `base=(*path, "run")`.
    """
    outline: Program | None
    """Where the program is not known yet, what is known of it: its arguments are variables, and
    what hangs on a name that they decide is left out. To be looked at, never to be run."""

    @property
    def known(self) -> Program | None:
        """The program, or else its outline."""
        return self.program or self.outline


@dataclass(frozen=True, slots=True)
class CheckpointNode(Step):
    """Where a rewind starts again."""

    name: str
    """Empty where it has none."""


@dataclass(frozen=True, slots=True)
class AskNode(Step):
    """Pause with a message until resumed."""

    text: Operand
    """A str."""


@dataclass(frozen=True, slots=True)
class LogNode(Step):
    """Tell something."""

    text: Operand
    """A str."""


@dataclass(frozen=True, slots=True)
class IfNode(Step):
    """Run one body or another."""

    condition: Operand
    """A bool."""
    then: tuple[Node, ...]
    else_: tuple[Node, ...]


Node: TypeAlias = (
    SetNode
    | WaitNode
    | DelayNode
    | SampleNode
    | LetNode
    | LoopNode
    | ParallelNode
    | GroupNode
    | IfNode
    | TrajectoriesNode
    | NestedNode
    | CallNode
    | RunNode
    | LogNode
    | CheckpointNode
    | AskNode
)
"""Any step of a program."""


@dataclass(frozen=True, slots=True)
class Suspender:
    """What holds a run up for as long as it is so."""

    name: str
    when: Operand
    """A bool: whether to suspend."""
    resume: Operand | None
    """A bool: whether to go on; None = as soon as `when` is false."""
    settle: Operand
    """s for which that has to hold without a break before the run goes on, a float ≥ 0."""
    rewind: bool
    """Whether to go on from the last checkpoint rather than from the interrupted step."""
    accept_restart: bool
    """Whether a channel's first value after a reconnection counts."""
    where: str
    """Where it is written: `align.yaml:7:5`, or the key of the configuration."""


@dataclass(frozen=True, slots=True)
class Program:
    """A document, its arguments and the known channels made into one thing that can be run."""

    name: str
    description: str
    arguments: Mapping[str, object]
    """Every parameter's value."""
    steps: tuple[Node, ...]
    finally_: tuple[Node, ...]
    reads: frozenset[str]
    """Canonical names of all channels whose readings it needs, readbacks and samples included."""
    writes: frozenset[str]
    """Canonical names of all channels that it puts to."""
    links: frozenset[str]
    """Those of which it asks by `connected(…)`; they need not be there when it starts."""
    origin: str
    """The file that it was read from."""
    warnings: tuple[str, ...] = ()
    """What is probably not meant, with file, line and column: a loop that misses its end."""
    suspend: tuple[Suspender, ...] = ()
    """The document's own; not those of the configuration."""
    timeout: Operand | None = None
    """s for all of `steps`, a float > 0; None = for ever."""


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node, its error handler's and a sub-sequence's included."""
    handler = node.on_error.body if isinstance(node.on_error, Handler) else ()
    return _body(node) + handler


def _body(node: Node) -> tuple[Node, ...]:
    match node:
        case LoopNode() | GroupNode() | NestedNode():
            return node.body
        case ParallelNode():
            return node.branches
        case IfNode():
            return node.then + node.else_
        case RunNode() if node.known is not None:
            return node.known.steps + node.known.finally_
        case _:
            return ()


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """All nodes, each before those inside it; of `run` what is known of it."""
    for node in nodes:
        yield node
        yield from walk(children(node))
