"""A program: what the engine runs. Frozen data, every name resolved, every value compiled."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from orchestrator.language.expressions.expression import Operand
from orchestrator.language.names import ServerChannels
from orchestrator.language.values.relation import Relation
from orchestrator.types import Path

if TYPE_CHECKING:
    from orchestrator.language.text.document import Document

POINT = "$point"
"""The variable that holds the value of a loop that gives it no name of its own."""


@dataclass(frozen=True, slots=True)
class Put:
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
class Level:
    """One loop of a `nested`."""

    server: ServerChannels
    indices: tuple[int, ...] | None
    """Those that it goes through; None = all of the trajectory that is loaded."""
    known: int | None
    """How many these are, where a step before has told; for estimates only."""


# What is inside a step -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InOrder:
    """Steps one after the other; none of a step without steps inside."""

    steps: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Together:
    """Steps at the same time, each with names of its own."""

    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One list or another."""

    condition: Operand
    then: tuple[Node, ...]
    else_: tuple[Node, ...]

    @property
    def steps(self) -> tuple[Node, ...]:
        """Those of both."""
        return self.then + self.else_


@dataclass(frozen=True, slots=True)
class Passes:
    """Steps again and again; what their step puts is put in each pass, before them."""

    points: Points
    variable: str | None
    """Bound to the point of each pass."""
    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """Steps at each point of a walk through the indices of sequence servers."""

    levels: tuple[Level, ...]
    steps: tuple[Node, ...]

    @property
    def points(self) -> int | None:
        """How many points it has; None where that is known only when the run comes there."""
        known = [level.known for level in self.levels]
        return None if None in known else math.prod(n for n in known if n is not None)


@dataclass(frozen=True, slots=True)
class Another:
    """Another sequence within this run."""

    sequence: str
    args: tuple[tuple[str, Operand], ...]
    document: Document | None
    """None for a Python sequence."""
    program: Program | None
    """Where all arguments are known before the run."""
    known: Program | None
    """The same, or else what is known of it."""

    @property
    def steps(self) -> tuple[Node, ...]:
        """As far as they are known, its finalisers at the end."""
        return () if self.known is None else self.known.steps + self.known.finally_


Inside: TypeAlias = InOrder | Together | Either | Passes | Walk | Another
"""The control structures that there are: a new verb is one of these, or has no steps inside."""
NO_STEPS = InOrder()


# What every node has, and tells of itself ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a step waits for: a comparison or an expression, one of which is given."""

    comparison: Comparison | None
    until: Operand | None
    timeout: Operand | None
    hold: Operand


class Timing(Protocol):
    """What a step can ask that tells how long it takes: speeds, and values as far as known."""

    def puts(self, puts: Sequence[Put]) -> float:
        """S until all of these have arrived."""

    def number(self, operand: Operand) -> float:
        """A value that is a number of s; where it is not known, that is counted as a guess."""

    def wait(self, awaited: Awaited) -> float:
        """S until this has come true; where that is not known, it is counted as a wait."""

    def count(self, what: Literal["waits", "calls", "questions"]) -> float:
        """Count what takes an unknown time; 0 s."""


