"""The language described for editors and for the generated reference, from its own models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic.json_schema import models_json_schema

from orchestrator.language.text.document import Document
from orchestrator.language.text.steps import VERBS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COMMON = ("name", "on_error", "on_disconnect")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of sequence documents.

    Every document that is accepted is valid by it; it does not say which fields exclude each other,
    nor anything of names and expressions.
    """
    cleaned = cast(dict[str, Any], _without_kinds(_described()))
    return {"$schema": DIALECT, "title": "Sequence of the orchestrator", **cleaned}


def _described() -> dict[str, Any]:
    """The schema with `x-kind`, a few words for the reference, beside some types."""
    models = [(model, "validation") for model in (Document, *VERBS.values())]
    refs, schema = models_json_schema(models, by_alias=True)  # type: ignore[arg-type]  # a Literal
    definitions = schema["$defs"]
    steps = {"oneOf": [refs[form, "validation"] for form in VERBS.values()]}
    words = [{"const": verb, "description": form.WORD} for verb, form in VERBS.items() if form.WORD]
    definitions["Steps"]["items"] = {"anyOf": [*words, steps]}
    document = definitions.pop(refs[Document, "validation"]["$ref"].rpartition("/")[2])
    return cast(dict[str, Any], _cleaned({"$defs": definitions, **document}))


def _without_kinds(schema: object) -> object:
    if isinstance(schema, list):
        return [_without_kinds(item) for item in schema]
    if isinstance(schema, dict):
        return {key: _without_kinds(value) for key, value in schema.items() if key != "x-kind"}
    return schema


def _cleaned(schema: object) -> object:
    """Without nulls, which documents have not, and without titles that repeat the field's name."""
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            # What stands here under `title` or `default` is a field of that name.
            result[key] = {name: _cleaned(field) for name, field in value.items()}
        elif key == "anyOf":
            result |= _alternatives([_cleaned(v) for v in value if v != {"type": "null"}])
        elif key != "title" and not (key == "default" and value is None):
            result[key] = " ".join(value.split()) if key == "description" else _cleaned(value)
    return result


def _alternatives(kinds: list[Any]) -> dict[str, Any]:
    return dict(kinds[0]) if len(kinds) == 1 else {"anyOf": kinds}


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of a step, for a table."""

    step: str
    """The verb; empty for the fields that all steps have, and those of a document."""
    field: str
    """The field as it is written: `timeout`, `all[].pv`; empty for what the verb itself holds."""
    kind: str
    """What it takes, in a few words."""
    default: str
    """Its default as it would be written, `required`, or empty where there is none."""
    text: str
    """What it means, on one line; of a verb itself what the step does."""


def step_reference() -> list[FieldRow]:
    """Every step and field, in the order of the documentation, from the models themselves."""
    definitions = _described()["$defs"]
    rows: list[FieldRow] = []
    for verb, model in VERBS.items():
        step = definitions[model.__name__]
        text = f"{step['description']} {step['properties'][verb].get('description', '')}".strip()
        rows.append(
            FieldRow(verb, "", _kind(step["properties"][verb], definitions), "required", text)
        )
        rows += _fields(verb, "", step["properties"][verb], definitions)
        beside = {k: v for k, v in step["properties"].items() if k not in (verb, *_COMMON)}
        required = step.get("required", ())
        inside = {row.field for row in rows if row.step == verb}
        for k, v in beside.items():
            shown = f"{k} (beside {verb})" if k in inside else k
            rows.append(_row(verb, shown, v, k in required, definitions))
    common = definitions[next(iter(VERBS.values())).__name__]["properties"]
    rows += [_row("", name, common[name], False, definitions) for name in _COMMON]
    return rows + _fields("", "on_error.", common["on_error"], definitions)


def document_reference() -> list[FieldRow]:
    """The fields of a document outside its steps: parameters, suspenders and the rest."""
    schema = _described()
    definitions = schema["$defs"]
    rows = []
    for name, field in schema["properties"].items():
        required = name in schema["required"]
        rows.append(_row("", name, field, required, definitions))
        inner = field.get("additionalProperties")
        rows += _fields("", f"{name}.NAME.", inner, definitions) if inner else []
    return rows


def _fields(
    verb: str, prefix: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> list[FieldRow]:
    """The fields of the mappings that may stand in a place, those in lists of mappings as well."""
    rows: dict[str, FieldRow] = {}
    for index, model in enumerate(_models(schema, definitions)):
        # Those of a second form are not required where the first one stands.
        required = model.get("required", ()) if index == 0 else ()
        for name, field in model["properties"].items():
            row = _row(verb, prefix + name, field, name in required, definitions)
            rows.setdefault(row.field, row)
            if field.get("type") == "array" and "$ref" in field["items"]:
                for inner in _fields(verb, f"{prefix}{name}[].", field["items"], definitions):
                    rows.setdefault(inner.field, inner)
    return list(rows.values())


def _models(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The mappings among the kinds that a place takes; not those of steps."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return [target] if "properties" in target else []
    kinds = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [model for kind in kinds for model in _models(kind, definitions)]


def _row(
    verb: str, name: str, field: Mapping[str, Any], required: bool, definitions: Mapping[str, Any]
) -> FieldRow:
    default = "required" if required else _written(field.get("default"))
    return FieldRow(verb, name, _kind(field, definitions), default, field.get("description", ""))


def _written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default in (None, "", {}, []) else str(default)


_TYPES = {
    "string": "text",
    "boolean": "true or false",
    "number": "number",
    "integer": "whole number",
    "array": "list",
    "object": "mapping",
}


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a place takes, in a few words."""
    if "x-kind" in schema:
        return str(schema["x-kind"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "list of steps" if name == "Steps" else _kind(definitions[name], definitions)
    kinds = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if kinds:
        return " or ".join(dict.fromkeys(_kind(kind, definitions) for kind in kinds))
    return _TYPES[schema["type"]]
