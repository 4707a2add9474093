"""The examples in the docstrings of what is public say what is so."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim_iocs.testing import Fleet, Service
from tests.pages import ROOT

PUBLIC = ("orchestrator", "orchestrator.ioc", "sim_iocs.testing")
NOT_MADE_BY_HAND = {
    "orchestrator": {"Api", "Service", "Subscription"},
    "orchestrator.ioc": {"GroupFactory", "IocServer", "Put"},
    "sim_iocs.testing": {
        *("Check", "Command", "Event", "Finding", "Monitor", "Outcome", "Pending"),
        *("Replayed", "ReplayedRun", "Run", "SimIoc"),
    },
}
"""What others return, or a type's name: it needs no example of its own."""


def examples() -> Iterator[doctest.DocTest]:
    """Those of each public name, its methods' too; each knows what it imports itself only."""
    finder, seen = doctest.DocTestFinder(exclude_empty=True), set()
    for module in PUBLIC:
        package = importlib.import_module(module)
        for name in package.__all__:
            globs = {"__name__": "example"}
            for found in finder.find(getattr(package, name), f"{module}.{name}", globs=globs):
                if found.examples and (found.filename, found.lineno) not in seen:
                    seen.add((found.filename, found.lineno))
                    yield found


EXAMPLES = list(examples())
SEQUENCES = {
    name: found
    for found in EXAMPLES
    for name in re.findall(r"@sequence\n.*async def (\w+)", found.docstring)
}
"""By the name of the sequence."""


def name_of(example: doctest.DocTest) -> str:
    return example.name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's, with the files that the examples name."""
    shutil.copy(ROOT / "tests/journals/pause_and_samples.jsonl", tmp_path / "night.jsonl")
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences/there.yaml").write_text(
        "name: there\nparameters: {x: {default: 0.0}}\n"
        "steps: [set: {pv: stage.x, value: $(x), timeout: 30}]\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failures(example: doctest.DocTest) -> str:
    """What it does not give as it says; empty = it does."""
    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=told.append, clear_globs=False)
    return "".join(told)


ALONE = """
import sys
import structlog
from tests.system.docs.test_docstrings import EXAMPLES, failures

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # else to stdout
sys.exit(failures(next(each for each in EXAMPLES if each.name == sys.argv[1])) or 0)
"""
"""A service loads libca, which reads its environment once a process: so it has one of its own."""


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_gives_what_it_says(example: doctest.DocTest, folder: Path) -> None:
    if "open_service" not in example.docstring:
        assert failures(example) == ""
        return
    environment = os.environ | {"PYTHONPATH": str(ROOT), "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    with (folder / "said").open("w") as said:  # no pipe: a CA repeater would inherit it
        command = [sys.executable, "-c", ALONE, example.name]
        done = subprocess.run(command, env=environment, stdout=said, stderr=said, timeout=60)
    assert done.returncode == 0, (folder / "said").read_text()


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_used_in_an_example(module: str) -> None:
    package = importlib.import_module(module)
    sources = "".join(each.source for found in EXAMPLES for each in found.examples)
    imported = {
        name.strip()
        for line in sources.splitlines()
        if line.startswith(f"from {module} import ")
        for name in line.partition(" import ")[2].split(",")
    }
    errors = {name for name in package.__all__ if name.endswith("Error")}
    assert set(package.__all__) - errors - imported == NOT_MADE_BY_HAND.get(module, set())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that has the sequences of the docstrings, and the channels that they name."""
    modules = tmp_path_factory.mktemp("modules")
    for name, found in SEQUENCES.items():
        source = "".join(each.source for each in found.examples)
        (modules / f"docstring_{name}.py").write_text(source)
    names = [f"docstring_{name}" for name in SEQUENCES]
    config = ROOT / "examples/orchestrator.toml"
    header = next(line for line in config.read_text().splitlines() if "orchestrator sim" in line)
    with (
        Fleet(header.split("sim")[1].split()) as fleet,
        Service(fleet, config=config, python=names, path=[modules]) as service,
    ):
        yield service


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_of_a_docstring_runs(service: Service, name: str) -> None:
    outcome = service.run(name)
    assert outcome.status == "Success", outcome.message
