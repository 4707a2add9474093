"""The index of the decisions, from the first lines of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from writers.markdown import REFERENCE, part, table

FOLDER = REFERENCE.parent / "explanations" / "decisions"
_HEAD = re.compile(
    r"# (?P<title>[^\n]+)\n\n"
    r"Accepted on (?P<date>\d{4}-\d\d-\d\d)"
    r"(?:, (?P<ended>superseded on \d{4}-\d\d-\d\d by \[\d{4}\]\(\d{4}-[\w-]+\.md\)))?"
    r"\.\n\n"
)


def decision_pages() -> list[Path]:
    """The decisions, the oldest first."""
    return sorted(FOLDER.glob("[0-9]*.md"))


def decisions() -> Iterator[str]:
    """Number, title, date and status of each."""
    yield from (*part("decisions"), "")
    yield from table(("", "decision", "date", "status"), map(_row, decision_pages()))


def _row(page: Path) -> tuple[str, str, str, str]:
    head = _HEAD.match(page.read_text(encoding="utf-8"))
    if head is None:
        raise ValueError(
            f"{page}: begins with '# Title', an empty line and 'Accepted on YYYY-MM-DD.' "
            "or 'Accepted on YYYY-MM-DD, superseded on YYYY-MM-DD by [NNNN](NNNN-….md).'"
        )
    number, status = page.name[:4], head["ended"] or "accepted"
    return number, f"[{head['title']}]({page.name})", head["date"], status
