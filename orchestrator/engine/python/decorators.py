"""How a user marks what may be run: `@sequence` and `@function`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import mark, mark_writes, signature_of

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])


@overload
def sequence(
    function: Callable[Concatenate[Run, P], Awaitable[None]],
) -> Callable[Concatenate[Run, P], Awaitable[None]]: ...


@overload
def sequence(
    *, writes: Iterable[str]
) -> Callable[
    [Callable[Concatenate[Run, P], Awaitable[None]]],
    Callable[Concatenate[Run, P], Awaitable[None]],
]: ...


def sequence(
    function: Callable[Concatenate[Run, P], Awaitable[None]] | None = None,
    *,
    writes: Iterable[str] = (),
) -> Any:
    """Mark a coroutine function as a sequence; its name is the sequence's.

    Its first parameter is the `Run`; the others, annotated float, int, str or bool, are what it
    can be given from the command line, CMD, ARGS and the step `run`.

    >>> from orchestrator import Run, sequence
    >>> @sequence
    ... async def park(run: Run, at: float = 0.5) -> None:
    ...     await run.set("stage.x", at, readback="stage.x_rbv", tolerance=0.01, timeout=30)
    >>> @sequence(writes=["stage.x"])
    ... async def home(run: Run) -> None:
    ...     await run.set("stage.x", 0)

    Args:
        function: It.
        writes: The channels that it puts to: where runs go on in several lanes, these are claimed
            before it begins. What is missing here is claimed at the first put to it, which fails
            where another lane's run has it.

    Raises:
        TypeError: It is no such function.
    """
    names = tuple(writes)

    def marked(
        function: Callable[Concatenate[Run, P], Awaitable[None]],
    ) -> Callable[Concatenate[Run, P], Awaitable[None]]:
        signature_of(function)
        mark(function, "sequence")
        mark_writes(function, names)
        return function

    return marked if function is None else marked(function)


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
