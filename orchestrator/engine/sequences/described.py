"""A sequence as those are told of it who want to run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.sequences.library import Library
from orchestrator.language.text.document import Parameter, parse

_JSON_TYPES = {
    "float": "number",
    "number": "number",
    "int": "integer",
    "str": "string",
    "bool": "boolean",
}


def described(library: Library, name: str) -> dict[str, Any]:
    """Its name, language, description and text, and the JSON Schema of its arguments.

    Reads a file: not for the event loop.

    Raises:
        InputError: There is none of that name, or its file is wrong.
    """
    signature = library.python(name)
    if signature is not None:
        source = library.python_source(name)
        facts = {"language": "python", "text": source.text, "origin": source.origin}
        description, parameters = signature.description, signature.parameters
    else:
        text, origin = library.source(name)
        document = parse(text, origin)
        facts = {"language": "yaml", "text": text, "origin": origin}
        description, parameters = document.description, document.parameters
    return {"name": name, "description": description, **facts, "arguments": _schema(parameters)}


def _schema(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _property(p) for name, p in parameters.items()},
        "required": [name for name, p in parameters.items() if p.default is None],
        "additionalProperties": False,
    }


def _property(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if kind := _JSON_TYPES.get(parameter.kind):
        told["type"] = kind
    named = {
        "default": parameter.default,
        "minimum": parameter.min,
        "maximum": parameter.max,
        "description": parameter.description or None,
        "units": parameter.units or None,
        "enum": None if parameter.choices is None else list(parameter.choices),
    }
    return told | {key: value for key, value in named.items() if value is not None}
