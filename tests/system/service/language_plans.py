"""Sequences and functions in Python, which the service of the tests imports by its config."""

import sys
import time
from pathlib import Path

from orchestrator import Run, function, sequence


@function
def block(seconds: float) -> float:
    """Hold its thread up, as a driver's call may."""
    time.sleep(seconds)
    return seconds * 2


@function
def hold(until: str) -> float:
    """Hold its thread up until there is a number in a file."""
    while not (Path(until).exists() and (text := Path(until).read_text())):
        time.sleep(0.01)
    return float(text)


@function
def break_off() -> None:
    """Fail as functions do."""
    raise ZeroDivisionError("no beam")


@sequence
async def step_through(run: Run, start: float = 0.0, stop: float = 2.0, points: int = 3) -> None:
    """Step the record and sample what follows from it."""
    for value in run.linspace("rec.ao", start, stop, points):
        await run.set("rec.ao", value, readback="rec.calc", readback_value=2 * value + 1)
        await run.sample("rec.calc")
    await run.log(f"the last was {await run.value('rec.calc')}")
    await run.set("rec.bo", "Off")


@sequence
async def patient(run: Run) -> None:
    """Wait for somebody, and clean up after that."""
    try:
        await run.set("rec.ao", 1)
        await run.wait("rec.ao", equals=2, timeout=30)
        await run.set("rec.ao", 3)
    finally:
        await run.set("rec.number", 77)


@sequence
async def blocked(run: Run, until: str) -> None:
    """Block, as a driver's call may, where nobody expects it."""
    await run.set("rec.ao", 1)
    hold(until)
    await run.set("rec.ao", 2)


@sequence
async def exits(run: Run) -> None:
    """End the program, as it thinks."""
    await run.set("rec.ao", 1)
    sys.exit(3)
