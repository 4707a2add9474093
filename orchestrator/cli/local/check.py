"""`check`: everything that can be told of a sequence before it runs."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from orchestrator.cli.local.sequence import load
from orchestrator.cli.settings import choose, settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.client import configure_environment
from orchestrator.config import Config, names_of
from orchestrator.dryrun import DryRun, check_facts, dry_run, offline
from orchestrator.engine import Library, library_of
from orchestrator.errors import InputError
from orchestrator.language.expressions.template import as_text
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.program.nodes import Runnable
from orchestrator.language.text.arguments import parse_assignments, with_files

_MOST_UNSEEN = 20
"""Lines of what can't be looked at that people are shown."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How to look."""

    offline: bool
    """At the files only."""
    speeds: Sequence[str]
    """CHANNEL=UNITS_PER_SECOND each."""
    as_json: bool


def check(
    sequence: str, arguments: Sequence[str], file: Path | None, verbose: int, options: CheckOptions
) -> int:
    """Tell what is wrong with a sequence, what it would use and how long it would take.

    Raises:
        InputError: Every finding of the files, with file, line and column.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    speeds = _speeds(options.speeds, config)
    library = library_of(config)
    program = load(config, choose(sequence), with_files(parse_assignments(arguments)), library)
    look = offline if options.offline else _live
    found = look(config, program, speeds, library)
    found = replace(found, findings=[*found.findings, *_left_out(library)])
    code = _code(found)
    if options.as_json:
        typer.echo(json.dumps(_json(sequence, program, found, code), indent=1))
    else:
        _tell(sequence, program, found)
    return code


def _live(
    config: Config,
    program: Runnable,
    speeds: Mapping[str, float],
    library: Library,
) -> DryRun:
    configure_environment(config)
    return asyncio.run(dry_run(config, program, speeds, library))


def _left_out(library: Library) -> Iterator[Finding]:
    """The Python modules that could not be taken."""
    for line in library.broken:
        where, _, text = line.partition(": ")
        yield Finding(Level.WARNING, where, (), text)


def _code(found: DryRun) -> Code:
    if found.not_connected:
        return Code.NOT_CONNECTED
    return Code.INPUT if found.has_errors else Code.SUCCESS


def _speeds(texts: Sequence[str], config: Config) -> dict[str, float]:
    names = names_of(config)
    speeds = {}
    for text in texts:
        channel, _, number = text.rpartition("=")
        try:
            speed = float(number)
        except ValueError:
            speed = math.nan
        if not (channel and 0 < speed < math.inf):
            raise InputError(
                f"--speed {text}: expected CHANNEL=UNITS_PER_SECOND, as in stage.x=0.5"
            )
        speeds[names.resolve(channel)] = speed
    return speeds


# For people -----------------------------------------------------------------------------------


def _tell(sequence: str, program: Runnable, found: DryRun) -> None:
    for finding in found.findings:
        colour = "red" if finding.level is Level.ERROR else "yellow"
        typer.secho(finding.line(), fg=colour, err=True)
    if found.not_connected:
        complain(found.not_connected)
    if _code(found) is Code.SUCCESS:
        typer.echo("\n".join(_facts(program, sequence, found)))


def _facts(program: Runnable, sequence: str, found: DryRun) -> list[str]:
    name = program.name or sequence
    unseen = found.python.unseen if found.python is not None else ()
    facts = [f"not all can be seen: {name}" if unseen else f"OK: {name}"]
    if program.arguments:
        values = (f"{name}={as_text(value)}" for name, value in program.arguments.items())
        facts.append(f"parameters: {' '.join(values)}")
    if program.is_known:
        facts.append(f"steps: {_steps(program) or 'not known before it runs'}")
    facts += [f"writes: {_listed(found.writes(program))}"]
    facts += [f"reads: {_listed(found.reads(program))}"]
    if program.is_known:
        facts.append(f"takes: {found.duration}")
    return [*facts, *_python_facts(found)]


def _python_facts(found: DryRun) -> list[str]:
    if found.python is None:
        return []
    shown = found.python.unseen[:_MOST_UNSEEN]
    more = len(found.python.unseen) - len(shown)
    lines = [f"  {line}" for line in shown] + ([f"  … and {more} more"] if more else [])
    facts = [
        f"in Python: {', '.join(found.python.sequences)}; its source was read, verb by verb, "
        "and not run"
    ]
    return facts + (["known only when it runs:", *lines] if lines else [])


def _steps(program: Runnable) -> int | None:
    return count_steps(program.all_steps)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


# For programs ---------------------------------------------------------------------------------


def show_no_check(sequence: str, texts: Sequence[str], code: int) -> None:
    """Print as JSON what kept a sequence from being looked at."""
    findings = [{"level": Level.ERROR.value, "where": "", "text": text} for text in texts]
    told = {"sequence": sequence, "ok": False, "findings": findings, "exit_code": code}
    typer.echo(json.dumps(told, indent=1))


def _json(sequence: str, program: Runnable, found: DryRun, code: Code) -> dict[str, object]:
    return check_facts(sequence, program, found) | {"exit_code": int(code)}