def at_once(_node: Node, known: Timing) -> float:  # noqa: ARG001 - stands for `Node.takes`
    """How long a step takes that gives nobody else a turn: no time at all."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """Any step of a program, and the facts that all look at who never run it.

    They are looked at before a run: by the check, the estimate of the duration, whoever connects
    channels. A class without one of the first five is refused when it is made.
    """

    path: Path
    """Where it stands in the run: below `(…, "run")` in the document of a sub-sequence."""
    where: str
    """The same for people, in its own document: `align.yaml:7:5`."""
    label: str
    """What it does, in a few words."""
    on_error: OnError = field(default=Abort(), kw_only=True)
    on_disconnect: OnDisconnect | None = field(default=None, kw_only=True)
    """None = the default of the step: `wait` waits, all else fails."""

    def __init_subclass__(cls) -> None:
        """Refuse a class that does not tell all that it has to.

        Raises:
            TypeError: Names what is missing.
        """
        missing = [fact for fact in _FACTS if getattr(cls, fact) is getattr(Node, fact)]
        if missing:
            raise TypeError(f"{cls.__name__} does not say {', '.join(missing)}: see `Node`")

    @property
    @abstractmethod
    def puts(self) -> tuple[Put, ...]:
        """What it puts; with passes inside, in each of them."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Canonical names of channels that it needs beside those in its puts and operands."""

    @property
    @abstractmethod
    def evaluates(self) -> tuple[Operand, ...]:
        """Operands whose every value is looked at before the run: whether it can be computed."""

    @property
    @abstractmethod
    def inside(self) -> Inside:
        """The steps inside it, `NO_STEPS` where there are none."""

    @abstractmethod
    def takes(self, known: Timing) -> float:
        """S that it takes by itself; of a walk at each point. `at_once`: no time at all.

        What a loop puts, and what is inside, is not in it.
        """

    # What few have: here as those have it that have nothing of the kind.

    @property
    def waits(self) -> Awaited | None:
        """What it waits for."""
        return None

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        """Names that it binds for the rest of its list; None = to what is known only then."""
        return ()

    @property
    def samples(self) -> tuple[str, ...]:
        """Canonical names of the channels of which it takes a row of the data."""
        return ()

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of the registered functions that it calls."""
        return ()

    @property
    def marks(self) -> bool:
        """Whether a rewind may start again from it."""
        return False

    # What follows from these.

    @property
    def writes(self) -> tuple[str, ...]:
        """Canonical names of the channels that it writes."""
        return tuple(put.pv for put in self.puts)

    @property
    def claims(self) -> tuple[str, ...]:
        """What no step at the same time may put to, by its `Put.record`."""
        return tuple(put.record for put in self.puts)

    @property
    def names(self) -> frozenset[str]:
        """Canonical names of all channels that it needs or writes."""
        own = frozenset().union(*(operand.channels for operand in operands_in(self)))
        readbacks = (put.readback for put in self.puts if put.readback is not None)
        return own.union(self.reads, self.writes, readbacks)

    @property
    def takes_time(self) -> bool:
        """Whether it lets others have their turn; by what is inside it, is not in it."""
        return bool(self.puts) or type(self).takes is not at_once

    @property
    def waits_for_channels(self) -> bool:
        """Whether it waits for those that are not there, within its own timeout."""
        return self.on_disconnect is OnDisconnect.WAIT


_FACTS = ("puts", "reads", "evaluates", "inside", "takes")


# The steps ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetNode(Node):
    """Put one value or several at the same time."""

    targets: tuple[Put, ...]
    timeout: Operand
    """s for all of them, a float > 0."""

    reads = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def puts(self) -> tuple[Put, ...]:
        """Its targets."""
        return self.targets

    def takes(self, known: Timing) -> float:
        """Until the last of them has arrived."""
        return known.puts(self.targets)


@dataclass(frozen=True, slots=True)
class WaitNode(Node):
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

    puts = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def reads(self) -> tuple[str, ...]:
        """What it compares."""
        return () if self.comparison is None else (self.comparison.pv,)

    @property
    def waits(self) -> Awaited:
        """Its condition."""
        return Awaited(self.comparison, self.until, self.timeout, self.hold)

    def takes(self, known: Timing) -> float:
        """Until its condition has held for as long as it has to."""
        return known.wait(self.waits) + known.number(self.hold)

    @property
    def waits_for_channels(self) -> bool:
        """By default."""
        return self.on_disconnect is not OnDisconnect.FAIL


@dataclass(frozen=True, slots=True)
class DelayNode(Node):
    """Wait for a time."""

    seconds: Operand
    """A float ≥ 0."""

    puts = ()
    reads = ()
    inside = NO_STEPS

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        """Its time."""
        return (self.seconds,)

    def takes(self, known: Timing) -> float:
        """Just so long."""
        return known.number(self.seconds)


@dataclass(frozen=True, slots=True)
class SampleNode(Node):
    """Take a row of the data."""

    channels: tuple[str, ...]
    """Canonical names, each once."""
    fresh: bool
    """Read from the servers; if not, the last updates are taken."""
    timeout: Operand
    """s, a float > 0."""
    missing_nan: bool
    """Record NaN for what does not answer, rather than fail."""

    puts = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def reads(self) -> tuple[str, ...]:
        """Its channels."""
        return self.channels

    @property
    def samples(self) -> tuple[str, ...]:
        """The same."""
        return self.channels

    def takes(self, known: Timing) -> float:  # noqa: ARG002 - a fact of every step
        """A round trip."""
        return 0.0


@dataclass(frozen=True, slots=True)
class LetNode(Node):
    """Bind names for the rest of the enclosing list, one after the other."""

    bindings: tuple[tuple[str, Operand], ...]

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        """Its names."""
        return self.bindings


@dataclass(frozen=True, slots=True)
class LoopNode(Node):
    """Run a body for each point, after setting a channel to it where there is one."""

    target: Put | None
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

    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def puts(self) -> tuple[Put, ...]:
        """Its positioner, where it has one."""
        return () if self.target is None else (self.target,)

    @property
    def inside(self) -> Passes:
        """Its passes."""
        return Passes(self.points, self.variable, self.body)


@dataclass(frozen=True, slots=True)
class TrajectoriesNode(Node):
    """Load several sequence servers at once."""

    loads: tuple[tuple[ServerChannels, Operand], ...]
    """Each with the text of its trajectory, checked when it is evaluated."""
    timeout: Operand
    """s for all of them, a float > 0."""

    puts = ()
    inside = NO_STEPS

    @property
    def reads(self) -> tuple[str, ...]:
        """All that a server tells by."""
        return tuple(name for server, _ in self.loads for name in server.told)

    @property
    def writes(self) -> tuple[str, ...]:
        """The commands."""
        return tuple(server.cmd for server, _ in self.loads)

    @property
    def claims(self) -> tuple[str, ...]:
        """The same."""
        return self.writes

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        """The trajectories."""
        return tuple(operand for _, operand in self.loads)

    def takes(self, known: Timing) -> float:  # noqa: ARG002 - a fact of every step
        """A round trip."""
        return 0.0


@dataclass(frozen=True, slots=True)
class NestedNode(Node):
    """Walk the indices of sequence servers, and run a body at each point."""

    levels: tuple[Level, ...]
    """Outermost first."""
    timeout: Operand
    """s for each point, a float > 0."""
    body: tuple[Node, ...]

    puts = ()
    evaluates = ()
    claims = ("Nested_Indices",)  # there is one

    @property
    def reads(self) -> tuple[str, ...]:
        """All that a server tells by."""
        return tuple(name for level in self.levels for name in level.server.told)

    @property
    def names(self) -> frozenset[str]:
        """The commands too: a server that was restarted is loaded again."""
        return frozenset(name for level in self.levels for name in level.server.all)

    @property
    def inside(self) -> Walk:
        """Its points."""
        return Walk(self.levels, self.body)

    @property
    def points(self) -> int | None:
        """How many it has, where that is known."""
        return self.inside.points

    def takes(self, known: Timing) -> float:
        """How long servers take is not known."""
        return known.count("waits")


@dataclass(frozen=True, slots=True)
class GroupNode(Node):
    """Run a body once."""

    body: tuple[Node, ...]

    puts = ()
    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def inside(self) -> InOrder:
        """Its body."""
        return InOrder(self.body)


@dataclass(frozen=True, slots=True)
class ParallelNode(Node):
    """Run steps at the same time; the first failure cancels the others."""

    branches: tuple[Node, ...]
    """Each with a scope of its own: a `let` in one is seen by no other."""

    puts = ()
    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def inside(self) -> Together:
        """Its branches."""
        return Together(self.branches)


@dataclass(frozen=True, slots=True)
class CallNode(Node):
    """Call a registered Python function."""

    function: str
    args: tuple[tuple[str, Operand], ...]
    """By the names of its parameters."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    variable: str | None
    """Bound to the result for the rest of the list (the field `as`)."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        """The name of its result."""
        return () if self.variable is None else ((self.variable, None),)

    @property
    def calls(self) -> tuple[str, ...]:
        """Its function."""
        return (self.function,)

    def takes(self, known: Timing) -> float:
        """As long as the function likes."""
        return known.count("calls")


@dataclass(frozen=True, slots=True)
class RunNode(Node):
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

    puts = ()
    reads = ()
    evaluates = ()

    @property
    def inside(self) -> Another:
        """The sequence."""
        return Another(self.sequence, self.args, self.document, self.program, self.known)

    def takes(self, known: Timing) -> float:
        """As long as its steps, where these are known."""
        return 0.0 if self.known is not None else known.count("calls")


@dataclass(frozen=True, slots=True)
class CheckpointNode(Node):
    """Where a rewind starts again."""

    name: str
    """Empty where it has none."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once
    marks = True


