"""A program: what the engine runs. Frozen data, every name resolved, every value compiled."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.parts import (
    Abort,
    Awaited,
    Continue,
    Leaves,
    NestedLevel,
    OnDisconnect,
    Points,
    Put,
    Retry,
)
from orchestrator.types import Path, SourceText

if TYPE_CHECKING:
    from orchestrator.language.text.document import Document


OF_ERROR = ("error.kind", "error.text", "error.pv", "error.step")
"""The names that steps have which handle an error: all texts."""


@dataclass(frozen=True, slots=True)
class Handler:
    """The error is told and counted, steps run, then the next step."""

    cases: tuple[tuple[str, tuple[Node, ...]], ...]
    """Steps by the kind of error, `else` for all others; by "" where they are for any error."""

    @property
    def body(self) -> tuple[Node, ...]:
        """The steps of all kinds."""
        return sum((steps for _, steps in self.cases), ())

    def of(self, kind: str) -> tuple[str, tuple[Node, ...]] | None:
        """The case of a kind of error; None where it is passed on."""
        cases = dict(self.cases)
        return next(((own, cases[own]) for own in ("", kind, "else") if own in cases), None)


OnError: TypeAlias = Abort | Continue | Retry | Handler
"""What becomes of a step's error. Aborts, stops and skips are none."""


# What is inside a step -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InOrder:
    """Steps one after the other; none of a step without steps inside."""

    body: tuple[Node, ...] = ()
    last: tuple[Node, ...] = ()
    """Finalisers: run whatever comes, each even if the one before has failed."""

    @property
    def steps(self) -> tuple[Node, ...]:
        """All of them."""
        return self.body + self.last


@dataclass(frozen=True, slots=True)
class Together:
    """Steps at the same time, each with names of its own."""

    steps: tuple[Node, ...]
    first: bool = False
    """Whether the first to end ends the others."""


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
    every: Operand | None = None
    """s from the beginning of one pass to that of the next, a float > 0; None = as they come."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Steps at each point of a walk through the indices of sequence servers."""

    levels: tuple[NestedLevel, ...]
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
        return () if self.known is None else self.known.all_steps


Inside: TypeAlias = InOrder | Together | Either | Passes | Walk | Another
"""The control structures that there are: a new verb is one of these, or has no steps inside."""
NO_STEPS = InOrder()


# What every node has, and tells of itself ------------------------------------------------------


class Timing(Protocol):
    """What a step can ask that tells how long it takes: speeds, and values as far as known."""

    def puts(self, puts: Sequence[Put]) -> float:
        """S until all of these have arrived."""

    def travel(self, put: Put, speed: float) -> float:
        """S until a channel has come to what is put, at so many of its units per s."""

    def number(self, operand: Operand) -> float:
        """A value that is a number of s; where it is not known, that is counted as a guess."""

    def wait(self, awaited: Awaited) -> float:
        """S until this has come true; where that is not known, it is counted as a wait."""

    def count(self, what: Literal["waits", "calls", "questions"]) -> float:
        """Count what takes an unknown time; 0 s."""


def at_once(_node: Node, known: Timing) -> float:  # noqa: ARG001 - stands for `Node.takes`
    """How long a step takes that gives nobody else a turn: no time at all."""
    return 0.0


