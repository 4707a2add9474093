"""Document + arguments + names -> a program; every finding of the static check, with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from pydantic import PrivateAttr

from orchestrator.errors import CheckError, InputError
from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand, constant_value, latch_key
from orchestrator.language.names import Names, suggestion
from orchestrator.language.program.compile_context import (
    UNKNOWN,
    Context,
    Notes,
    Shared,
    not_negative,
)
from orchestrator.language.program.form import compile_list, compile_step
from orchestrator.language.program.nodes import Node, Program, Suspender, walk
from orchestrator.language.program.restoring import compile_restore
from orchestrator.language.program.sequence_library import NONE, SequenceLibrary
from orchestrator.language.text.arguments import bind, bind_parameters
from orchestrator.language.text.document import Document, Parameter
from orchestrator.language.text.steps import BaseStep
from orchestrator.language.text.suspend import Suspend
from orchestrator.types import Path

MOST_RUNS = 1000
"""Sub-sequences in one program; more come from sequences that run each other several times."""
Arguments = tuple[tuple[str, Operand], ...]


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
    given: Mapping[str, Suspend],
    names: Names,
    where: Callable[[Path], str],
    table: str = "suspend",
) -> tuple[Suspender, ...]:
    """Compile the suspenders of a configuration, or what is of the same kind.

    Args:
        given: By name.
        names: The channels that there are.
        where: Where the value of a key stands, for messages.
        table: Where they stand in it.

    Raises:
        CheckError: Everything that is wrong: `orchestrator.toml:7: suspend.beam.when: …`.
    """
    notes = Notes()
    document = _Configuration.model_construct(steps=()).stands(where)
    context = Context(document, names, notes, Shared(NONE), {})
    suspenders = compile_suspend(given, context, table)
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


# A document, its suspenders, and the sequences that it runs ----------------------------------


def arguments(args: Mapping[str, object], path: Path, context: Context) -> Arguments:
    """What a function or sequence is given."""
    return tuple((n, context.value((*path, "args", n), v)) for n, v in args.items())


def compile_inner(
    name: str, args: Arguments, path: Path, context: Context
) -> tuple[Document | None, Program | None]:
    """The document and program of a name that a step runs; neither where it is Python or wrong."""
    library = context.shared.library
    signature = library.python(name)
    if signature is not None:
        context.notes.open_ended = True
        _bound(name, signature.parameters, args, path, context)
        return None, None
    document = _document(name, path, context)
    if document is None or _repeats(name, document, path, context):
        return document, None
    values = _bound(name, document.parameters, args, path, context)
    return document, None if values is None else _inner(document, name, values, path, context)


def _document(name: str, path: Path, context: Context) -> Document | None:
    documents = context.shared.documents
    if name not in documents:
        try:
            documents[name] = context.shared.library.document(name)
        except CheckError as error:
            place = f" (run by {context.document.where(path)})"
            for line in error.findings:
                context.notes.findings.append((context.document.position(path), line + place))
        except InputError as error:
            context.find(path, str(error))
    return documents.get(name)


def _repeats(name: str, document: Document, path: Path, context: Context) -> bool:
    """Whether it is being run already, or too many are; notes that."""
    running = context.running
    for i, (_, other) in enumerate(running):
        if other == document:
            cycle = " → ".join([*(shown for shown, _ in running[i:]), name])
            context.find(path, f"a sequence can't run itself: {cycle}")
            return True
    context.shared.inner += 1
    if context.shared.inner == MOST_RUNS + 1:
        context.find(path, f"more than {MOST_RUNS} sub-sequences, each run counted")
    return context.shared.inner > MOST_RUNS


def _bound(
    name: str,
    parameters: Mapping[str, Parameter],
    args: Arguments,
    path: Path,
    context: Context,
) -> dict[str, object] | None:
    """The values of the parameters that are known; None where some are wrong."""
    if any(operand is UNKNOWN for _, operand in args):
        return None
    known = {n: constant_value(operand) for n, operand in args if operand.constant}
    later = {n for n, operand in args if not operand.constant}
    try:
        return bind_parameters(name, parameters, known, later)
    except CheckError as error:
        for line in error.findings:
            context.find(path, line)
        return None


def _inner(
    document: Document, name: str, values: Mapping[str, object], path: Path, context: Context
) -> Program:
    """Compile a document that is run by the step at `path`."""
    notes = Notes()
    later = frozenset(document.parameters.keys() - values.keys())
    inner = replace(
        context,
        document=document,
        notes=notes,
        constants=values,
        variables=later,
        later=later,
        base=(*context.base, *path),
        in_passes=False,
        finalising=False,
        assignable=frozenset(),
        running=(*context.running, (name, document)),
    )
    program = compile_document(inner)
    suffix = f" (run by {context.document.where(path)})"
    context.notes.take(notes, context.document.position(path), suffix)
    return program


def compile_document(context: Context) -> Program:
    """The program of a context's document; what is wrong with it is in the notes."""
    document, notes = context.document, context.notes
    _check_channels(context)
    variables = _variables(context)
    latches = tuple((n, _latch(v, ("latches", n), context)) for n, v in document.latches.items())
    inside = context.bound(*document.variables, *map(latch_key, document.latches))
    inside = replace(inside, assignable=frozenset(document.variables))
    steps = compile_list(document.steps, ("steps",), inside)
    last = replace(inside, finalising=True)
    restoring = compile_restore(document.restore or (), ("restore",), last)
    finally_ = compile_list(document.finally_, ("finally",), last) + restoring.steps
    suspend = compile_suspend(document.suspend, context)
    metadata, baseline = _metadata(context), _baseline(context)
    timeout = context.timeout(("timeout",), document.timeout)
    for name in document.parameters:
        if name not in notes.parameters | context.later and not notes.findings:
            context.warn(("parameters", name), "this parameter is not used")
    return Program(
        name=document.name,
        description=document.description,
        arguments=dict(context.constants),
        steps=steps,
        finally_=finally_,
        reads=frozenset(notes.reads),
        writes=frozenset(notes.writes),
        links=frozenset(notes.links),
        changed=frozenset(notes.changed),
        origin=document.origin,
        warnings=tuple(notes.warnings),
        suspend=suspend,
        timeout=timeout,
        metadata=metadata,
        baseline=baseline,
        latches=latches,
        followed=frozenset(notes.followed),
        variables=variables + restoring.values,
        text=document.text,
    )


