"""On which line of a TOML file a key is written: `tomllib` reads values, and tells no places."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.types import Path


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, on which each key, table and element of an array is first written.

    Args:
        text: A whole file, which `tomllib` can read.
    """
    found: dict[Path, int] = {}
    for begin, _, paths in _statements(text):
        for path in paths:
            found.setdefault(path, begin)
    return found


def written_twice(text: str, line: int) -> tuple[Path, int, int] | None:
    """The key that the statement on a line has in common with one before it, and both lines.

    Args:
        text: A file that `tomllib` can't read.
        line: Where it fails; None is returned where that is for another reason.
    """
    found: dict[Path, int] = {}
    for begin, end, paths in _statements(text):
        if begin <= line <= end:
            again = [path for path in paths if path in found]
            return (again[-1], found[again[-1]], begin) if again else None
        for path in paths:
            found.setdefault(path, begin)
    return None


def _statements(text: str) -> Iterator[tuple[int, int, list[Path]]]:
    """First and last line of each statement, and the paths of what it writes."""
    table: Path = ()
    begin, statement = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        statement += f"{line}\n"
        try:
            tree = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it ends within a value, which goes on
        paths = list(_paths(tree))
        if statement.lstrip().startswith("["):
            table = paths[-1]
        else:
            paths = [(*table, *path) for path in paths]
        yield begin, number, paths
        begin, statement = number + 1, ""


def nearest_line(lines: Mapping[Path, int], path: Path) -> int:
    """The line of a key, or of what is around it where it is not written; 0 where nothing is."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def _paths(tree: Any) -> Iterator[Path]:
    """Every key and element, each before what is in it."""
    items = tree.items() if isinstance(tree, dict) else ()
    for key, value in enumerate(tree) if isinstance(tree, list) else items:
        yield (key,)
        for path in _paths(value):
            yield (key, *path)