def a_round_trip(_node: Node, known: Timing) -> float:  # noqa: ARG001 - as above
    """How long a step takes that only asks a server: too little to be counted."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """Any step of a program, and the facts that all look at who never run it.

    They are looked at before a run: by the check, the estimate of the duration, whoever connects
    channels. A class without one of the first six is refused when it is made.
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
    limit: Operand | None = field(default=None, kw_only=True)
    """s for all of it, steps inside included, a float > 0; None = as long as it takes."""
    assigns: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Those of the names that it binds, or its passes, that are variables of the document."""

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

    @abstractmethod
    async def run(self, do: Any) -> None:
        """Carry it out.

        Args:
            do: A `verbs.doing.Doing`; in a program a step knows nothing of runs.

        Raises:
            OrchestratorError: It has failed.
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
        """What it takes a row of the data of: canonical names of channels, names of expressions."""
        return ()

    @property
    def records(self) -> tuple[str, ...]:
        """Canonical names of the channels of which it keeps each update."""
        return ()

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of the registered functions that it calls."""
        return ()

    @property
    def files(self) -> tuple[tuple[str, str, str], ...]:
        """Files that it is made of beside its document: name, text, and where it was read."""
        return ()

    @property
    def leaves(self) -> Leaves | None:
        """Where it goes on, if not with the next step."""
        return None

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


_FACTS = ("puts", "reads", "evaluates", "inside", "takes", "run")


@dataclass(frozen=True, slots=True)
class NotKnownYet(Node):
    """What stands for a step whose channels are known only when the run comes there.

    It is part of what is known of a sub-sequence before its arguments are; never run.
    """

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once

    async def run(self, do: Any) -> None:  # noqa: ARG002 - as all have it
        """Never called: what is run is compiled with the arguments."""
        raise AssertionError(f"{self.where}: not known yet")


# Programs -----------------------------------------------------------------------------------


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
class Runnable:
    """What a run carries out: the program of a document, or a sequence in Python."""

    name: str
    description: str
    arguments: Mapping[str, object]
    """Every parameter's value."""
    steps: tuple[Node, ...] = ()
    finally_: tuple[Node, ...] = ()
    reads: frozenset[str] = frozenset()
    """Canonical names of all channels whose readings it needs, readbacks and samples included."""
    writes: frozenset[str] = frozenset()
    """Canonical names of all channels that it puts to."""
    links: frozenset[str] = frozenset()
    """Those of which it asks by `connected(…)`; they need not be there when it starts."""
    changed: frozenset[str] = frozenset()
    """Those of which it asks by `changed(…)`: they are followed from its beginning."""
    origin: str = ""
    """The file that it was read from."""
    warnings: tuple[str, ...] = ()
    """What is probably not meant, with file, line and column: a loop that misses its end."""
    suspend: tuple[Suspender, ...] = ()
    """The document's own; not those of the configuration."""
    latches: tuple[tuple[str, Operand], ...] = ()
    """Those of the document with their conditions."""
    followed: frozenset[str] = frozenset()
    """Channels whose updates its steps take one by one."""
    variables: tuple[tuple[str, Operand], ...] = ()
    """Those of the document with their first values, each of which may read those before it."""
    timeout: Operand | None = None
    """s for all of `steps`, a float > 0; None = for ever."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What is to be kept of its runs, by name."""
    baseline: tuple[str, ...] = ()
    """Canonical names of the channels that are read at its beginning and its end."""

    @property
    def all_steps(self) -> tuple[Node, ...]:
        """Its steps and its finalisers."""
        return self.steps + self.finally_

    @property
    @abstractmethod
    def is_known(self) -> bool:
        """Whether its steps are known before it runs; those of a Python sequence are not."""

    @abstractmethod
    def source(self, library: Any) -> SourceText:
        """How it is written; `library` knows that of what was not read from a text."""

    @abstractmethod
    async def run(self, runner: Any) -> None:
        """Carry it out by what suits it of `runner`: `document`, `python`."""


@dataclass(frozen=True, slots=True)
class Program(Runnable):
    """A document, its arguments and the known channels made into one thing that can be run."""

    text: str = ""
    """The document as it is written; empty for one that was made from data."""
    is_known = True

    def source(self, library: Any) -> SourceText:  # noqa: ARG002 - its text is here
        """Its text."""
        return SourceText(self.name, self.text, self.origin)

    async def run(self, runner: Any) -> None:
        """Its steps."""
        await runner.document(self)


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
    elif is_dataclass(value) and not isinstance(value, Node | Runnable):
        yield from operands_in(value)
