"""What every command shares: errors become a few lines on stderr and an exit code."""

from __future__ import annotations

import functools
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import ParamSpec

import typer

from orchestrator.display.output import leave_stdout

P = ParamSpec("P")


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Make a command that returns its exit code one that typer can call.

    Tracebacks are for `-v`. A reader that goes away (`| head -1`) is no error.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = _run(lambda: command(*args, **kwargs), verbose=bool(kwargs.get("verbose")))
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the outcome is told: it stands
        except BrokenPipeError:
            leave_stdout()
            code = 0
        raise typer.Exit(code)

    return wrapper


def _run(command: Callable[[], int], *, verbose: bool) -> int:
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # until then the process left
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
        return _report(error, verbose=verbose)


def _report(error: Exception, *, verbose: bool) -> int:
    """Tell a person what went wrong; the exit code that it gives."""
    from orchestrator.cli.codes import code_of_error
    from orchestrator.errors import OrchestratorError

    leaves = list(_leaves(error))
    for leaf in leaves:
        with suppress(OSError):  # stderr is gone too: the exit code is left
            if isinstance(leaf, OrchestratorError):
                complain(leaf.placed())
            elif isinstance(leaf, OSError) and _stdout_fails():
                complain(f"can't write to stdout: {leaf.strerror}")
            elif not verbose:
                kind = type(leaf).__name__
                complain(f"internal error: {kind}: {leaf} (-v shows the traceback)")
    return max(code_of_error(leaf) for leaf in leaves)


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
