"""How a user marks what may be run: `@sequence` and `@function`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import mark, signature_of

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])


def sequence(
    function: Callable[Concatenate[Run, P], Awaitable[None]],
) -> Callable[Concatenate[Run, P], Awaitable[None]]:
    """Mark a coroutine function as a sequence; its name is the sequence's.

    Its first parameter is the `Run`; the others, annotated float, int, str or bool, are what it
    can be given from the command line, CMD, ARGS and the step `run`.

    >>> from orchestrator import Run, sequence
    >>> @sequence
    ... async def park(run: Run, at: float = 0.5) -> None:
    ...     await run.set("stage.x", at, readback="stage.x_rbv", tolerance=0.01, timeout=30)

    Raises:
        TypeError: It is no such function.
    """
    signature_of(function)
    mark(function, "sequence")
    return function


def function(callee: F) -> F:
    """Mark a function for the step `call`; one that is no coroutine function runs in a thread.

    >>> from orchestrator import function
    >>> @function
    ... def rounded(position: float, step: float) -> float:
    ...     return round(position / step) * step
    >>> rounded(3.9, 0.5)
    4.0
    """
    mark(callee, "function")
    return callee
