"""Several things at the same time: the first failure cancels the others, and is the error told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from orchestrator.engine.control.cancelling import end, until_done
from orchestrator.engine.control.step_scope import RewindRun, SkipStep, StopRun
from orchestrator.errors import CallError
from orchestrator.verbs.flow.leaving import EndSequence


async def run_all(branches: Sequence[tuple[str, Coroutine[Any, Any, None]]]) -> None:
    """Run each of these, a name and a coroutine, in a task of its own until all have ended.

    STOP lets each branch come to its own next boundary. All tasks have ended when this returns or
    raises.

    No TaskGroup: up to Python 3.12 one that fails while it is waited for leaves its parent with a
    cancellation too many (`Task.cancelling`; python/cpython#133747), and the next ABORT of the run
    would be taken for the end of the service.

    Raises:
        OrchestratorError: The first failure of a branch; the others were cancelled.
        EndSequence: The same of a branch that ends the sequence.
        StopRun: STOP took effect in a branch.
        RewindRun: The steps have to go back to a checkpoint.
        CancelledError: All of it was cancelled, or a branch has ended so by itself.
    """
    decided: list[Exception | EndSequence | _FirstToEnd] = []
    left: list[StopRun | RewindRun] = []

    async def branch(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (StopRun, RewindRun) as way_out:
            left.append(way_out)
        except (Exception, EndSequence, _FirstToEnd) as error:
            decided.append(error)
            raise
        except (asyncio.CancelledError, KeyboardInterrupt, SkipStep):
            raise
        except BaseException as error:  # from a task it would end the whole service
            decided.append(CallError(f"a branch raised {type(error).__name__}: {error}"))
            raise decided[-1] from error

    tasks = [asyncio.create_task(branch(work), name=name) for name, work in branches]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end(tasks)
    if decided:
        raise decided[0]
    if left:
        raise left[0]
    if any(task.cancelled() for task in tasks):
        raise asyncio.CancelledError


class _FirstToEnd(BaseException):
    """A branch of a race has ended, which ends the others."""

    def __init__(self, index: int) -> None:
        self.index = index


async def first_of(branches: Sequence[tuple[str, Coroutine[Any, Any, object]]]) -> int:
    """The same until the first of them has ended, whose index it gives; the others are cancelled.

    Raises:
        OrchestratorError: It has ended by a failure.
        StopRun, RewindRun, EndSequence, CancelledError: As `run_all`.
    """

    async def running(index: int, work: Coroutine[Any, Any, object]) -> None:
        await work
        raise _FirstToEnd(index)

    try:
        await run_all([(name, running(i, work)) for i, (name, work) in enumerate(branches)])
    except _FirstToEnd as first:
        return first.index
    raise AssertionError("no branch of a race has ended")


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel what still runs, and wait until it has cleaned up."""

    def cancel() -> None:
        for task in tasks:
            end(task)

    cancel()
    try:
        # Where this is cancelled as well, whoever cleans up is to hurry.
        await until_done(tasks, cancel)
    finally:
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # retrieved; the first failure is told
