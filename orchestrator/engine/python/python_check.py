"""What can be told of a Python sequence before it runs: each verb in its source, as a step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.engine.python.machine import When
from orchestrator.engine.python.python_run import VERBS, Run
from orchestrator.engine.python.python_source import UNKNOWN, VerbCall, read_source
from orchestrator.engine.python.verb_calls import as_step
from orchestrator.engine.sequences.library import Library
from orchestrator.errors import CheckError
from orchestrator.language.expressions.operand import constant_value
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Another, Program, Runnable, walk
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import Document, document_of
from orchestrator.types import path_text
from orchestrator.verbs import own_verbs

_LOOKED = "it_is_only_looked_at"
"""The name of a function that no library has, and of a sequence: see `_Library`."""
_LATER = "known_when_it_runs"
"""The name in a step of what is not known; bound by a call of that function."""
_BEFORE = ({"call": {"function": _LOOKED, "as": _LATER}}, {"run": _LOOKED})
_STEP = f"steps[{len(_BEFORE)}]"
_FIXED = frozenset(
    {
        "readback",
        "completion",
        "accept_restart",
        "accept_invalid",
        "relative",
        "edge",
        "on_disconnect",
    }
    | {"fresh", "missing", "name"}
)
"""Fields that have to be known before a step runs."""
_NOTHING_TO_SEE = frozenset({"log", "ask", "checkpoint", "parallel", "race", "record", "machine"})


@dataclass(frozen=True, slots=True)
class SeenVerb:
    """One call of a verb, as the step that it is."""

    program: Program
    conditional: bool
    """Whether it may not be reached, or its error be caught."""

    def told(self, findings: Iterable[Finding]) -> list[Finding]:
        """What is wrong with it, as people read it who know no steps; perhaps only a warning."""
        return [
            replace(
                finding,
                level=Level.WARNING if self.conditional else finding.level,
                path=(),
                text=finding.text.removeprefix(f"{path_text(finding.path)} "),
            )
            for finding in findings
        ]


@dataclass(slots=True)
class Look:
    """What the source of a Python sequence tells."""

    verbs: list[SeenVerb] = field(default_factory=list)
    """Those that could be looked at, each with the values of one pass."""
    findings: list[Finding] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """What could not be looked at, each with file:line."""
    sequences: list[str] = field(default_factory=list)
    """Those that were read."""

    def channels(self, *, conditional: bool) -> frozenset[str]:
        """Canonical names of the channels that the verbs use."""
        own = [v.program for v in self.verbs if v.conditional is conditional]
        return frozenset().union(*(p.reads | p.writes for p in own))

    @property
    def reads(self) -> frozenset[str]:
        """Those of them that are read."""
        return frozenset().union(*(verb.program.reads for verb in self.verbs))

    @property
    def writes(self) -> frozenset[str]:
        """Those of them that are put to."""
        return frozenset().union(*(verb.program.writes for verb in self.verbs))


def look_at(program: Runnable, names: Names, library: Library) -> Look:
    """Read a sequence's source and compile the verbs in it, as far as they are written down.

    Nothing of it is run. A verb of which the channel is known and the value is not is compiled
    without it: of that the channel is looked at. The Python sequences that it runs are read as
    well; of a document these alone.
    """
    looking = _Looking(names, library)
    if not program.is_known:
        looking.sequence(program.name, program.arguments)
    looking.those_run_by(program)
    look = looking.look
    return replace(
        look,
        findings=list(dict.fromkeys(look.findings)),
        unseen=list(dict.fromkeys(look.unseen)),
    )


class _Looking:
    """Reads sequences, each once."""

    def __init__(self, names: Names, library: Library) -> None:
        self._names = names
        self._library = library
        self._compiling = _Library(library)
        self._known: set[str] = set()
        self._latches: Mapping[str, str] = {}
        self.look = Look()

    def sequence(self, name: str, arguments: Mapping[str, object]) -> None:
        """One Python sequence, with those of its arguments that are known."""
        if name in self._known:
            return
        self._known.add(name)
        look = self.look
        look.sequences.append(name)
        source = read_source(self._library.function(name), arguments, VERBS | own_verbs(), When)
        look.unseen += source.unseen
        for where, verb in source.not_awaited:
            text = f"run.{verb} is not awaited, and so would do nothing: write `await run.{verb}`"
            look.findings.append(Finding(Level.ERROR, where, (), text))
        self._latches = dict(_latches(source.calls))
        for call in source.calls + source.conditions:
            self._call(call)

    def those_run_by(self, program: Runnable) -> None:
        """The Python sequences that the steps of a program run."""
        for node in walk(program.all_steps):
            inside = node.inside
            if isinstance(inside, Another) and inside.document is None:
                if inside.sequence == _LOOKED:
                    continue
                signature = self._library.python(inside.sequence)
                parameters = signature.parameters if signature is not None else {}
                arguments: dict[str, object] = {n: p.default for n, p in parameters.items()}
                arguments |= {n: constant_value(o) for n, o in inside.args if o.constant}
                later = {name for name, operand in inside.args if not operand.constant}
                known = {n: value for n, value in arguments.items() if n not in later}
                self.sequence(inside.sequence, known)

    def _call(self, call: VerbCall) -> None:
        if call.verb in _NOTHING_TO_SEE:
            return
        unknown = [*_unknown(call)] if call.complete else [*_unknown(call), "what * and ** give"]
        if unknown:
            text = f"{call.where}: run.{call.verb}: {', '.join(unknown)}"
            self.look.unseen.append(text.replace("run.When", "When"))
        try:
            step = _step(call)
            if step is not None:
                self._compile(step, call)
        except CheckError as error:
            if unknown and call.verb in own_verbs():
                return  # which of its fields have to be known before a run, is known to it alone
            for line in error.findings:
                text = line.removeprefix(f"{call.where}: ").replace(f"{_STEP}.", "")
                self.look.findings.append(Finding(Level.ERROR, call.where, (), text))

    def _compile(self, step: Mapping[str, object], call: VerbCall) -> None:
        document = document_of({"latches": self._latches, "steps": [*_BEFORE, step]}, call.where)
        program = compile_program(document, {}, self._names, self._compiling)
        self.look.verbs.append(SeenVerb(program, call.conditional))
        self.those_run_by(program)


class _Library:
    """A library that has what stands before each step, too."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def document(self, name: str) -> Document:
        return self._library.document(name)

    def functions(self) -> Collection[str]:
        return {*self._library.functions(), _LOOKED}

    def python(self, name: str) -> PythonSignature | None:
        # What a Python sequence samples is not known, and so data() of any channel may be asked.
        return PythonSignature(name) if name == _LOOKED else self._library.python(name)

    def file(self, name: str) -> tuple[str, str]:
        return self._library.file(name)

    def left_out(self) -> str:
        return self._library.left_out()


