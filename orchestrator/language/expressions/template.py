"""Strings in value positions: `$(name)`, `=expression`, and text with names in it.

| string                | value                                                         |
| --------------------- | ------------------------------------------------------------- |
| exactly `$(name)`     | the value of that name, with its type                         |
| `… $(name) …`         | the text, with the value of that name formatted               |
| `=expression`         | the expression's value                                        |
| `==…`                 | the text `=…`                                                 |
| `… $$(…`              | the text `… $(…`                                              |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import numpy as np

from orchestrator.errors import InputError
from orchestrator.language.expressions.expression import compile_expression
from orchestrator.language.expressions.operand import (
    NOWHERE,
    Code,
    Environment,
    Operand,
    as_condition,
    constant,
    made_with,
)
from orchestrator.language.names import Names, suggestion
from orchestrator.language.values.operations import plain

_EXACT = re.compile(r"\$\(([^()$]*)\)")
_PIECES = re.compile(r"(\$\$\()|\$\(([^()$]*)\)|(\$\()")
_SHOWN_ELEMENTS = 8

Pieces: TypeAlias = list[str | Operand]


def as_text(value: object) -> str:
    """A value as it stands in a text: numbers to 10 digits, arrays by their first elements."""
    match plain(value):
        case bool() as flag:
            return str(flag).lower()
        case float() as number:
            return f"{number:.10g}"
        case list() | np.ndarray() as several:
            shown = ", ".join(as_text(item) for item in several[:_SHOWN_ELEMENTS])
            more = f", … ({len(several)})" if len(several) > _SHOWN_ELEMENTS else ""
            return f"[{shown}{more}]"
        case other:
            return str(other)


def compile_value(
    value: object,
    names: Names,
    variables: Collection[str] = (),
    constants: Mapping[str, object] = {},
    *,
    channels_in_text: bool = False,
) -> Operand:
    """Compile what stands in a value position: a scalar, or a list of scalars.

    Args:
        value: As parsed from the document.
        names: The channels that it may name.
        variables: Names that are bound when it is evaluated.
        constants: Names whose values are known already (parameters).
        channels_in_text: Whether `$(stage.x)` may stand for a channel's value (log text).

    Raises:
        InputError: A name is unknown, or the template or its expression is malformed.
    """
    if isinstance(value, list | tuple):
        items = [compile_value(item, names, variables, constants) for item in value]
        return joined(str(value), items, lambda parts: list(parts))
    if not isinstance(value, str):
        return constant(value)
    return _Template(names, variables, constants, channels_in_text).compile(value)


def compile_text(
    text: str,
    names: Names,
    variables: Collection[str] = (),
    constants: Mapping[str, object] = {},
    *,
    channels_in_text: bool = False,
) -> Operand:
    """The same for what is always a text: a log text, a PV's name."""
    operand = compile_value(text, names, variables, constants, channels_in_text=channels_in_text)
    return joined(text, [operand], lambda parts: as_text(parts[0]))


def compile_bare(
    value: object,
    names: Names,
    variables: Collection[str] = (),
    constants: Mapping[str, object] = {},
) -> Operand:
    """Compile what stands where an expression is expected: `let`, `if`, `until`.

    Exactly `$(name)` is that name's value, a leading `=` may stand, numbers and lists are values.
    """
    if not isinstance(value, str) or _EXACT.fullmatch(value.strip()):
        return compile_value(value, names, variables, constants)
    return compile_expression(value.strip().removeprefix("="), names, variables, constants)


def compile_condition(
    value: object,
    names: Names,
    variables: Collection[str] = (),
    constants: Mapping[str, object] = {},
) -> Operand:
    """The same for a condition; its value is a bool."""
    return as_condition(compile_bare(value, names, variables, constants))


class _Template:
    """Compiles one string."""

    def __init__(
        self,
        names: Names,
        variables: Collection[str],
        constants: Mapping[str, object],
        channels: bool,
    ) -> None:
        self._names = names
        self._variables = variables
        self._constants = constants
        self._channels = channels

    def compile(self, text: str) -> Operand:
        if text.startswith("=="):
            return self._text(text, text[1:])
        if text.startswith("="):
            return compile_expression(text[1:], self._names, self._variables, self._constants)
        if exact := _EXACT.fullmatch(text):
            return self._name(exact[1])
        return self._text(text, text)

    def _text(self, text: str, template: str) -> Operand:
        pieces: Pieces = []
        end = 0
        for match in _PIECES.finditer(template):
            pieces.append(template[end : match.start()])
            pieces.append(self._piece(match, template))
            end = match.end()
        pieces.append(template[end:])
        operands = [constant(p) if isinstance(p, str) else p for p in pieces if p != ""]
        return joined(text, operands, lambda parts: "".join(map(as_text, parts)))

    def _piece(self, match: re.Match[str], template: str) -> str | Operand:
        literal, name, unclosed = match.groups()
        if literal:
            return "$("
        if unclosed:
            raise InputError(
                f"'$(' in {template!r} is not closed by ')', or has more than a name in it; "
                "a literal '$(' is written '$$('"
            )
        return self._name(name)

    def _name(self, name: str) -> Operand:
        if name in self._variables or name in self._constants:
            return compile_expression(name, self._names, self._variables, self._constants)
        if "." in name or ":" in name:
            return self._channel(name)
        if not name.isidentifier():
            raise InputError(
                f"'$({name})' has no name in it; of an expression the value is named by "
                "'let' first, or the whole value is written '=…'"
            )
        known = {n for n in (*self._variables, *self._constants) if not n.startswith("$")}
        raise InputError(f"undefined name '$({name})'{suggestion(name, known, kind='names')}")

    def _channel(self, name: str) -> Operand:
        channel = self._names.resolve(name)
        if not self._channels:
            raise InputError(
                f"'$({name})' is a channel, which can be read here only by an expression: "
                f'"={name if "." in name and ":" not in name else f"pv({name!r})"}"'
            )
        return Operand(name, lambda env: env.channel(channel), channels=frozenset({channel}))


def joined(text: str, operands: list[Operand], join: Callable[[list[object]], object]) -> Operand:
    """One operand of several, constant if all of them are: `join` gives its value from theirs."""
    codes: list[Code] = [operand.code for operand in operands]

    def code(env: Environment) -> object:
        return join([plain(one(env)) for one in codes])

    parameters = frozenset[str]().union(*(o.parameters for o in operands))
    if all(operand.constant for operand in operands):
        return made_with(parameters, constant(code(NOWHERE), text))
    aged = frozenset[str]().union(*(o.ages for o in operands))
    return Operand(
        text,
        code,
        parameters=parameters,
        channels=frozenset().union(*(o.channels for o in operands)),
        ages=aged.difference(*(o.channels - o.ages for o in operands)),
        links=frozenset().union(*(o.links for o in operands)),
        data=frozenset().union(*(o.data for o in operands)),
        variables=frozenset().union(*(o.variables for o in operands)),
        timed=any(o.timed for o in operands),
        compared=frozenset().union(*(o.compared for o in operands)),
        changed=frozenset().union(*(o.changed for o in operands)),
        latches=frozenset().union(*(o.latches for o in operands)),
    )
