"""Modules with sequences and functions; a broken one takes down itself alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.config import Config
from orchestrator.engine.sequences.library import library_of
from orchestrator.engine.sequences.registry import load
from orchestrator.errors import CheckError, InputError
from orchestrator.types import RunRequest

GOOD = """
from orchestrator import Run, function, sequence

@sequence
async def {name}(run: Run) -> None: ...

@function
def add_{name}(a: float) -> float:
    return a + 1
"""
HEAD = "from orchestrator import Run, sequence\n"
BROKEN = {
    "syntax": ("def broken(:\n", "{file}:1: SyntaxError"),
    "at_import": ("x = 1\ny = x / 0\n", "{file}:2: ZeroDivisionError: division by zero"),
    "missing": ("import there_is_no_such_module\n", "{file}:1: ModuleNotFoundError"),
    "by_us": (
        HEAD + "@sequence\ndef plain(run: Run) -> None: ...\n",
        "{file}:2: TypeError: ",
    ),
    "in_a_library": ("import json\njson.loads('{')\n", "{file}:2: JSONDecodeError"),
    "by_another": ("import helper_of_plans\n", "helper_of_plans.py:2: KeyError: 'a'"),
    "leaves": ("import sys\nsys.exit(3)\n", "{file}:2: SystemExit: 3"),
    "base": ("class Own(BaseException): ...\nraise Own('no')\n", "{file}:2: Own: no"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.startswith(("plans_", "helper_of"))]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "helper_of_plans.py").write_text("d = {}\nd['a']\n")
    for name in ("one", "two"):
        (tmp_path / f"plans_{name}.py").write_text(GOOD.format(name=name))
    return tmp_path


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_module_takes_down_itself_alone_and_is_told_with_its_line(
    folder: Path, kind: str
) -> None:
    text, told = BROKEN[kind]
    file = folder / f"plans_{kind}.py"
    file.write_text(text)
    registry = load(["plans_one", f"plans_{kind}", "plans_two"], folder)
    assert set(registry.sequences) == {"one", "two"}
    assert set(registry.functions) == {"add_one", "add_two"}
    [(module, why)] = registry.broken.items()
    assert module == f"plans_{kind}"
    assert why.startswith(f"plans_{kind} can't be imported: ")
    assert told.format(file=file) in why


def test_a_module_that_is_not_there_is_told_by_its_name(folder: Path) -> None:
    registry = load(["plans_none", "plans_one"], folder)
    assert set(registry.sequences) == {"one"}
    assert registry.broken == {
        "plans_none": "plans_none can't be imported: "
        "ModuleNotFoundError: No module named 'plans_none'"
    }


def test_of_two_modules_with_one_name_the_second_is_left_out_as_a_whole(folder: Path) -> None:
    again = folder / "plans_again.py"
    again.write_text(GOOD.format(name="other") + GOOD.format(name="one"))
    registry = load(["plans_one", "plans_again"], folder)
    assert set(registry.sequences) == {"one"}
    assert registry.sequences["one"].__module__ == "plans_one"
    why = registry.broken["plans_again"]
    assert why.startswith(f"plans_again is left out: {again}:13: there are two sequences 'one', ")
    assert why.endswith("and one of plans_one")


def test_what_one_module_imports_from_another_is_no_clash(folder: Path) -> None:
    (folder / "plans_again.py").write_text("from plans_one import one\n")
    registry = load(["plans_one", "plans_again"], folder)
    assert (set(registry.sequences), registry.broken) == ({"one"}, {})


def test_who_misses_what_a_broken_module_had_is_told_why(folder: Path) -> None:
    (folder / "plans_syntax.py").write_text("def broken(:\n")
    config = Config(python=("plans_syntax", "plans_one"), file=folder / "orchestrator.toml")
    library = library_of(config)
    assert library.load(RunRequest(0, "one", "", "", {})).name == "one"
    why = "plans_syntax can't be imported: "
    with pytest.raises(InputError, match="there is no sequence 'scan'") as missing:
        library.load(RunRequest(0, "scan", "", "", {}))
    assert why in str(missing.value)
    for step in ("call: nearest", "run: scan"):
        with pytest.raises(CheckError) as refused:
            library.load(RunRequest(0, "", f"steps: [{{{step}}}]", "a.yaml", {}))
        assert why in str(refused.value)
    assert library.load(RunRequest(0, "", "steps: [{run: one}]", "a.yaml", {})).steps
