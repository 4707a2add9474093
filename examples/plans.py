"""Sequences in Python, which `python = ["plans"]` in orchestrator.toml makes known.

orchestrator run align --config examples/orchestrator.toml (which says what to start first)
orchestrator run warm_up target=32 --config examples/orchestrator.toml
"""

import math

from orchestrator import Run, State, When, function, sequence


@function
def nearest_step(position: float, step: float) -> float:
    """The nearest multiple of a step."""
    return math.floor(position / step + 0.5) * step


@sequence
async def align(run: Run, start: float = -1.0, stop: float = 1.0, points: int = 9) -> None:
    """Scan the stage, and go to the peak."""
    await run.set("shutter.state", "Open", readback="shutter.state_rbv")
    try:
        for x in run.linspace("stage.x", start, stop, points):
            await run.set("stage.x", x, readback="stage.x_rbv", tolerance=0.005)
            await run.set("det.acquire", 1)
            await run.sample("stage.x_rbv", "det.counts")
        peak = await run.value("peak(data('stage.x_rbv'), data('det.counts'))")
        best = await run.call("nearest_step", position=peak, step=0.05)
        await run.set("stage.x", best, readback="stage.x_rbv", tolerance=0.005)
        await run.log(f"at the peak, {best:.2f} mm")
    finally:
        await run.set("shutter.state", "Closed")


@sequence
async def warm_up(run: Run, target: float = 28.0, patience: float = 60.0) -> None:
    """Warm the sample up and let it settle, as a state machine."""

    async def heat() -> None:
        await run.set_all({"temp.ramp_rate": 5.0, "temp.setpoint": target})

    last = await run.machine(
        {
            "heating": State(
                entry=heat,
                when=[
                    When(f"abs(temp.readback - {target}) < 0.5", "settling"),
                    When(after=patience, to="cold"),
                ],
            ),
            "settling": State(
                when=[
                    When(f"abs(temp.readback - {target}) > 1", "heating"),
                    When(after=0.5, to="warm"),
                ],
            ),
            "warm": State(),
            "cold": State(),
        }
    )
    await run.log(f"the sample is {last}")
