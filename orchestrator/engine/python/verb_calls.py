"""What a Python sequence asks for, compiled: each call once, however often it is made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from orchestrator.engine.user_code.cleanup import Site
from orchestrator.language.expressions.expression import compile_expression
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import StepCall, compile_call
from orchestrator.language.program.sequence_library import SequenceLibrary
from orchestrator.language.text.document import step_of
from orchestrator.language.text.steps import VERBS, BaseStep
from orchestrator.types import Path

_MOST = 500
"""Compiled calls that are kept of one sequence: more come from arguments that always differ."""
_BESIDE = ("on_disconnect",)
"""Arguments of a verb that are fields beside it."""


class VerbCalls:
    """Compiles the calls of one Python sequence; used on its loop."""

    def __init__(self, sequence: str, names: Names, library: SequenceLibrary, around: Path) -> None:
        """`around` is the step that runs the sequence; empty for a run of its own."""
        self._sequence = sequence
        self._names = names
        self._library = library
        self._around = around
        self._calls: OrderedDict[Hashable, StepCall] = OrderedDict()
        self._expressions: dict[str, Operand] = {}
        self.latches: dict[str, object] = {}
        """The latches that there are, by the names that a scope has for them."""

    def step(
        self, site: Site, verb: str, fields: object, name: str = ""
    ) -> tuple[StepCall, Mapping[str, object]]:
        """A step, and the values of the names in it.

        Args:
            site: Where it is called.
            verb: The step's.
            fields: What stands at the verb, with `on_disconnect` among it.
            name: The step's.

        Raises:
            CheckError: It is wrong.
        """
        values: dict[str, object] = {}
        if isinstance(fields, dict):
            for field, variable, written in _varying(VERBS[verb]):
                given = fields.get(field)
                if type(given) in (int, float):
                    values[variable], fields[field] = given, written
        key = _key(site, verb, name, fields)
        known = None if key is None else self._calls.get(key)
        return known or self._keep(key, self._compiled(site, verb, fields, name, values)), values

    def _compiled(
        self, site: Site, verb: str, fields: object, name: str, values: Mapping[str, object]
    ) -> StepCall:
        origin = site.where or f"{self._sequence} (Python)"
        step = step_of({**as_step(verb, plain(fields)), "name": name}, origin)
        base = (*self._around, site.short or self._sequence)
        return compile_call(
            step, self._names, self._library, base, origin, {*values, *self.latches}
        )

    def _keep(self, key: Hashable | None, call: StepCall) -> StepCall:
        if key is not None:
            self._calls[key] = call
            if len(self._calls) > _MOST:
                self._calls.popitem(last=False)
        return call

    def expression(self, text: str) -> Operand:
        """An expression.

        Raises:
            InputError: It is none, or names what there is not.
        """
        known = self._expressions.get(text)
        if known is None:
            known = compile_expression(text, self._names, self.latches)
            if len(self._expressions) < _MOST:
                self._expressions[text] = known
        return known


def as_step(verb: str, fields: object) -> dict[str, object]:
    """A step as a document has it, of what a verb was given."""
    if not isinstance(fields, dict):
        return {verb: fields}
    beside = {key: fields[key] for key in _BESIDE if key in fields}
    return {verb: {key: f for key, f in fields.items() if key not in beside}, **beside}


@cache
def _varying(form: type[BaseStep]) -> tuple[tuple[str, str, str], ...]:
    """Fields whose numbers differ, the name by which each comes, and how that is written."""
    names = [(field, f"given_{field}") for field in sorted(form.VARIES)]
    return tuple((field, name, f"$({name})") for field, name in names)


def plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _key(site: Site, verb: str, name: str, fields: object) -> Hashable | None:
    """What tells a call from others; None where it is made of what can't be compared."""
    flat: Hashable
    if isinstance(fields, dict):  # mostly of numbers and texts
        flat = (*fields, *fields.values(), *map(type, fields.values()))
    else:
        flat = (fields, type(fields))
    try:
        hash(flat)
    except TypeError:
        flat = _frozen(fields)
    key = (site.file, site.line, verb, name, flat)
    with suppress(TypeError):
        hash(key)
        return key
    return None


def _frozen(value: object) -> Hashable:
    """The value, its types included: 1, 1.0 and True are equal."""
    if isinstance(value, Mapping):
        return tuple((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return (list, *map(_frozen, value))
    return type(value), value  # whether it can be hashed is tried by who uses it
