"""Writes `docs/reference/*.md` from the code that they describe, and the index of the decisions.

Called by `scripts/docs`. What the code can't say of itself stands in `docs/reference/parts/*.md`,
put where a page includes it. `tests/test_docs.py` fails when the committed pages are not what this
gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from writers.api import api
from writers.attacked import withstands
from writers.costs import figures
from writers.decisions import FOLDER, decisions
from writers.http import http
from writers.journal import journal
from writers.language import expressions, pvs, steps
from writers.markdown import REFERENCE
from writers.operation import commands, configuration, environment, errors_page
from writers.python import devices, simulated_iocs, testing_page

MARK = "<!-- Written by scripts/docs from the code: change it there. -->"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    writers: Mapping[str, Callable[[], Iterable[str]]] = {
        "pvs.md": pvs,
        "steps.md": steps,
        "expressions.md": expressions,
        "configuration.md": configuration,
        "cli.md": commands,
        "sim-iocs.md": simulated_iocs,
        "api.md": api,
        "device.md": devices,
        "testing.md": testing_page,
        "environment.md": environment,
        "errors.md": errors_page,
        "http.md": http,
        "journal.md": journal,
        "figures.md": figures,
        "withstands.md": withstands,
    }
    return {name: _page(write) for name, write in writers.items()}


def index_of_decisions() -> str:
    """The page that lists them."""
    return _page(decisions)


def _page(write: Callable[[], Iterable[str]]) -> str:
    return "\n".join([MARK, "", *write()]).rstrip() + "\n"


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    (FOLDER / "README.md").write_text(index_of_decisions(), encoding="utf-8")


if __name__ == "__main__":
    main()
