"""The programs of a soak that are Python sequences; its service imports them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator import Run, State, When, sequence


@asynccontextmanager
async def counted(run: Run) -> AsyncIterator[None]:
    """Tell the witness that all was done, and that the finalisers have run."""
    try:
        yield
        await run.set("w.passed", 1)
    finally:
        try:
            await run.set("shutter.state", "Closed")
        finally:
            await run.set("w.finals", await run.value("w.finals + 1"))


@sequence
async def soak_scan(run: Run) -> None:
    """A scan."""
    async with counted(run):
        await run.set("shutter.state", "Open")
        for x in run.linspace("stage.x", 0, 0.5, 6):
            await run.set("stage.x", x, readback="stage.x_rbv", timeout=8)
            await run.sample("stage.x", "stage.x_rbv")


@sequence
async def soak_parallel(run: Run) -> None:
    """Two branches, one of which samples."""
    async with counted(run):
        await run.parallel(_branch(run), run.set("stage.y", 0.4, timeout=8))


async def _branch(run: Run) -> None:
    for number in range(4):
        await run.set("rec.ao", number)
        await run.sample("rec.ao", "stage.y")


@sequence
async def soak_machine(run: Run) -> None:
    """A machine that goes to and fro."""
    async with counted(run):

        async def away() -> None:
            await run.set("rec.ao", 3)

        async def back() -> None:
            await run.set("rec.ao", 0)

        await run.machine(
            {
                "low": State(
                    entry=away, when=[When("rec.calc > 5", "high"), When(after=8, to="end")]
                ),
                "high": State(
                    entry=back, when=[When("rec.calc < 2", "end"), When(after=8, to="end")]
                ),
                "end": State(),
            }
        )
