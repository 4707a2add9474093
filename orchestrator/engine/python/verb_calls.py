"""What a Python sequence asks for, compiled: each call once, however often it is made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from orchestrator.engine.user_code.cleanup import Site
from orchestrator.language.expressions.expression import Operand, compile_expression
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_verb_call
from orchestrator.language.program.library import SequenceLibrary
from orchestrator.language.program.nodes import Program
from orchestrator.language.text.document import document_of
from orchestrator.types import Path
from orchestrator.verbs import SetNode

_MOST = 500
"""Compiled calls that are kept of one sequence: more come from arguments that always differ."""


VALUE = "value"
"""The name that a value is given by, where a step is compiled without it."""
_GIVEN = Operand(VALUE, lambda env: env.variable(VALUE), variables=frozenset({VALUE}))


class VerbCalls:
    """Compiles the calls of one Python sequence; used on its loop."""

    def __init__(self, sequence: str, names: Names, library: SequenceLibrary, around: Path) -> None:
        """`around` is the step that runs the sequence; empty for a run of its own."""
        self._sequence = sequence
        self._names = names
        self._library = library
        self._around = around
        self._programs: OrderedDict[Hashable, Program] = OrderedDict()
        self._expressions: dict[str, Operand] = {}

    def step(self, site: Site, step: Mapping[str, object] | str) -> Program:
        """A step, as a document would have it.

        Raises:
            CheckError: It is wrong.
        """
        key = _hashable((site.file, site.line, _frozen(step)))
        known = None if key is None else self._programs.get(key)
        if known is not None:
            return known
        return self._keep(key, self._compiled(site, step))

    def put(self, site: Site, pv: str, name: str, fields: Mapping[str, Any]) -> Program:
        """A `set` of one channel; its value is the name `VALUE`, which differs from call to call.

        Raises:
            CheckError: It is wrong.
        """
        types = tuple(map(type, fields.values()))  # 1, 1.0 and True are equal
        key = _hashable((site.file, site.line, pv, name, *fields.items(), types))
        known = None if key is None else self._programs.get(key)
        if known is not None:
            return known
        step: dict[str, object] = {"set": {"pv": pv, "value": 0, **fields}}
        program = self._compiled(site, {**step, "name": name} if name else step)
        (node,) = program.steps
        assert isinstance(node, SetNode)  # noqa: S101 - it is what was compiled
        (target,) = node.targets
        own = replace(node, targets=(replace(target, value=_GIVEN),))
        return self._keep(key, replace(program, steps=(own,)))

    def _compiled(self, site: Site, step: Mapping[str, object] | str) -> Program:
        document = document_of({"steps": [plain(step)]}, site.where or f"{self._sequence} (Python)")
        base = (*self._around, site.short or self._sequence)
        return compile_verb_call(document, self._names, self._library, base)

    def _keep(self, key: Hashable | None, program: Program) -> Program:
        if key is None:
            return program
        self._programs[key] = program
        if len(self._programs) > _MOST:
            self._programs.popitem(last=False)
        return program

    def expression(self, text: str) -> Operand:
        """An expression.

        Raises:
            InputError: It is none, or names what there is not.
        """
        known = self._expressions.get(text)
        if known is None:
            known = compile_expression(text, self._names, ())
            if len(self._expressions) < _MOST:
                self._expressions[text] = known
        return known


def plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _hashable(key: Hashable) -> Hashable | None:
    """What tells a call from others; None where it is made of what can't be compared."""
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _frozen(value: object) -> Hashable:
    """The value, its types included: 1, 1.0 and True are equal."""
    if isinstance(value, Mapping):
        return tuple((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return (list, *map(_frozen, value))
    return type(value), value  # whether it can be hashed is tried by who uses it
