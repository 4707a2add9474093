"""Tables: columns of equal length by name, as a sequence is given them or a CSV file has them.

A value is a number, a text, true or false as in a document; None is an empty cell.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TypeAlias

from orchestrator.errors import InputError
from orchestrator.language.text.tree import scalar

Cell: TypeAlias = bool | int | float | str | None


class Table(dict[str, list[Cell]]):
    """A parameter that is a table: a list for each column, all as long; None is an empty cell."""


LARGEST = 1_000_000
"""Bytes of a file."""


def read_table(file: Path) -> Table:
    """The table in a CSV file: commas, names in the first line, no lines but these and `# …`.

    Raises:
        InputError: It can't be read, or is no such table; names file, line and column.
    """
    return table_of_text(text_of_table(file), str(file))


def text_of_table(file: Path) -> str:
    """What stands in a file.

    Raises:
        InputError: It can't be read, or is too long.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(f"{file}: has more than {LARGEST:,} bytes: too long for a table")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise InputError(f"{file}: can't be read: {why}") from error


def table_of_text(text: str, origin: str) -> Table:
    r"""The same of a text.

    >>> table_of_text("stage.x, label\n1, a\n, b\n", "points.csv")
    {'stage.x': [1, None], 'label': ['a', 'b']}

    Raises:
        InputError: It is no such table.
    """
    names: list[str] = []
    columns: list[list[Cell]] = []
    try:
        for line, words in _lines(text):
            if not names:
                names = _head(words, f"{origin}:{line}")
                columns = [[] for _ in names]
                continue
            if len(words) != len(names):
                wanted = f"expected {len(names)} cells, as in its first line, not {len(words)}"
                raise InputError(f"{origin}:{line}: {wanted}")
            for name, column, word in zip(names, columns, words, strict=True):
                column.append(_cell(word, f"{origin}:{line}: {name}"))
    except csv.Error as error:
        raise InputError(f"{origin}: {error}") from error
    if not names or not columns[0]:
        raise InputError(f"{origin}: has no row: expected names in the first line, values below")
    return Table(zip(names, columns, strict=True))


def as_table(value: object, what: str) -> Table:
    """What is given as a table, if it is one.

    Raises:
        InputError: It is none; says what would be.
    """
    wanted = f"{what} takes a table: lists of equal length by name, or @FILE.csv"
    if not isinstance(value, Mapping) or not value:
        raise InputError(wanted)
    table = Table()
    for name, column in value.items():
        if not isinstance(name, str) or not isinstance(column, list | tuple):
            raise InputError(wanted)
        for cell in column:
            if not _is_cell(cell):
                raise InputError(f"{what}: {cell!r} in the column {name} is no value")
        table[name] = list(column)
    lengths = {len(column) for column in table.values()}
    if len(lengths) > 1 or lengths == {0}:
        told = ", ".join(f"{len(column)} of {name}" for name, column in table.items())
        raise InputError(f"{wanted}; there are {told}")
    return table


def rows(table: Mapping[str, Sequence[Cell]]) -> Iterator[dict[str, bool | int | float | str]]:
    """The rows of a table, by name and without empty cells.

    >>> from orchestrator import Table, rows
    >>> list(rows(Table({"stage.x": [1, None], "label": ["a", "b"]})))
    [{'stage.x': 1, 'label': 'a'}, {'label': 'b'}]
    """
    for cells in zip(*table.values(), strict=True):
        yield {name: cell for name, cell in zip(table, cells, strict=True) if cell is not None}


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that have something in them, by their number."""
    reader = csv.reader(StringIO(text, newline=""), skipinitialspace=True, strict=True)
    for words in reader:
        cells = [word.strip() for word in words]
        if any(cells) and not cells[0].startswith("#"):
            yield reader.line_num, cells


def _head(words: list[str], where: str) -> list[str]:
    if not all(words):
        raise InputError(f"{where}: a column has no name; names stand in the first line")
    if twice := [name for name in dict.fromkeys(words) if words.count(name) > 1]:
        raise InputError(f"{where}: two columns are called {twice[0]!r}")
    return words


def _cell(word: str, where: str) -> Cell:
    if not word:
        return None
    try:
        value = scalar(word)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: {word!r} is no finite number")
    return value if value is None or isinstance(value, bool | int | float) else word


def _is_cell(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)
