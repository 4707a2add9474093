"""What can be asked over HTTP, by the OpenAPI document that the service serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.web.app import bare_app
from writers.markdown import code, part, table

_TITLES = {
    "sequences": "Sequences",
    "runs": "Runs",
    "queue": "The queue",
    "channels": "Channels",
    "service": "The service",
}
"""By tag, in the order of the page."""


def http() -> Iterator[str]:
    """Every request, and what is sent and answered."""
    yield from (*part("http"), "")
    document = bare_app().openapi()
    schemas = document["components"]["schemas"]
    for tag, title in _TITLES.items():
        yield from (f"## {title}", "")
        for path, verbs in document["paths"].items():
            for verb, operation in verbs.items():
                if operation["tags"][-1] == tag:
                    yield from _operation(f"{verb.upper()} {path}", operation)
    yield from ("## What is sent and answered", "")
    for name, schema in sorted(schemas.items()):
        if "properties" in schema and name not in _OF_FRAMEWORK:
            yield from (f"### {name}", "", schema.get("description", ""), "")
            yield from table(("key", "is", "meaning"), _properties(schema))


_OF_FRAMEWORK = ("HTTPValidationError", "ValidationError")


def _operation(title: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {code(title)}", "", operation["description"], "")
    if body := operation.get("requestBody"):
        sent = _kind(body["content"]["application/json"]["schema"])
        yield from (f"Takes {sent}.", "")
    for status, response in operation["responses"].items():
        if status.isdecimal() and status < "300":
            yield from (f"Answers {status}{_content(response)}.", "")
    rows = (
        (code(p["name"]), p["in"], _kind(p["schema"]), p.get("description", ""))
        for p in operation.get("parameters", ())
        if p["in"] != "path"
    )
    yield from table(("parameter", "in the", "is", "meaning"), rows)


def _content(response: Mapping[str, Any]) -> str:
    for kind, content in response.get("content", {}).items():
        schema = content.get("schema", {})
        return f", {_kind(schema)}" if kind == "application/json" and schema else f", {code(kind)}"
    return ", nothing in it"


def _properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, each in schema["properties"].items():
        needed = "" if name in required or "default" not in each else _default(each["default"])
        yield code(name), f"{_kind(each)}{needed}", each.get("description", "")


def _default(value: object) -> str:
    given = value not in (None, "", {}, [])
    return f"; {code(value)} unless given" if given else "; may be left out"


def _kind(schema: Mapping[str, Any]) -> str:
    """What a value is, in words."""
    match schema:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": several}:
            return " or ".join(_kind(each) for each in several)
        case {"enum": words}:
            return ", ".join(map(code, words))
        case {"const": word}:
            return code(word)
        case {"type": "array", "items": items}:
            return f"list: {_kind(items)}"
        case {"type": "array"}:
            return "list"
        case {"type": kind}:
            return _KINDS[kind]
    return "anything"


_KINDS = {
    "string": "text",
    "boolean": "`true`, `false`",
    "number": "number",
    "integer": "whole number",
    "object": "object",
    "null": "null",
}
