"""Sequences and functions written in Python: how they are marked, found, and described."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Literal, TypeAlias

from orchestrator.errors import InputError
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import Parameter
from orchestrator.types import SourceText
from orchestrator.verbs.own import import_module, look_in

SequenceFunction: TypeAlias = Callable[..., Awaitable[None]]

_MARK = "__orchestrator__"
_WRITES = "__orchestrator_writes__"
_TYPES = {
    **{kind: kind for kind in ("float", "int", "str", "bool", "list")},
    "dict": "table",
    "Table": "table",
    "Channel": "channel",
}
"""Types of a document's parameters, by the names of annotations."""


def mark(marked: Callable[..., object], kind: Literal["sequence", "function"]) -> None:
    """Say of a function what it is; called by the decorators."""
    setattr(marked, _MARK, kind)


def mark_writes(marked: Callable[..., object], writes: Iterable[str]) -> None:
    """Say of a sequence what it puts to."""
    setattr(marked, _WRITES, tuple(writes))


def writes_of(marked: Callable[..., object]) -> tuple[str, ...]:
    """What a sequence says that it puts to; nothing where it says nothing."""
    writes: tuple[str, ...] = getattr(marked, _WRITES, ())
    return writes


@dataclass(frozen=True, slots=True)
class Registry:
    """What some modules have marked."""

    sequences: Mapping[str, SequenceFunction] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    """Modules of which nothing is here, each with why: it can't be imported, or clashes."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What was imported, by module: a file may be another one by the time that its code is run."""

    def signature(self, name: str) -> PythonSignature | None:
        """What the sequence of that name takes; None = there is none."""
        found = self.sequences.get(name)
        return None if found is None else signature_of(found)

    def source(self, name: str, function: Callable[..., object]) -> SourceText:
        """How a sequence or function is written, called by that name."""
        module = function.__module__
        code = function.__code__ if isinstance(function, FunctionType) else None
        origin = code.co_filename if code is not None else ""
        text = self.texts.get(module, "")
        return SourceText(name, text, origin, module, function.__qualname__)


NOTHING_REGISTERED = Registry()
"""No Python at all."""


def load(modules: Iterable[str], beside: Path | None = None) -> Registry:
    """Import these modules and gather what they have marked.

    A module that can't be imported, or in which a sequence or function has the name of one before
    it, is `broken`: nothing of it is taken, and the others are as they would be without it.

    Args:
        modules: By their full names.
        beside: A folder in which they are looked for as well, the configuration's.
    """
    modules = list(modules)
    if modules:
        look_in(beside)
    found: dict[str, dict[str, FunctionType]] = {"sequence": {}, "function": {}}
    broken: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name in modules:
        try:
            marked = _marked(import_module(name), found)
        except InputError as error:
            broken[name] = str(error)
            continue
        for kind, value in marked:
            found[kind][value.__name__] = value
            if value.__module__ not in texts:
                texts[value.__module__] = _text(value.__module__)
    return Registry(found["sequence"], found["function"], broken, texts)


def _text(module: str) -> str:
    """The source of an imported module; empty where it has none that can be read."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    try:
        return Path(file).read_text(encoding="utf-8") if file.endswith(".py") else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _marked(
    module: ModuleType, found: Mapping[str, Mapping[str, FunctionType]]
) -> list[tuple[str, FunctionType]]:
    """The sequences and functions of a module, each with its kind."""
    own: list[tuple[str, FunctionType]] = []
    names = {kind: dict(others) for kind, others in found.items()}
    for name, value in vars(module).items():
        kind = getattr(value, _MARK, None)
        if not isinstance(value, FunctionType) or kind not in names:
            continue
        known = names[kind].setdefault(value.__name__, value)
        if known is not value:
            code = value.__code__
            raise InputError(
                f"{module.__name__} is left out: {code.co_filename}:{code.co_firstlineno}: there "
                f"are two {kind}s {value.__name__!r}, {name} of it and one of {known.__module__}"
            )
        own.append((kind, value))
    return own


def signature_of(function: Callable[..., object]) -> PythonSignature:
    """What a sequence takes, and the first line of its docstring.

    Raises:
        TypeError: It is none that could be marked as one.
    """
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r}: a sequence is a coroutine function: async def")
    _run, *others = inspect.signature(function).parameters.values()
    parameters = {p.name: _parameter(function.__name__, p) for p in others}
    doc = inspect.getdoc(function) or ""
    return PythonSignature(function.__name__, parameters, doc.partition("\n")[0])


def _parameter(name: str, given: inspect.Parameter) -> Parameter:
    written = getattr(given.annotation, "__name__", given.annotation)  # a text where postponed
    kind = _TYPES.get(str(written).partition("[")[0].rpartition(".")[2])
    if kind is None:
        known = ", ".join(_TYPES)
        raise TypeError(f"{name}: parameter {given.name!r} has to be annotated, one of {known}")
    default = None if given.default is inspect.Parameter.empty else given.default
    return Parameter.model_validate({"type": kind, "default": default})
