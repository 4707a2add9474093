"""All kinds of simulated IOCs side by side: what a client finds there, beside their docstrings."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from sim_helpers import Client, alive, running

from sim_iocs.fleet import FLEET, Fleet

STRING, SHORT, ENUM, CHAR, LONG, DOUBLE = 0, 1, 3, 4, 5, 6

TYPES = {
    "double": {DOUBLE},
    "double[]": {DOUBLE},
    "int": {SHORT, LONG},
    "int[2]": {LONG},
    "enum": {ENUM},
    "busy": {ENUM},
    "text": {CHAR},
    "string": {STRING},
}
"""By the word in the table; the column of another word says more than a type."""

ARRAYS = {"double[]", "int[2]", "text", "waveform"}

NAMED = {
    "motor": (r"Y\b", "X"),
    "subgroups": (r"\bM1:|CH1:", lambda found: found[0].replace("1", "0")),
    "macros": ("A:(1:)?", lambda found: "{station}:{axis}:" if found[1] else "{station}:"),
}
"""Where the text above the table says that one row stands for several: theirs to its name."""


@dataclass
class Row:
    """A row of a table, whose names may be patterns."""

    names: list[str]
    type: str
    unit: str

    @property
    def single(self) -> list[str]:
        """The names that are one PV each."""
        return [name for name in self.names if "*" not in name]


def docstring(kind: str) -> str:
    """Of the module; not imported, as each sets its process up for itself."""
    spec = importlib.util.find_spec(f"sim_iocs.{kind}")
    assert spec
    assert spec.origin
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""


def table(kind: str) -> list[Row]:
    cells = [line.split("|")[1:4] for line in docstring(kind).splitlines() if line[:1] == "|"]
    stripped = [[cell.strip() for cell in row] for row in cells[2:]]
    return [Row(list(names_of(name)), kind, unit) for name, kind, unit in stripped if name]


def names_of(cell: str) -> Iterator[str]:
    """`DO0 … DO7` are eight; `Ring:Current, …` all of the ring; `.LOLO` is of the record."""
    if found := re.fullmatch(r"(\D+)(\d) … \1(\d)", cell):
        yield from (f"{found[1]}{number}" for number in range(int(found[2]), int(found[3]) + 1))
        return
    first, *more = cell.split(", ")
    yield first
    for name in more:
        if name.startswith("."):
            yield first.rpartition(".")[0] + name
        else:
            yield re.sub(r"[^:.]+$", "*", first) if name == "…" else name


def as_named(kind: str, suffix: str) -> str:
    """A PV as its table names it."""
    return re.sub(*NAMED[kind], suffix) if kind in NAMED else suffix


@pytest.fixture(scope="module")
def all_kinds() -> Iterator[tuple[Fleet, Client]]:
    """One of each kind."""
    with running(*FLEET) as both:
        yield both


def test_all_kinds_start_side_by_side_and_list_their_pvs(all_kinds: tuple[Fleet, Client]) -> None:
    fleet, _ = all_kinds
    assert fleet.names == list(FLEET)
    for ioc in fleet:
        assert ioc.running
        assert ioc.pvs, ioc.name
        assert all(pv.startswith(FLEET[ioc.kind].prefix) for pv in ioc.pvs)
    assert len({ioc.port for ioc in fleet}) == len(fleet)
    assert "SIM:STAGE:X.RBV" in fleet.pvs


@pytest.mark.parametrize("kind", FLEET)
def test_the_table_of_a_simulated_ioc_names_what_it_serves_with_type_and_unit(
    all_kinds: tuple[Fleet, Client], kind: str
) -> None:
    rows = table(kind)
    assert rows, "no table"
    fleet, client = all_kinds
    ioc = fleet[kind]
    assert f"Prefix `{ioc.prefix}`" in docstring(kind)
    served = {as_named(kind, pv.removeprefix(ioc.prefix)): pv for pv in ioc.pvs}
    for row in rows:
        for name in row.single:
            # What is not listed is a field of a record, which caproto gives no units.
            found = client.info(served.get(name, f"{ioc.prefix}{name}"))
            where = f"{name}: {found}"
            assert found["type"] in TYPES.get(row.type, {found["type"]}), where
            assert (found["count"] > 1) == (row.type in ARRAYS), where
            if found["type"] == DOUBLE and name in served and row.type:
                assert found["units"] == row.unit, where
    names = [name for row in rows for name in row.names]
    text = docstring(kind)
    untold = [
        name
        for name in served
        if not any(fnmatchcase(name, each) for each in names)
        and not re.search(rf"(?<![\w.:]){re.escape(name)}(?![\w:])", text)
    ]
    assert untold == [], "served, and not in the docstring"


# The last one, as it ends them.
def test_a_clean_stop_of_any_kind_says_nothing_on_stderr_and_leaves_no_process(
    all_kinds: tuple[Fleet, Client],
) -> None:
    fleet, _ = all_kinds
    for ioc in fleet:
        pid, before = ioc.pid, ioc.errors
        assert pid
        assert before == "" or ioc.kind == "records", "only a C IOC tells of its start"
        ioc.terminate()
        assert (ioc.exit_code, ioc.errors) == (0, before), ioc.name
        assert not alive(pid)
