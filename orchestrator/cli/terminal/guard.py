"""What every command shares: errors become a few lines on stderr, or JSON, and an exit code."""

from __future__ import annotations

import functools
import json
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeAlias

import typer

from orchestrator.display.output import leave_stdout

P = ParamSpec("P")

Answer: TypeAlias = Callable[[Mapping[str, Any], Sequence[str], int], None]
"""Prints what a command answers with `--json` where an error ended it.

Gets the arguments of the command, what is wrong, an item a finding, and the exit code.
"""

_Tell: TypeAlias = Callable[[Sequence[str], int], None]


def guarded(command: Callable[P, int], answer: Answer | None = None) -> Callable[P, None]:
    """Make a command that returns its exit code one that typer can call.

    Tracebacks are for `-v`. A reader that goes away (`| head -1`) is no error.

    Args:
        command: The command.
        answer: Tells its errors where it was called with `as_json`; None = as to people.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        tell = partial(answer, kwargs) if answer and kwargs.get("as_json") else _to_people
        try:
            code = _run(lambda: command(*args, **kwargs), tell, verbose=bool(kwargs.get("verbose")))
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the outcome is told: it stands
            _forget_interrupts()
        except BrokenPipeError:
            leave_stdout()
            code = 0
        raise typer.Exit(code)

    return wrapper


def _forget_interrupts() -> None:
    """Have Python end with our exit code.

    Where a KeyboardInterrupt has passed an `exec` of text (a dataclass or named tuple is made by
    one, when a module is imported), Python notes that it is unhandled, whoever handles it later,
    and kills itself with SIGINT at its end. Each evaluation of a text begins with taking that back
    (CPython, pythonrun.c, `run_eval_code_obj`).
    """
    eval("None")  # noqa: S307 - a constant


def _run(command: Callable[[], int], tell: _Tell, *, verbose: bool) -> int:
    try:
        code = command()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 3
    except Exception as error:
        if any(isinstance(leaf, BrokenPipeError) for leaf in _leaves(error)):
            raise BrokenPipeError from error
        if verbose:
            traceback.print_exception(error)
        return _report(error, tell, verbose=verbose)


def _report(error: Exception, tell: _Tell, *, verbose: bool) -> int:
    """Tell what went wrong; the exit code that it gives."""
    from orchestrator.cli.terminal.codes import code_of_error
    from orchestrator.errors import CheckError, OrchestratorError

    findings: list[str] = []
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, CheckError) and not leaf.place:
            findings += leaf.findings
        elif isinstance(leaf, OrchestratorError):
            findings.append(leaf.placed())
        elif isinstance(leaf, OSError) and _stdout_fails():
            findings.append(f"can't write to stdout: {leaf.strerror}")
            tell = _to_people
        elif not verbose or tell is not _to_people:
            kind = type(leaf).__name__
            findings.append(f"internal error: {kind}: {leaf} (-v shows the traceback)")
    code = max(code_of_error(leaf) for leaf in leaves)
    with suppress(OSError):  # stderr is gone too: the exit code is left
        tell(findings, code)
    return code


def error_as_json(_given: Mapping[str, Any], findings: Sequence[str], code: int) -> None:
    """An `Answer` of those whose result has no place for an error: an object of its own."""
    typer.echo(json.dumps({"error": "\n".join(findings), "exit_code": code}))


def _to_people(findings: Sequence[str], _code: int) -> None:
    for finding in findings:
        complain(finding)


def _stdout_fails() -> bool:
    """Whether nothing can be written to stdout; then nothing more will be."""
    try:
        sys.stdout.write("\n")  # without a buffer a flush alone would prove nothing
        sys.stdout.flush()
    except OSError:
        leave_stdout()
        return True
    return False


def complain(text: str) -> None:
    """Tell a person, on stderr."""
    typer.secho(text, fg="red", err=True)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """A task group wraps what its tasks raise."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
