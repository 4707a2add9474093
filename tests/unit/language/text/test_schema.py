"""The JSON Schema of documents and the reference of steps."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.errors import CheckError
from orchestrator.language.text.document import parse
from orchestrator.language.text.schema import document_reference, json_schema, step_reference
from orchestrator.language.text.steps import VERBS
from orchestrator.language.text.tree import read
from tests.unit.language.text.test_document import ALIGN

SCHEMA = json_schema()

EVERYTHING = """
name: everything
description: Every step in every form.
parameters:
  a: 1
  b: {default: X, choices: [X, Y], description: which}
  c: {type: float, min: 0, max: 1.5, units: mm}
timeout: =60*a
suspend:
  beam: {when: ring.current < 50, resume: ring.current > 80, settle: 5, rewind: checkpoint}
steps:
  - set: {pv: a:b, value: [1, 2], readback: a:c, readback_value: Open, tolerance: $(c), settle: 1,
          completion: false, accept_restart: true, accept_invalid: true, timeout: 5}
  - set: {all: [{pv: a:b, value: true}], timeout: =a}
  - wait: {pv: a:b, not: 5, tolerance: 1, hold: 1, edge: true, timeout: none}
  - wait: {pv: a:b, in: [1, Open], timeout: 5, accept_invalid: true}
  - wait: {pv: a:b, between: "$(two)", timeout: 5}
  - wait: {until: a > 1, timeout: 5}
  - delay: 1
  - sample: a:b
  - sample: [a:b, a:c]
  - sample: {channels: [a:b], fresh: false, missing: nan, timeout: 1}
  - let: {x: 1, y: "x + 1", z: [1, 2]}
  - loop: {pv: a:b, from: 0, to: $(a), step: 0.1, serpentine: true, as: p}
    do: [checkpoint]
  - loop: {values: =data('a:b'), as: v}
    do: [{checkpoint: here}]
  - loop: {count: 3}
    do: [{ask: go on?}]
  - loop: {while: a > 1}
    do: [{log: 5}]
  - parallel: [{delay: 1}, {group: [{delay: 2}]}]
    name: both
  - if: a > 1
    then: [{call: fit}]
    else: [{call: {function: fit, args: {x: [1, 2]}, timeout: none, as: r}}]
  - run: align
    on_error: continue
    on_disconnect: wait
  - run: {sequence: align, args: {start: =a}}
    on_error: {retry: 3, delay: 1}
  - delay: 1
    on_error: [{log: no}, checkpoint]
finally:
  - log: done
