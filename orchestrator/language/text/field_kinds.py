"""The kinds of fields that steps have: what each accepts, and what it says of anything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    GetJsonSchemaHandler,
    PlainValidator,
    StrictStr,
    WithJsonSchema,
)

from orchestrator.errors import InputError
from orchestrator.language.expressions.functions import check_name
from orchestrator.language.names import suggestion
from orchestrator.language.text.findings import expected
from orchestrator.language.values.operations import described

Scalar: TypeAlias = bool | int | float | str
"""What a single value is in a document."""


_INT_BITS = 64


def _scalar(value: object) -> object:
    if isinstance(value, int) and value.bit_length() > _INT_BITS:  # from Python: YAML has fewer
        raise ValueError(f"{described(value)} is beyond 64 bits")
    if isinstance(value, bool | int | float | str):
        return value
    raise ValueError(expected("a single value", value))


def _value(value: object) -> object:
    if not isinstance(value, list):
        return _scalar(value)
    for element in value:
        if not isinstance(element, bool | int | float | str):
            raise ValueError(f"a list here holds single values, not {described(element)}")
    return tuple(value)


def _amount(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return value
        raise ValueError(f"expected a finite number, got {value!r}")
    if isinstance(value, str) and (value.startswith("=") or "$(" in value):
        return value
    raise ValueError(expected("a number, $(name) or =expression", value))


def _bound(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(expected("a number", value))
    return _amount(value)


def _choices(value: object) -> object:
    if isinstance(value, list) and value:
        return _value(value)
    raise ValueError(expected("a list of values", value))


def _timeout_or_none(value: object) -> object:
    if value == "none":
        return value
    try:
        return _amount(value)
    except ValueError as error:
        raise ValueError(f"{error} (or none, to wait for ever)") from error


def _several(value: object) -> object:
    """A list, or a string that gives one."""
    if isinstance(value, str) and (value.startswith("=") or "$(" in value):
        return value
    if isinstance(value, list) and value:
        return _value(value)
    if value == []:
        raise ValueError("is empty; give at least one value")
    raise ValueError(expected("a list, $(name) or =expression", value))


def _identifier(name: str) -> str:
    try:
        check_name(name)
    except InputError as error:
        raise ValueError(str(error)) from error
    return name


def _argument(name: str) -> str:
    if name.isidentifier():
        return name
    raise ValueError(f"{name!r} is no argument: letters, digits and _, beginning with a letter")


def _reference(name: object) -> object:
    """The name of a sequence or function."""
    if isinstance(name, str) and name.strip():
        return name
    raise ValueError(expected("a name", name) if name else "expected a name, got an empty text")


def one_word(*words: str, more: str = "") -> Callable[[object], object]:
    """A validator for one of a few words; `more`: what else may stand there, for the message."""

    def check(value: object) -> object:
        if value in words and isinstance(value, str):
            return value
        near = suggestion(value, words) if isinstance(value, str) else ""
        raise ValueError(f"expected {', '.join(words)}{more}, got {described(value)}{near}")

    return check


@dataclass(frozen=True, slots=True)
class OrValue:
    """Says in the JSON Schema that a single value may stand for the whole, a short form."""

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Called by pydantic."""
        return {"anyOf": [_SCALAR_SCHEMA, handler(core_schema)]}


@dataclass(frozen=True, slots=True)
class OrText:
    """Says in the JSON Schema that a text may stand for the whole, a short form."""

    description: str
    """What the text is."""
    word: str = ""
    """The only text allowed; empty = any."""

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Called by pydantic."""
        text = {"const": self.word} if self.word else {"type": "string", "minLength": 1}
        text["description"] = self.description
        return {"anyOf": [text, handler(core_schema)]}


# `x-kind`: what `schema.step_reference` calls it.
_SCALAR_SCHEMA = {"type": ["boolean", "number", "string"], "x-kind": "value"}
_LIST_SCHEMA = {"type": "array", "items": _SCALAR_SCHEMA}
_COMPUTED_SCHEMA = {"type": "string", "pattern": r"^=|\$\("}
_AMOUNT_SCHEMA = {"anyOf": [{"type": "number"}, _COMPUTED_SCHEMA], "x-kind": "number"}
_TIMEOUT_SCHEMA = {
    "anyOf": [{"type": "number"}, _COMPUTED_SCHEMA, {"const": "none"}],
    "x-kind": "number or `none`",
}
_SEVERAL_SCHEMA = {"anyOf": [_COMPUTED_SCHEMA, _LIST_SCHEMA | {"minItems": 1}], "x-kind": "list"}

OneValue: TypeAlias = Annotated[Scalar, PlainValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
"""A scalar, `$(name)` or `=expression`."""
AnyValue: TypeAlias = Annotated[
    Scalar | tuple[Scalar, ...],
    PlainValidator(_value),
    WithJsonSchema({"anyOf": [_SCALAR_SCHEMA, _LIST_SCHEMA]}),
]
"""The same, or a list of them."""
Several: TypeAlias = Annotated[
    str | tuple[Scalar, ...],
    PlainValidator(_several),
    WithJsonSchema(_SEVERAL_SCHEMA),
]
"""A list of scalars, `$(name)` or `=expression`."""
Amount: TypeAlias = Annotated[
    float | int | str, PlainValidator(_amount), WithJsonSchema(_AMOUNT_SCHEMA)
]
"""A number, `$(name)` or `=expression`; durations are in seconds."""
WaitTimeout: TypeAlias = Annotated[
    float | int | str, PlainValidator(_timeout_or_none), WithJsonSchema(_TIMEOUT_SCHEMA)
]
"""The same, or `none`."""
Identifier: TypeAlias = Annotated[StrictStr, AfterValidator(_identifier)]
"""A name that expressions can use."""
Argument: TypeAlias = Annotated[StrictStr, AfterValidator(_argument)]
"""The name of another sequence's or a function's parameter."""
Reference: TypeAlias = Annotated[
    str, PlainValidator(_reference), WithJsonSchema({"type": "string", "minLength": 1})
]
"""The name of a sequence or function."""

Bound: TypeAlias = Annotated[
    float | int, PlainValidator(_bound), WithJsonSchema({"type": "number"})
]
"""A finite number that must be known at once."""
Choices: TypeAlias = Annotated[
    tuple[Scalar, ...], PlainValidator(_choices), WithJsonSchema(_LIST_SCHEMA | {"minItems": 1})
]
"""The values allowed."""
