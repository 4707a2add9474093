"""Makes `scripts/dev-constraints.txt` of what pip would install; called by `scripts/lock`."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEAD = """\
# What scripts/venv installs, by exact versions: the same on each machine and in CI.
# Written by scripts/lock; which versions may be used at all stands in pyproject.toml.
"""

Versions = Mapping[str, str]
"""Version by package, as one Python would have them."""


def main(file: Path, reports: list[Path]) -> None:
    """Write the file from pip's reports, one for each Python."""
    found = dict(_read(json.loads(report.read_text("utf-8"))) for report in reports)
    pythons = sorted(found, key=lambda python: [int(part) for part in python.split(".")])
    packages = sorted(set().union(*found.values()))
    lines = (line for package in packages for line in _lines(package, pythons, found))
    file.write_text(HEAD + "\n".join(lines) + "\n", "utf-8")


def _read(report: dict[str, Any]) -> tuple[str, Versions]:
    """The Python that a report is of, and all that it would have but the project itself."""
    metadata = [each["metadata"] for each in report["install"] if not each["is_direct"]]
    versions = {_normal(each["name"]): each["version"] for each in metadata}
    return report["environment"]["python_version"], versions


def _normal(name: str) -> str:
    """A package's name as indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _lines(package: str, pythons: list[str], found: Mapping[str, Versions]) -> Iterator[str]:
    """A line for each version of a package, the Pythons that have it behind it where they differ.

    A Python newer than those that are supported has what the newest of them has.
    """
    having = [python for python in pythons if package in found[python]]
    groups = itertools.groupby(having, lambda python: found[python][package])
    firsts = [(version, next(group)) for version, group in groups]
    ends = [first for _, first in firsts[1:]]
    for number, (version, first) in enumerate(firsts):
        limits = [f'python_version >= "{first}"'] if number else []
        limits += [f'python_version < "{end}"' for end in ends[number : number + 1]]
        yield f"{package}=={version}" + (f" ; {' and '.join(limits)}" if limits else "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(report) for report in sys.argv[2:]])