# Verbs as steps ---------------------------------------------------------------------------------


def _latches(calls: Iterable[VerbCall]) -> Iterator[tuple[str, str]]:
    """The latches that a sequence has, as far as they are written down, with their conditions."""
    for call in calls:
        given: object = None
        if call.verb == "latch":
            own = dict(zip(("name", "condition"), call.args, strict=False)) | dict(call.fields)
            given = {own.get("name"): own.get("condition")}
        elif call.verb == "machine":
            given = call.fields.get("latches")
        if isinstance(given, dict):
            for name, condition in given.items():
                if isinstance(name, str) and isinstance(condition, str):
                    yield name, condition


def _unknown(call: VerbCall) -> Iterator[str]:
    """Which arguments are known only when it runs."""
    signature = _SIGNATURES.get(call.verb)
    names = [] if signature is None else [*signature.parameters.values()][1:]
    for index, value in enumerate(call.args):
        if _is_unknown(value):
            own = names[index] if index < len(names) else None
            named = own is not None and own.kind is own.POSITIONAL_OR_KEYWORD
            yield own.name if named and own is not None else f"argument {index + 1}"
    yield from (name for name, value in call.fields.items() if _is_unknown(value))


def _is_unknown(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_unknown, value.values()))
    return value is UNKNOWN


