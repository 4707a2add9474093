"""What is published is declared once: nobody else types the name of a field."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import orchestrator
from orchestrator.types import Field, NativeType, fields

HOUSE = Path(orchestrator.__file__).parent

NAMES = frozenset(field.name for field in fields.ALL)
KEYS = frozenset(map(str, fields.ALL))

ALSO = {
    ("types/fields.py", ""): "the catalogue",
    ("ioc/device/", ""): "the kit's device groups have queues, and PVs, of their own",
    ("bench/", ""): "from outside the service is read by the names of PVs, as any client does",
    ("__init__.py", "EVENTS"): "the name of a filter of `api`",
    ("types/values.py", "STATE"): "an alarm condition of EPICS",
    ("", "run_id"): "an attribute of every event of a run, and so its key in JSON",
    ("", "data_file"): "an attribute of `RunEnded`, a column of the index",
}
"""Where a text may stand that is a field's name, and why: by file or folder, and text (all)."""


def typed(source: str) -> Iterator[tuple[int, str]]:
    """Lines at which a field's name is typed.

    Names of PVs, and keys of several words, wherever they stand alone in a text. Of other keys, and
    the two PVs in small letters, which are words of many meanings, where a field is meant.
    """
    tree = ast.parse(source)
    meant = set(_meant(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
            distinct = name in NAMES and not name.islower()
            distinct |= name in KEYS and "_" in name
            if distinct or (node in meant and name in NAMES | KEYS):
                yield node.lineno, name


def _meant(tree: ast.AST) -> Iterator[ast.expr]:
    """What stands in the place of a field: `Update(…)`, `update.field == …`, `values[…]`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("Update" | "shown"), args=[first, *_]):
                yield first
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(isinstance(s, ast.Attribute) and s.attr == "field" for s in sides):
                    yield from sides
            case ast.MatchClass(cls=ast.Name("Update"), kwd_patterns=patterns):
                yield from (p.value for p in patterns if isinstance(p, ast.MatchValue))
            case ast.Subscript(value=ast.Attribute(attr="values"), slice=key):
                yield key
            case _:
                pass


def _may(file: str, name: str) -> bool:
    return any(
        name == (text or name) and (file.startswith(place) or file.endswith(place))
        for place, text in ALSO
    )


def test_no_field_is_named_outside_the_catalogue() -> None:
    found = []
    for path in sorted(HOUSE.rglob("*.py")):
        file = path.relative_to(HOUSE).as_posix()
        names = typed(path.read_text(encoding="utf-8"))
        found += [f"{path}:{line}: {name!r}" for line, name in names if not _may(file, name)]
    assert not found, "of `orchestrator.types.fields`, not typed again:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('x = 1\ny = "BUSY"', 2),
        ('put("P:" + "CHAIN:COUNT")', 1),
        ('key = "step_name"', 1),
        ('Update(\n  "busy", 1)', 2),
        ('if update.field == "data":\n  pass', 1),
        ('match u:\n  case Update(field="message"):\n    pass', 2),
        ('service.values["message"]', 1),
        ('shown("state", run)', 1),
    ],
)
def test_a_name_that_is_typed_again_is_found_with_its_line(source: str, line: int) -> None:
    assert [at for at, _ in typed(source)] == [line]


@pytest.mark.parametrize(
    "source", ['verb = "start"', '"""BUSY is 1."""', 'row["values"]', "busy = 1"]
)
def test_a_word_of_another_meaning_is_none(source: str) -> None:
    assert not list(typed(source))


def test_every_exception_is_needed() -> None:
    for place, text in ALSO:
        files = [p for p in HOUSE.rglob("*.py") if place in p.relative_to(HOUSE).as_posix()]
        names = {name for path in files for _, name in typed(path.read_text(encoding="utf-8"))}
        assert names & ({text} if text else NAMES | KEYS), (place, text)


# The catalogue itself -----------------------------------------------------------------------------


def test_a_field_stands_in_the_catalogue_under_its_key() -> None:
    constants = {name: field for name, field in vars(fields).items() if isinstance(field, Field)}
    assert {name.lower(): field for name, field in constants.items()} == {
        str(field): field for field in fields.ALL
    }
    assert len(NAMES) == len(KEYS) == len(fields.ALL)


def test_the_page_about_merging_names_the_fields_whose_edges_count() -> None:
    page = (HOUSE.parent / "docs/explanations/the-ring.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.endswith("clients wait for their edges |")]
    assert set(re.findall("`(.*?)`", row)) == {field.name for field in fields.ALL if field.edge}


def test_what_a_field_shows_first_is_of_its_type() -> None:
    for field in fields.ALL:
        known, first = field.metadata, field.first
        if known.text or known.labels:
            assert isinstance(first, str), field
            assert not known.labels or first in known.labels
        elif known.count == 1:
            assert isinstance(first, int if known.native is NativeType.LONG else float), field
        elif field not in (fields.MON, fields.OWN):
            assert isinstance(first, np.ndarray), field
            assert not first.flags.writeable


def test_a_field_is_its_key_for_others_and_has_a_pv_for_each_ioc_or_channel() -> None:
    assert json.dumps({fields.STEP_NAME: fields.BUSY}) == '{"step_name": "busy"}'
    assert {fields.BUSY: 1}["busy"] == 1
    assert fields.CHAIN_COUNT.pv() == "CHAIN:COUNT"
    assert fields.CHAIN_STATUS.pv("stage") == "CHAIN:stage:STATUS"
    assert fields.MON_BUF.pv("stage.x.y") == "MON:stage:x:y:BUF"
    assert (str(fields.MON), str(fields.DATA), str(fields.MON_BUF)) == ("mon", "data", "mon_buf")
    assert [f.is_of_channel for f in (fields.MON, fields.CHAIN_STATUS, fields.BUSY)] == [
        True, False, False,
    ]  # fmt: skip
    assert [f.is_of_ioc for f in (fields.MON, fields.CHAIN_STATUS, fields.BUSY)] == [
        False, True, False,
    ]  # fmt: skip


def test_a_text_holds_one_byte_less_than_its_pv_which_ends_with_a_nul() -> None:
    assert (fields.CMD.most, fields.LOOP_INDEX.most) == (65_535, 64)