def _metadata(context: Context) -> dict[str, object]:
    """What is to be kept of its runs; of a sequence that another one runs it says nothing."""
    values = {}
    for name, value in context.document.metadata.items():
        operand = context.value(("metadata", name), value)
        if operand.constant:
            values[name] = constant_value(operand)
        elif not operand.variables or not operand.variables <= context.later:
            why = "has to be known before the run starts: only parameters may stand in it"
            context.find(("metadata", name), why)
    return values


def _baseline(context: Context) -> tuple[str, ...]:
    """The channels of the document's baseline, each once."""
    found: dict[str, None] = {}
    for i, text in enumerate(context.document.baseline):
        if channel := context.channel(("baseline", i), text):
            found[channel] = None
    context.notes.reads |= found.keys()
    return tuple(found)


def _check_channels(context: Context) -> None:
    """The values of parameters that are channels have to be some."""
    for name, parameter in context.document.parameters.items():
        value = context.constants.get(name)
        if parameter.kind == "channel" and isinstance(value, str):
            path = ("parameters", name)
            context.attempt(path, partial(context.names.resolve, value), value)


def _variables(context: Context) -> Arguments:
    """The first values of the document's variables."""
    own, inner = context.document, context
    values = []
    for name, value in own.variables.items():
        place = ("variables", name)
        if name in own.parameters:
            context.find(place, f"{name!r} is a parameter; a variable needs another name")
        values.append((name, inner.value(place, value)))
        inner = inner.bound(name)
    return tuple(values)


def _latch(value: object, path: Path, context: Context) -> Operand:
    """The condition of a latch: updates of channels alone make it true."""
    operand = context.operand(path, template.compile_condition, value)
    if operand.data or operand.changed or operand.timed or operand.variables:
        without = "without data(), changed(), age(), now(), elapsed() and other names"
        context.find(path, f"is decided by updates of channels and by parameters alone: {without}")
    elif not operand.channels | operand.links and operand is not UNKNOWN:
        context.find(path, f"names no channel, so that it never becomes true: {value!r}")
    return operand


def compile_suspend(
    given: Mapping[str, Suspend], context: Context, table: str = "suspend"
) -> tuple[Suspender, ...]:
    """What holds a run up; `given` stands at `table` in the context's document."""
    return tuple(_suspender(name, s, (table, name), context) for name, s in given.items())


_RESUMES: Mapping[str | int, str] = {"trigger": "rearm"}
"""What stands for `resume` in other tables."""


def _suspender(name: str, given: Suspend, path: Path, context: Context) -> Suspender:
    return Suspender(
        name=name,
        when=_condition(given.when, (*path, "when"), context),
        resume=None
        if given.resume is None
        else _condition(given.resume, (*path, _RESUMES.get(path[0], "resume")), context),
        settle=context.amount((*path, "settle"), given.settle, not_negative),
        rewind=given.rewind is not None,
        accept_restart=given.accept_restart,
        where=context.document.where(path),
    )


def _condition(value: object, path: Path, context: Context) -> Operand:
    operand = context.operand(path, template.compile_condition, value)
    if operand.data:
        for name in operand.data:
            context.notes.data.pop(name)
        context.find(path, "a suspender can't ask for samples: data() belongs into steps")
    elif operand.changed:
        context.find(path, "a suspender has no beginning that changed() could count from")
    elif not operand.channels | operand.links and operand is not UNKNOWN:
        context.find(path, f"names no channel, so that it never changes: {value!r}")
    return operand