@dataclass(frozen=True, slots=True)
class AskNode(Node):
    """Pause with a message until resumed."""

    text: Operand
    """A str."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS

    def takes(self, known: Timing) -> float:
        """As long as the operator likes."""
        return known.count("questions")


@dataclass(frozen=True, slots=True)
class LogNode(Node):
    """Tell something."""

    text: Operand
    """A str."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once


@dataclass(frozen=True, slots=True)
class IfNode(Node):
    """Run one body or another."""

    condition: Operand
    """A bool."""
    then: tuple[Node, ...]
    else_: tuple[Node, ...]

    puts = ()
    reads = ()
    takes = at_once

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        """Its condition."""
        return (self.condition,)

    @property
    def inside(self) -> Either:
        """Its lists."""
        return Either(self.condition, self.then, self.else_)


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
    text: str = ""
    """The document as it is written; empty for one that was made from data."""


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node, its error handler's and a sub-sequence's included."""
    handler = node.on_error.body if isinstance(node.on_error, Handler) else ()
    return node.inside.steps + handler


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """All nodes, each before those inside it; of `run` what is known of it."""
    for node in nodes:
        yield node
        yield from walk(children(node))


def operands_in(part: object) -> Iterator[Operand]:
    """All operands in the fields of a node or suspender, those of nodes inside it left out."""
    for own in fields(part):  # type: ignore[arg-type]  # it is a dataclass
        yield from _operands(getattr(part, own.name))


def _operands(value: object) -> Iterator[Operand]:
    if isinstance(value, Operand):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _operands(item)
    elif is_dataclass(value) and not isinstance(value, Node | Program):
        yield from operands_in(value)
