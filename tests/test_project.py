"""What development is done with: versions, hooks, continuous integration."""

from __future__ import annotations

import os
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PYTHONS = [each.split()[-1] for each in PROJECT["classifiers"] if ":: 3." in each]


# Versions -------------------------------------------------------------------------------------


def locked(python: str) -> dict[str, str]:
    """The exact version by package that a Python gets."""
    lines = (ROOT / "scripts/dev-constraints.txt").read_text().splitlines()
    found = {}
    for line in lines:
        if line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            assert name not in found, line
            (exact,) = requirement.specifier
            assert exact.operator == "==", line
            found[name] = exact.version
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_development_needs_has_an_exact_version(python: str) -> None:
    versions = locked(python)
    extras: dict[str, list[str]] = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + extras["dev"]
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            lines += [each for extra in requirement.extras for each in extras[extra]]
            continue
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{line}: run scripts/lock"
        assert version in requirement.specifier, f"{line}: run scripts/lock"


# Checks ---------------------------------------------------------------------------------------


def test_the_hooks_run_what_lint_runs_and_fetch_nothing() -> None:
    lint = (ROOT / "scripts/lint").read_text()
    commands = re.findall(r'^"\$venv/bin/([\w-]+)"(.*)$', lint, re.MULTILINE)
    (local,) = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    entries = [hook["entry"] for hook in local["hooks"]]
    assert entries == [f".venv/bin/{program}{arguments}" for program, arguments in commands]


@pytest.mark.parametrize(
    "file",
    ["scripts/lock", ".ci/matrix", "examples/ci/github-actions.yml", "examples/ci/gitlab-ci.yml"],
)
def test_every_supported_python_is_tried(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    assert set(re.findall(r"3\.\d\d", "\n".join(lines))) == set(PYTHONS)


# The way in ----------------------------------------------------------------------------------


def test_what_contributing_names_is_there() -> None:
    named = re.findall(r"`([\w.-]+/[\w./-]*|[\w./-]+\.(?:py|md|toml|yaml|txt))`", CONTRIBUTING)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_map_names_every_room() -> None:
    modules = [*(ROOT / "orchestrator").glob("[a-z]*.py"), *ROOT.glob("orchestrator/*/__init__.py")]
    rooms = {file.relative_to(ROOT).as_posix().removesuffix("/__init__.py") for file in modules}
    assert [room for room in sorted(rooms) if f"`{room}" not in CONTRIBUTING] == []


def test_contributing_names_every_script() -> None:
    scripts = [*(ROOT / "scripts").iterdir(), *(ROOT / ".ci").iterdir()]
    runnable = [file for file in scripts if os.access(file, os.X_OK) and file.is_file()]
    missing = [str(file.relative_to(ROOT)) for file in runnable if file.name not in CONTRIBUTING]
    assert missing == []
