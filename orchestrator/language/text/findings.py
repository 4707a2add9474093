"""What pydantic finds wrong, in the words of someone who wrote the file."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from orchestrator.language.names import suggestion
from orchestrator.language.values.operations import described
from orchestrator.syntax_trees import syntax_tree
from orchestrator.types import Path


class Strict(BaseModel):
    """A frozen model that knows its fields, and tells an error's message of them."""

    # Built when first used: each step may hold all others, so that building every model by itself
    # would cost each command that reads a configuration some hundred ms. For the same reason the
    # texts below the fields are left to `schema`, which reads them where they are asked for.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _remember_fields(cls, data: object, info: ValidationInfo) -> object:
        """Note which fields this mapping may have: the error of an unknown one doesn't say."""
        if isinstance(data, dict) and isinstance(info.context, dict):
            fields = cls.model_fields.items()
            info.context[id(data)] = [field.alias or name for name, field in fields]
        return data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Called by pydantic: the text below each field is its description."""
        schema = handler(core_schema)
        texts = field_texts(cls)
        for field, told in handler.resolve_ref_schema(schema).get("properties", {}).items():
            if field in texts:
                told["description"] = texts[field]
        return schema


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each field of a model in its source, by the field as it is written."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, Strict):
            texts |= _own_texts(base)
    fields = model.model_fields.items()
    return {field.alias or name: texts[name] for name, field in fields if name in texts}


@cache  # to find a class in its file takes 10 ms, and most models have the same bases
def _own_texts(model: type[Strict]) -> dict[str, str]:
    """What stands below the fields that a model does not inherit, by their names."""
    (definition,) = syntax_tree(dedent(inspect.getsource(model))).body
    texts = {}
    for field, text in pairwise(cast(ast.ClassDef, definition).body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(words))):
                texts[name] = words
    return texts


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a tree of mappings and lists."""

    path: Path
    """The mapping, list or value that the message is about."""
    about: Path
    """The same, or the field of it that is missing, unknown or misnamed."""
    text: str
    """What is wrong and what would be right."""
    at_key: bool = False
    """Whether it is the key that is wrong rather than its value."""


def validate(
    model: type[BaseModel], value: object, *, noun: str = "field"
) -> tuple[Any, list[Mistake]]:
    """Make a `model` of a tree, or tell everything that is wrong with it.

    Args:
        model: What it should be.
        value: Mappings, lists and scalars.
        noun: What an entry of a mapping is called in messages.

    Returns:
        The model (None if anything is wrong), and the mistakes.
    """
    fields: dict[int, list[str]] = {}
    try:
        return model.model_validate(value, context=fields), []
    except ValidationError as error:
        return None, list(_mistakes(error, value, fields, noun))


def _mistakes(
    error: ValidationError, root: object, fields: Mapping[int, list[str]], noun: str
) -> Iterator[Mistake]:
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if not _is_tag(part))
        kind, given = detail["type"], detail["input"]
        if kind == "too_short" and given:
            continue  # it is not empty: its elements are wrong, and told each by itself
        if path and path[-1] == "[key]":
            yield Mistake(path[:-2], path[:-1], _message(kind, given, detail), at_key=True)
        elif kind == "extra_forbidden":
            key = str(path[-1])
            text = f"unknown {noun} {key!r}{_hint(key, root, path, fields, noun)}"
            yield Mistake(path[:-1], path, text, at_key=True)
        elif kind == "missing":
            yield Mistake(path[:-1], path, f"needs {path[-1]!r}{_NEEDED.get(path[-1], '')}")
        else:
            text = _message(kind, given, detail)
            if kind in _MAPPINGS and path and path[-1] in _EXAMPLES:
                text = text.replace("a mapping", f"a mapping such as {_EXAMPLES[path[-1]]}", 1)
            yield Mistake(path, path, text)


def _hint(key: str, root: object, path: Path, fields: Mapping[int, list[str]], noun: str) -> str:
    """Where an unknown field belongs: a level further in or out, or under another name."""
    around: Any = _at(root, path[:-1])
    for name, inner in around.items():
        if isinstance(inner, dict) and key in fields.get(id(inner), ()):
            return f"; it belongs into the braces of {name!r}"
    if len(path) > 1 and key in fields.get(id(_at(root, path[:-2])), ()):
        return f"; it belongs beside {path[-2]!r}, not into it"
    known = set(fields.get(id(around), ()))
    for meant in _MEANT.get(key.casefold(), ()):
        if meant in known:
            return f"; did you mean {meant!r}?"
    return suggestion(key, known, kind=f"{noun}s")


def _is_tag(part: int | str) -> bool:
    """Whether it is the tag of a discriminated union rather than a part of the tree."""
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def _at(root: object, path: Path) -> object:
    value: Any = root
    for part in path:
        value = value[part]
    return value


_MEANT: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("times", "repeat", "repetitions"), ("count",)),
    **dict.fromkeys(("start", "begin", "first", "lower"), ("from",)),
    **dict.fromkeys(("stop", "end", "last", "upper"), ("to",)),
    **dict.fromkeys(("n", "points", "npts", "number", "steps"), ("num",)),
    **dict.fromkeys(("delta", "increment", "inc", "stepsize"), ("step",)),
    **dict.fromkeys(("positions", "list", "in"), ("values",)),
    **dict.fromkeys(("to", "position", "setpoint", "target", "val"), ("value",)),
    **dict.fromkeys(("channel", "name", "device", "motor"), ("pv",)),
    **dict.fromkeys(("equal", "eq", "is", "value"), ("equals",)),
    **dict.fromkeys(("greater", "gt", "over"), ("above",)),
    **dict.fromkeys(("less", "lt", "under"), ("below",)),
}
"""What others call a field, though it is not spelt alike; the first that there is."""

_NEEDED: Mapping[int | str, str] = {"timeout": " (s, or none to wait for ever)"}
_MAY_BE_LEFT_OUT = ("finally", "else", "on_error")

_MAPPINGS = ("dict_type", "model_type", "model_attributes_type")
_EXAMPLES: Mapping[int | str, str] = {
    "set": "{pv: stage.x, value: 1}",
    "wait": "{pv: stage.x, above: 1, timeout: 10} or {until: …, timeout: 10}",
    "loop": "{count: 3}",
}

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
}


def _message(kind: str, given: object, detail: Any) -> str:
    if kind in _EXPECTED:
        return expected(_EXPECTED[kind], given)
    if kind == "too_short":
        left_out = ", or leave it out" if detail["loc"][-1] in _MAY_BE_LEFT_OUT else ""
        return f"is empty; give at least one{left_out}"
    if kind in _BOUNDS:
        bound = next(iter(detail["ctx"].values()))
        return f"has to be {_BOUNDS[kind]} {bound}, not {given!r}"
    if kind == "literal_error":
        return expected(detail["ctx"]["expected"], given)
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    return str(detail["msg"])


def expected(wanted: str, given: object) -> str:
    """What to say of a value of the wrong type."""
    if isinstance(given, dict):
        quote = "; text that begins with { needs quotes" if wanted == "text" else ""
        return f"expected {wanted}, got a mapping{quote}"
    quote = "; put it into quotes" if wanted == "text" and _is_scalar(given) else ""
    return f"expected {wanted}, got {described(given)}{quote}"


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float)
