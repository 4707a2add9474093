"""`history`, `show`: what runs there were, and what became of one."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.text import Text

from orchestrator.cli.past.moments import moment
from orchestrator.cli.past.stores import past_runs
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.data.past import Wanted, account_of
from orchestrator.data.past.finder import OUTCOMES
from orchestrator.display.past_list import facts_of, run_table
from orchestrator.display.screen import Screen
from orchestrator.display.trace import trace_facts, trace_lines
from orchestrator.errors import InputError
from orchestrator.language.names import nearest

_PIPED = 10_000
"""Characters of a line for a program or a file: it is folded by nobody."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What `history` is asked for."""

    name: str
    status: Sequence[str]
    since: str
    until: str
    most: int
    rebuild: bool
    as_json: bool


def history(file: Path | None, store: Path | None, verbose: int, options: ListOptions) -> int:
    """List runs, the newest first.

    Raises:
        InputError: A filter is none, or the index can't be written that is to be made anew.
    """
    set_up_logs(level_of(verbose))
    past, now = past_runs(file, store), datetime.now().astimezone()
    wanted = Wanted(
        options.name,
        [_outcome(word) for word in options.status],
        moment(options.since, "--since", now) if options.since else None,
        moment(options.until, "--until", now) if options.until else None,
        options.most,
    )
    if options.rebuild:
        number = past.rebuild()
        if not options.as_json:
            print_lines([Text(f"the index of {past.store} is made anew: {number} runs")])
    runs = past.runs(wanted)
    if options.as_json:
        print_json(facts_of(runs))
    elif runs:
        print_lines(run_table(runs, width()))
    elif not options.rebuild:
        print_lines([Text(f"no such run in {past.store}")])
    return Code.SUCCESS


def _outcome(word: str) -> str:
    known: dict[str, str] = {outcome.casefold(): outcome for outcome in OUTCOMES}
    found = known.get(word.casefold())
    if found is None:
        near = nearest(word, OUTCOMES)
        perhaps = f"; did you mean {near}?" if near else ""
        raise InputError(f"--status {word}: expected one of {', '.join(OUTCOMES)}{perhaps}")
    return found


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """What `show` is asked for."""

    all_steps: bool
    document: bool
    as_json: bool


def show(
    run: str, file: Path | None, store: Path | None, verbose: int, options: ShowOptions
) -> int:
    """Tell all of one run.

    Raises:
        InputError: There is no such run, or its journal can't be read.
    """
    set_up_logs(level_of(verbose))
    found = past_runs(file, store).find(run)
    account = account_of(found.folder, all_steps=options.all_steps)
    if options.as_json:
        print_json(trace_facts(found, account, all_steps=options.all_steps))
    elif options.document:
        sys.stdout.write("\n".join(source["text"] for source in account.header["sources"][:1]))
    else:
        print_lines(trace_lines(found, account, width() or _PIPED, all_steps=options.all_steps))
    return Code.SUCCESS


def width() -> int | None:
    """Characters across of the terminal; None where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_lines(lines: Iterable[Text]) -> None:
    """Print to stdout; styles are for terminals."""
    screen = Screen(soft_wrap=True, highlight=False)
    for line in lines:
        screen.print(line, markup=False)


def print_json(facts: object) -> None:
    """Print an object for programs, on one line."""
    sys.stdout.write(json.dumps(facts) + "\n")
