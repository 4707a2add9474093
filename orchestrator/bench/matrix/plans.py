"""The moments that are Python sequences; a service under test imports them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator import Run, State, When, sequence


@asynccontextmanager
async def counted(run: Run) -> AsyncIterator[None]:
    """Tell the witness that all was done, and that the finalisers have run."""
    try:
        await run.set("w.passed", 0.5)
        yield
        await run.set("w.passed", 1)
    finally:
        await run.set("w.finals", await run.value("w.finals + 1"))


@sequence
async def matrix_put(run: Run) -> None:
    """A put-callback is outstanding."""
    async with counted(run):
        await run.set("d.sp", 1, timeout=5)


@sequence
async def matrix_scan(run: Run) -> None:
    """A scan."""
    async with counted(run):
        for x in run.linspace("d.sp", 0, 5, 6):
            await run.set("d.sp", x, readback="d.rbv", timeout=5)
            await run.sample("d.sp", "d.rbv")


@sequence
async def matrix_parallel(run: Run) -> None:
    """Two at once, one of them with a put-callback outstanding."""
    async with counted(run):
        await run.parallel(run.set("d.sp", 1, timeout=5), run.delay(3))


@sequence
async def matrix_machine(run: Run) -> None:
    """A machine waits for a value; if it does not come it tells by a wait of its own."""
    async with counted(run):
        await run.machine(
            {
                "low": State(
                    when=[When("d.rbv > 5", "high"), When(after=15, to="late")],
                ),
                "high": State(),
                "late": State(entry=lambda: run.wait("d.rbv", above=5, timeout=0.5)),
            }
        )
