"""Cells side by side: threads, each with a testbed that several cells share."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby

from orchestrator.bench.matrix.cells import Cell, Result, prove, run_cell
from orchestrator.bench.matrix.testbed import Testbed
from orchestrator.errors import OrchestratorError

_SHARED = 12
"""Cells that share a testbed, one after the other."""


def tried(cells: Sequence[Cell], *, seed: int, workers: int) -> Iterator[Result]:
    """Try cells; their results as they come.

    Args:
        cells: Which.
        seed: Of the dice that say when, within a moment, it is struck.
        workers: How many at the same time.
    """
    lots: queue.SimpleQueue[list[Cell]] = queue.SimpleQueue()
    for lot in _lots(cells):
        lots.put(lot)
    results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while True:
                for result in _of_one_testbed(lots.get_nowait(), seed):
                    results.put(result)
        except queue.Empty:
            pass
        finally:
            results.put(None)

    threads = [threading.Thread(target=work, name=f"worker {n}") for n in range(workers)]
    for thread in threads:
        thread.start()
    for _ in threads:
        yield from iter(results.get, None)
    for thread in threads:
        thread.join()


def _lots(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Cells that can share a testbed, not too many."""
    ordered = sorted(cells, key=lambda cell: (cell.victim, cell.wired))
    for _, group in groupby(ordered, key=lambda cell: (cell.victim, cell.wired)):
        same = list(group)
        yield from (same[at : at + _SHARED] for at in range(0, len(same), _SHARED))


def _of_one_testbed(lot: Sequence[Cell], seed: int) -> Iterator[Result]:
    """Try these; a testbed that is of no more use is replaced."""
    waiting = list(lot)
    while waiting:
        with ExitStack() as stack:
            cell = waiting[0]
            try:
                bed = stack.enter_context(Testbed(cell.victim, wired=cell.wired))
                while waiting:
                    cell = waiting.pop(0)
                    yield _one(bed, cell, seed)
            except (OrchestratorError, AssertionError, OSError) as error:
                if cell in waiting:
                    waiting.remove(cell)
                yield _broken(cell, error)


def _one(bed: Testbed, cell: Cell, seed: int) -> Result:
    result = run_cell(bed, cell, seed)
    bed.heal()
    if wrong := prove(bed):
        return Result(
            *cell, result.status, result.seconds, result.message, (*result.findings, *wrong)
        )
    return result


def _broken(cell: Cell, error: BaseException) -> Result:
    text = f"{type(error).__name__}: {error}"
    return Result(*cell, "none", 0.0, "", (f"could not be tried: {text[:2000]}",))
