"""What every page is made of: parts, tables, docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

REFERENCE = Path(__file__).resolve().parent.parent / "reference"

# Parts ----------------------------------------------------------------------------------------


def part(name: str) -> list[str]:
    """The lines that are written by hand, of a page."""
    return (REFERENCE / "parts" / f"{name}.md").read_text(encoding="utf-8").splitlines()


def table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table, and the empty line behind it; nothing where there are no rows."""
    lines = [_row(row) for row in rows]
    if not lines:
        return
    yield _row(head)
    yield _row("---" for _ in head)
    yield from lines
    yield ""


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def code(text: object) -> str:
    """In backquotes; nothing where there is nothing."""
    return f"`{text}`" if str(text) else ""


_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
"""From its first line to the next empty one, as doctest has it."""


def words_of(owner: object) -> str:
    """A docstring as one paragraph each, examples fenced."""
    return _EXAMPLE.sub(r"```pycon\n\g<0>\n```", _docstring(owner))


def words_without_examples(owner: object) -> str:
    """The same for the cell of a table."""
    return _EXAMPLE.sub("", _docstring(owner))


def _docstring(owner: object) -> str:
    return inspect.cleandoc(getattr(owner, "__doc__", None) or "")


def attribute_words(owner: type) -> dict[str, str]:
    """The strings under the attributes of a class."""
    (tree,) = ast.parse(inspect.getsource(owner)).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - it is the source of a class
    words = {}
    for line, below in zip(tree.body, tree.body[1:], strict=False):
        match line, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                words[name] = " ".join(text.split())
    return words
