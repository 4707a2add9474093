"""Sequences and functions written in Python: how they are marked, found, and described."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from orchestrator.errors import InputError
from orchestrator.language.document import Parameter
from orchestrator.language.library import PythonSignature

if TYPE_CHECKING:
    from orchestrator.engine.python import Run

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])

SequenceFunction: TypeAlias = Callable[..., Awaitable[None]]

_MARK = "__orchestrator__"
_TYPES = ("float", "int", "str", "bool")


def sequence(
    function: Callable[Concatenate[Run, P], Awaitable[None]],
) -> Callable[Concatenate[Run, P], Awaitable[None]]:
    """Mark a coroutine function as a sequence; its name is the sequence's.

    Its first parameter is the `Run`; the others, annotated float, int, str or bool, are what it
    can be given from the command line, CMD, ARGS and the step `run`.

    Raises:
        TypeError: It is no such function.
    """
    _signature(function)
    setattr(function, _MARK, "sequence")
    return function


def function(callee: F) -> F:
    """Mark a function for the step `call`; one that is no coroutine function runs in a thread."""
    setattr(callee, _MARK, "function")
    return callee


@dataclass(frozen=True, slots=True)
class Registry:
    """What some modules have marked."""

    sequences: Mapping[str, SequenceFunction] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict)

    def signature(self, name: str) -> PythonSignature | None:
        """What the sequence of that name takes; None = there is none."""
        found = self.sequences.get(name)
        return None if found is None else _signature(found)


NOTHING_REGISTERED = Registry()
"""No Python at all."""


def load(modules: Iterable[str], beside: Path | None = None) -> Registry:
    """Import these modules and gather what they have marked.

    Args:
        modules: By their full names.
        beside: A directory in which they are looked for as well, the configuration's.

    Raises:
        InputError: A module can't be imported, or two sequences or functions share a name.
    """
    modules = list(modules)
    if modules and beside is not None and str(beside) not in sys.path:
        sys.path.insert(0, str(beside))
    found: dict[str, dict[str, Any]] = {"sequence": {}, "function": {}}
    for name in modules:
        for own, value in vars(_import(name)).items():
            kind = getattr(value, _MARK, None)
            if not inspect.isroutine(value) or kind not in found:
                continue
            known = found[kind].setdefault(value.__name__, value)
            if known is not value:
                raise InputError(f"{name}.{own}: there are two {kind}s {value.__name__!r}")
    return Registry(found["sequence"], found["function"])


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise InputError(f"{name} can't be imported: {text}") from error


def _signature(function: Callable[..., object]) -> PythonSignature:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r}: a sequence is a coroutine function: async def")
    _run, *others = inspect.signature(function).parameters.values()
    parameters = {p.name: _parameter(function.__name__, p) for p in others}
    doc = inspect.getdoc(function) or ""
    return PythonSignature(function.__name__, parameters, doc.partition("\n")[0])


def _parameter(name: str, given: inspect.Parameter) -> Parameter:
    kind = getattr(given.annotation, "__name__", given.annotation)  # a text where postponed
    if kind not in _TYPES:
        known = ", ".join(_TYPES)
        raise TypeError(f"{name}: parameter {given.name!r} has to be annotated, one of {known}")
    default = None if given.default is inspect.Parameter.empty else given.default
    return Parameter.model_validate({"type": kind, "default": default})
