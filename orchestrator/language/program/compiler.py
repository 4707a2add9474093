"""Document + arguments + names -> a program; every finding of the static check, with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from pydantic import PrivateAttr

from orchestrator.errors import CheckError
from orchestrator.language.names import Names, suggestion
from orchestrator.language.program.compile_context import Context, Notes, Shared
from orchestrator.language.program.compiling import compile_step
from orchestrator.language.program.nodes import Node, Program, Suspender, walk
from orchestrator.language.program.sequence_library import NONE, SequenceLibrary
from orchestrator.language.program.sequences import compile_document, compile_suspend
from orchestrator.language.text.arguments import bind
from orchestrator.language.text.document import Document
from orchestrator.language.text.steps import BaseStep
from orchestrator.language.text.suspend import Suspend
from orchestrator.types import Path


def compile_program(
    document: Document,
    arguments: Mapping[str, object],
    names: Names,
    library: SequenceLibrary = NONE,
    *,
    base: Path = (),
) -> Program:
    """Make a program of a document.

    The documents that it runs are compiled within it, each with its own parameters and names; what
    they read, write and ask for is in this program's `reads`, `writes` and `links` as well. Where
    an argument is known only when the run comes there (it reads a channel, or a loop's variable),
    `RunNode.outline` is compiled with that parameter as a variable: all channels are found whose
    names don't depend on it; those of which they do are connected once the run comes there.

    Args:
        document: As parsed.
        arguments: By parameter; text is converted, what is missing has its default.
        names: The channels that there are.
        library: What it may run and call.
        base: Where it stands in a run: `(*node.path, "run")` of the step that runs it.

    Raises:
        CheckError: Everything that is wrong, each with file, line, column and step.
    """
    values = bind(document, arguments)
    notes = Notes()
    context = Context(
        document,
        names,
        notes,
        Shared(library),
        values,
        base=base,
        running=((document.name or document.origin, document),),
        # What a step of a running sequence runs may be in a loop of that.
        in_loop=bool(base),
    )
    program = compile_document(context)
    if not base:
        # Below, the samples are those of the whole run.
        _check_samples(program, notes)
    _refuse(notes)
    return program


class StepCall(NamedTuple):
    """A step by itself: a verb that a Python sequence calls."""

    node: Node
    used: frozenset[str]
    """Canonical names of the channels that it reads or writes."""
    links: frozenset[str]
    """Those of which it asks by `connected(…)`."""


def compile_call(
    step: BaseStep,
    names: Names,
    library: SequenceLibrary,
    base: Path,
    origin: str,
    variables: Iterable[str] = (),
) -> StepCall:
    """Compile a step by itself.

    Args:
        step: As it is called.
        names: The channels that there are.
        library: What it may run and call.
        base: The path that the step has.
        origin: Where it is called, for messages.
        variables: Names in it whose values come with each call.

    Raises:
        CheckError: Everything that is wrong, with the origin.
    """
    notes = Notes()
    document = Document.model_construct(steps=(), parameters={}).locate(origin, {})
    context = Context(
        document,
        names,
        notes,
        Shared(library),
        {},
        variables=frozenset(variables),
        base=base,
        running=((origin, document),),
    )
    node = compile_step(step, (), context)
    _refuse(notes)
    return StepCall(node, frozenset(notes.reads | notes.writes), frozenset(notes.links))


def compile_suspenders(
    given: Mapping[str, Suspend], names: Names, where: Callable[[Path], str]
) -> tuple[Suspender, ...]:
    """Compile the suspenders of a configuration.

    Args:
        given: By name.
        names: The channels that there are.
        where: Where the value of a key stands, for messages.

    Raises:
        CheckError: Everything that is wrong: `orchestrator.toml:7: suspend.beam.when: …`.
    """
    notes = Notes()
    document = _Configuration.model_construct(steps=()).stands(where)
    context = Context(document, names, notes, Shared(NONE), {})
    suspenders = compile_suspend(given, context)
    _refuse(notes)
    return suspenders


class _Configuration(Document):
    """Stands where a document does."""

    _where: Callable[[Path], str] = PrivateAttr()

    def stands(self, where: Callable[[Path], str]) -> Document:
        """Say where its keys are."""
        self._where = where
        return self

    def where(self, path: Path) -> str:
        """The file and the line of a key."""
        return self._where(path)


def _refuse(notes: Notes) -> None:
    if notes.findings:
        lines = [line for _, line in sorted(notes.findings, key=itemgetter(0))]
        raise CheckError(list(dict.fromkeys(lines)))


def _check_samples(program: Program, notes: Notes) -> None:
    """An expression may only ask for samples of channels that some step takes."""
    nodes = walk(program.all_steps)
    sampled = {channel for node in nodes for channel in node.samples}
    for name, (position, line) in notes.data.items():
        if name not in sampled and not notes.open_ended:
            hint = suggestion(name, sampled, kind="sampled channels")
            notes.findings.append((position, f"{line}: no step samples {name!r}{hint}"))