def _step(call: VerbCall) -> Mapping[str, object] | None:
    """The step that a verb is; None where its channel is not known, or it needs no look.

    Raises:
        CheckError: It can't be called so.
    """
    signature = _SIGNATURES.get(call.verb)
    if signature is None and call.verb in own_verbs():
        signature = _OWN
    if signature is None:
        return None  # Python tells when it runs
    bind = signature.bind if call.complete else signature.bind_partial
    try:
        given = bind(None, *call.args, **call.fields)
    except TypeError as error:
        raise CheckError([f"run.{call.verb}: {error}"]) from error
    if call.verb in _NO_STEPS:
        return _NO_STEPS[call.verb](given.arguments)
    own = [*signature.parameters.values()][1:]
    if not all(_fill(given, parameter, complete=call.complete) for parameter in own):
        return None
    asked = _AskedRun()
    getattr(asked, call.verb)(*given.args[1:], **given.kwargs)
    return asked.step


_SIGNATURES = {
    name: inspect.signature(method) for name, method in vars(Run).items() if callable(method)
} | {"When": inspect.signature(When.__init__)}


def _as_own(self: Run, *value: object, **fields: object) -> None:
    """How a verb of the user's own is called."""


_OWN = inspect.signature(_as_own)


class _AskedRun(Run):
    """A run whose verbs note which step they would be, and do nothing."""

    def __init__(self) -> None:
        self.step: dict[str, object] | None = None

    def _begins(self, begin: Any, verb: str, fields: object, name: str = "") -> Any:
        del name  # findings are told by what it does
        inside = {"do": [{"delay": 0}]} if verb == "nested" else {}
        self.step = {**as_step(verb, fields), **inside}
        return begin

    def _verb(self, what: str, begin: Any) -> Any:
        """Nothing that would have to be awaited."""


def _fill(given: inspect.BoundArguments, parameter: inspect.Parameter, *, complete: bool) -> bool:
    """Put something else in place of what is not known of an argument; whether that can be."""
    name, arguments = parameter.name, given.arguments
    value = arguments.get(name, parameter.default)
    if parameter.kind is parameter.VAR_POSITIONAL:
        several = arguments.get(name, ())
        known = arguments[name] = tuple(item for item in several if item is not UNKNOWN)
        return bool(known) or (complete and not several)
    if parameter.kind is parameter.VAR_KEYWORD:
        own = arguments.get(name, {}).items()
        arguments[name] = {n: _later(v) for n, v in own if v is not UNKNOWN or n not in _FIXED}
    elif isinstance(value, dict):
        arguments[name] = {key: _later(item) for key, item in value.items()}
    elif value is UNKNOWN or value is parameter.empty:
        if parameter.annotation not in _AMOUNTS:
            arguments.pop(name, None)
            return parameter.default is not parameter.empty
        arguments[name] = _later(UNKNOWN)
    return True


_AMOUNTS = ("float", "float | None", "object")
"""Annotations of arguments whose value need not be known before a step runs."""


# What is no step: looked at as one that needs the same.


def _expression(given: Mapping[str, object]) -> Mapping[str, object] | None:
    text = given.get("expression", given.get("condition"))
    return {"let": {"looked_at": text}} if isinstance(text, str) else None


def _data(given: Mapping[str, object]) -> Mapping[str, object] | None:
    channel = given.get("channel")
    return {"sample": [channel]} if isinstance(channel, str) else None


def _updates(given: Mapping[str, object]) -> Mapping[str, object] | None:
    channel = given.get("channel")
    return {"wait": {"next": channel, "timeout": 1}} if isinstance(channel, str) else None


def _loop(given: Mapping[str, object]) -> Mapping[str, object] | None:
    if not isinstance(given.get("pv"), str):
        return None
    last = "num" if "num" in given else "step"
    fields = {"from": "start", "to": "stop", last: last}
    points = {field: _later(given.get(name, UNKNOWN)) for field, name in fields.items()}
    return {"loop": {"pv": given["pv"], **points}, "do": [{"delay": 0}]}


_NO_STEPS: Mapping[str, Callable[[Mapping[str, object]], Mapping[str, object] | None]] = {
    "value": _expression,
    "When": _expression,
    "latch": _expression,
    "updates": _updates,
    "data": _data,
    "linspace": _loop,
    "arange": _loop,
}


def _later(value: object) -> object:
    return f"$({_LATER})" if _is_unknown(value) else value
