"""Where a compile function stands: which names hold there, and where it notes what it finds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from orchestrator.errors import InputError
from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand, checked, constant, constant_value
from orchestrator.language.names import Names
from orchestrator.language.program.parts import Put
from orchestrator.language.program.sequence_library import SequenceLibrary
from orchestrator.language.text.document import Document
from orchestrator.language.text.steps import BaseStep
from orchestrator.language.values.operations import Fault, described, whole
from orchestrator.types import Path, path_text

T = TypeVar("T")
Position: TypeAlias = tuple[int, int]
Head: TypeAlias = tuple[Path, str, str]
"""Path, place and label: the first fields of every node."""
UNKNOWN = constant(None, "?")
"""Stands for what could not be compiled; a program with one is never handed out."""
MOST_PASSES = 2**53
"""Beyond, floats can't count one by one."""
_LABEL = 60
"""Characters of a label that no one gave a name to."""


class KnownLater(Exception):  # noqa: N818 - no error: the step is left out, see `compile_step`
    """A step can't be compiled before the arguments of its sequence are known."""


@dataclass(slots=True)
class Notes:
    """What the compilation of one document gathers."""

    findings: list[tuple[Position, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    followed: set[str] = field(default_factory=set)
    """Channels whose updates are taken one by one; not those of other documents that it runs."""
    data: dict[str, tuple[Position, str]] = field(default_factory=dict)
    """Sampled channels that expressions ask for: where first."""
    parameters: set[str] = field(default_factory=set)
    """Those that something is made with."""
    loaded: dict[str, int | None] = field(default_factory=dict)
    """Sequence servers that a step before loads, and how many items; None = known only then."""
    open_ended: bool = False
    """Whether more may be sampled than is known before the run."""

    def take(self, inner: Notes, position: Position, suffix: str) -> None:
        """Add what a document gathered that is run by a step at `position`."""
        self.findings += [(position, f"{line}{suffix}") for _, line in inner.findings]
        self.warnings += [f"{line}{suffix}" for line in inner.warnings]
        self.reads |= inner.reads
        self.writes |= inner.writes
        self.links |= inner.links
        self.changed |= inner.changed
        self.loaded |= inner.loaded
        self.open_ended |= inner.open_ended
        for name, (_, line) in inner.data.items():
            self.data.setdefault(name, (position, line))


@dataclass(slots=True)
class Shared:
    """What the documents of one compilation share."""

    library: SequenceLibrary
    documents: dict[str, Document] = field(default_factory=dict)
    """Those that were run so far, by name: each is read once."""
    inner: int = 0
    """How many times one was run."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a compile function needs: where it is, and which names hold there."""

    document: Document
    names: Names
    notes: Notes
    shared: Shared
    constants: Mapping[str, object]
    variables: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    """Variables that are parameters, given once the run comes there: what would have to be known
    because of them is left out rather than refused."""
    base: Path = ()
    """Where the document stands in the run."""
    running: tuple[tuple[str, Document], ...] = ()
    """The documents around it and itself, outermost first, with what they are called."""
    in_loop: bool = False
    """Whether there is a loop around it, those of the documents around it included."""
    in_passes: bool = False
    """Whether a `break` leads somewhere: there is a loop in this document around it, and no
    `parallel` in between."""
    assignable: frozenset[str] = frozenset()
    """The variables of the document: a name of theirs is assigned by who binds it."""
    finalising: bool = False
    """Whether it stands in `finally`."""

    def bound(self, *names: str) -> Context:
        """The same place with more names; one of a parameter hides it."""
        constants = {n: v for n, v in self.constants.items() if n not in names}
        return replace(
            self,
            constants=constants,
            variables=self.variables.union(names),
            later=self.later.difference(names),
        )

    def find(self, path: Path, text: str) -> None:
        """Note a finding."""
        self.notes.findings.append((self.document.position(path), self.line(path, text)))

    def warn(self, path: Path, text: str) -> None:
        """Note what is probably not meant."""
        self.notes.warnings.append(self.line(path, text))

    def line(self, path: Path, text: str) -> str:
        """A text with its place in front."""
        return f"{self.document.where(path)}: {path_text(path)}: {text}"

    def head(self, step: BaseStep, path: Path, label: str) -> Head:
        """The first fields of a node; its label is the step's own name or else `label`."""
        if step.name:
            label = self.fixed((*path, "name"), step.name) or step.name
        elif len(label) > _LABEL:
            label = f"{label[: _LABEL - 1]}…"
        return (*self.base, *path), self.document.where(path), label

    def attempt(self, path: Path, action: Callable[[], T], instead: T) -> T:
        """What `action` gives; where it is refused, note why and go on with something else."""
        try:
            return action()
        except InputError as error:
            self.find(path, str(error))
            return instead

    def operand(self, path: Path, make: Callable[..., Operand], value: object) -> Operand:
        """A value made by one of `template`'s functions; notes which channels it needs."""
        operand = self.attempt(
            path, lambda: make(value, self.names, self.variables, self.constants), UNKNOWN
        )
        self.notes.parameters |= operand.parameters
        self.notes.reads |= operand.channels
        self.notes.links |= operand.links
        self.notes.changed |= operand.changed
        for name in operand.data:
            line = f"{self.document.where(path)}: {path_text(path)}"
            self.notes.data.setdefault(name, (self.document.position(path), line))
        return operand

    def value(self, path: Path, value: object) -> Operand:
        """What stands in a value position."""
        if isinstance(value, str) and (value in self.variables or value in self.constants):
            self.warn(path, f"is the text {value!r}; what has that name is written $({value})")
        return self.operand(path, template.compile_value, value)

    def text(self, path: Path, value: object) -> Operand:
        """A text for people, in which names and channels may stand."""

        def make(given: object, *scope: object) -> Operand:
            return template.compile_text(
                template.as_text(given),
                *scope,  # type: ignore[arg-type]  # names, variables, constants, as `operand` gives them
                channels_in_text=True,
            )

        return self.operand(path, make, value)

    def amount(self, path: Path, value: object, check: Callable[[object], object]) -> Operand:
        """A number that `check` accepts, at once where it is known, else when it is needed."""
        operand = self.value(path, value)
        if operand is UNKNOWN:
            return operand
        return self.attempt(path, lambda: checked(operand, check), UNKNOWN)

    def timeout(self, path: Path, value: object) -> Operand | None:
        """A time above 0; None where none is given or `none` is spelled."""
        return None if value in (None, "none") else self.amount(path, value, positive)

    def channel(self, path: Path, text: str) -> str | None:
        """The canonical name of a channel; None where it will be known only later."""
        name = self.fixed(path, text)
        return name and self.attempt(path, lambda: self.names.resolve(name), name)

    def put(self, path: Path, text: str, value: Operand) -> Put:
        """A put to the channel that is named at a path; its other fields by `replace`.

        Raises:
            KnownLater: Which channel it is, is known only when the run comes there.
        """
        name = self.channel(path, text)
        if name is None:
            raise KnownLater
        return Put(name, self.names.record(name), value)

    def fixed(self, path: Path, text: str) -> str | None:
        """A text that must be known before the run, in which parameters may stand.

        None where it depends on a parameter that will be given later.
        """
        instead: str | None = text
        return self.attempt(path, lambda: self._fixed(text), instead)

    def _fixed(self, text: str) -> str | None:
        operand = template.compile_text(text, self.names, self.variables, self.constants)
        self.notes.parameters |= operand.parameters
        if operand.constant:
            return str(constant_value(operand))
        if operand.asks_the_run:
            raise InputError(
                f"{text!r} has to be known before the run starts: it can't be read from channels"
            )
        if operand.variables <= self.later:
            return None
        raise InputError(
            f"{text!r} has to be known before the run starts: only parameters may stand in it, "
            "no loop variables and no let names"
        )


def _number(value: object, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Fault(f"has to be {wanted}, not {described(value)}")
    return float(value)


# What a value has to be: each gives it back, or raises Fault ---------------------------------


def positive(value: object) -> float:
    """A time above 0."""
    number = _number(value, "a number of seconds above 0")
    if number <= 0:
        raise Fault(f"has to be above 0, not {value!r}")
    return number


def not_negative(value: object) -> float:
    """A number from 0."""
    number = _number(value, "a number")
    if number < 0:
        raise Fault(f"can't be negative, as {value!r} is")
    return number


def tries(value: object) -> int:
    """A whole number from 1."""
    number = whole(value, "'retry'")
    if number < 1:
        raise Fault(f"'retry' has to be at least 1, not {value!r}")
    return number


def count(value: object) -> int:
    """A whole number from 0."""
    number = whole(value, "'count'")
    if number < 0:
        raise Fault(f"can't be negative, as {value!r} is")
    if number > MOST_PASSES:
        raise Fault(f"{value!r} passes would never end; for ever is written 'while: true'")
    return number


def some(value: object) -> object:
    """A list or an array."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        raise Fault(f"has to be a list, not {described(value)}")
    return value


def two(value: object) -> object:
    """A list or an array of two."""
    if len(some(value)) != 2:  # type: ignore[arg-type]  # what passes some has a length
        raise Fault(f"'between' takes two values, not {described(value)}")
    return value