"""


class InvalidError(Exception):
    """A value is not valid by the schema."""


def validate(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    """The keywords of JSON Schema 2020-12 that we use; any other one is an error."""
    for keyword, wanted in schema.items():
        if not CHECKS[keyword](value, wanted, schema, root):
            raise InvalidError(f"{value!r} against {keyword}: {wanted!r}")


def is_valid(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    try:
        validate(value, schema, root)
    except InvalidError:
        return False
    return True


def has_type(value: Any, names: str | list[str]) -> bool:
    types = {
        "string": str, "boolean": bool, "number": (int, float), "integer": int, "array": list,
        "object": dict,
    }  # fmt: skip
    return any(
        isinstance(value, types[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in ([names] if isinstance(names, str) else names)
    )


def resolved(ref: str, root: dict[str, Any]) -> dict[str, Any]:
    return root["$defs"][ref.removeprefix("#/$defs/")]


def properties(value: Any, wanted: dict[str, Any], root: dict[str, Any]) -> bool:
    if isinstance(value, dict):
        for key in value.keys() & wanted.keys():
            validate(value[key], wanted[key], root)
    return True


def additional(value: Any, wanted: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    rest = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else ()
    if wanted is False:
        return not rest
    return all(is_valid(value[key], wanted, root) for key in rest)


CHECKS: dict[str, Any] = {
    "type": lambda v, w, s, r: has_type(v, w),
    "const": lambda v, w, s, r: v == w and type(v) is type(w),
    "enum": lambda v, w, s, r: v in w,
    "pattern": lambda v, w, s, r: not isinstance(v, str) or re.search(w, v) is not None,
    "minLength": lambda v, w, s, r: not isinstance(v, str) or len(v) >= w,
    "minItems": lambda v, w, s, r: not isinstance(v, list) or len(v) >= w,
    "minProperties": lambda v, w, s, r: not isinstance(v, dict) or len(v) >= w,
    "required": lambda v, w, s, r: not isinstance(v, dict) or set(w) <= v.keys(),
    "items": lambda v, w, s, r: not isinstance(v, list) or all(is_valid(i, w, r) for i in v),
    "properties": lambda v, w, s, r: properties(v, w, r),
    "additionalProperties": additional,
    "anyOf": lambda v, w, s, r: any(is_valid(v, one, r) for one in w),
    "oneOf": lambda v, w, s, r: sum(is_valid(v, one, r) for one in w) == 1,
    "$ref": lambda v, w, s, r: is_valid(v, resolved(w, r), r),
    **dict.fromkeys(
        ("description", "default", "title", "$defs", "$schema"), lambda v, w, s, r: True
    ),
}


def holds(text: str) -> bool:
    return is_valid(read(text, "a.yaml").value, SCHEMA, SCHEMA)


@pytest.mark.parametrize("text", [ALIGN, EVERYTHING])
def test_what_is_a_sequence_is_valid_by_the_schema(text: str) -> None:
    parse(text)
    validate(read(text, "a.yaml").value, SCHEMA, SCHEMA)


@pytest.mark.parametrize(
    "step",
    [
        "set: {pv: a:b}",
        "set: {pv: a:b, value: 1, tmeout: 5}",
        "set: {all: []}",
        "wait: {pv: a:b, above: 1}",
        "wait: {pv: a:b, above: 1, timeout: never}",
        "delay: soon",
        "sample: []",
        "sample: {channels: [a:b], missing: zero}",
        "let: {}",
        "{loop: {count: 3}}",
        "{loop: {values: []}, do: [checkpoint]}",
        "parallel: []",
        "{if: a, then: []}",
        "call: {args: {a: 1}}",
        "run: ''",
        "chekpoint",
        "{delay: 1, on_error: contine}",
        "{delay: 1, on_error: {delay: 1}}",
        "{delay: 1, on_disconnect: maybe}",
        "{delay: 1, log: a}",
        "name: x",
    ],
)
def test_what_is_no_step_is_not_valid_by_the_schema(step: str) -> None:
    text = f"steps:\n  - {step}\n"
    with pytest.raises(CheckError):
        parse(text)
    assert not holds(text)


def test_the_schema_has_no_nulls_which_documents_never_hold() -> None:
    assert "null" not in str(SCHEMA).lower()


def fields(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in {"Document": schema, **schema["$defs"]}.items():
        for field, given in definition.get("properties", {}).items():
            yield f"{name}.{field}", given


def test_every_field_says_what_it_means() -> None:
    silent = [name for name, given in fields(SCHEMA) if not given.get("description")]
    assert silent == []


def test_the_reference_has_every_verb_and_every_field() -> None:
    rows = step_reference()
    verbs = [row for row in rows if row.step and not row.field]
    assert [row.step for row in verbs] == list(VERBS)
    found = {(row.step, row.field) for row in rows}
    assert {
        ("set", "all[].pv"), ("wait", "not"), ("wait", "hold"), ("loop", "from"), ("loop", "while"),
        ("loop", "do"), ("if", "else"), ("call", "as"), ("run", "args"), ("", "name"),
        ("", "on_error"), ("", "on_error.retry"), ("", "on_disconnect"),
    } <= found  # fmt: skip
    assert len(found) == len(rows)
    assert all(row.text and row.kind and "\n" not in row.text for row in rows)


def test_a_row_tells_kind_and_default_as_they_are_written() -> None:
    rows = {(row.step, row.field): row for row in step_reference()}
    told = {key: (row.kind, row.default) for key, row in rows.items()}
    assert told["set", "completion"] == ("true or false", "true")
    assert told["set", "value"] == ("value or list", "required")
    assert told["set", "timeout"] == ("number", "10")
    assert told["wait", "timeout"] == ("number or `none`", "required")
    assert told["sample", ""] == ("text or list or mapping", "required")
    assert told["parallel", ""] == ("list of steps", "required")
    assert told["", "on_error"] == (
        "`abort` or `continue` or mapping or list of steps",
        "abort",
    )


def test_the_fields_of_a_document_have_rows_as_well() -> None:
    rows = {row.field: row for row in document_reference()}
    assert {
        "name", "steps", "finally", "timeout", "parameters", "parameters.NAME.min", "suspend",
        "suspend.NAME.when",
    } <= rows.keys()  # fmt: skip
    assert rows["steps"].default == "required"
    assert rows["suspend.NAME.rewind"].kind == "`checkpoint`"
