"""An IOC of the tests of sequences: it pulses, is slow, refuses, and counts what it is asked.

Prefix `OWN:`:

| PV          | type   | meaning                                                               |
| ----------- | ------ | --------------------------------------------------------------------- |
| Trigger     | int    | A put of n lets Pulse go 0, 1, 0 once, 3 ms later, for n ms.          |
| Pulse       | int    |                                                                       |
| Pulses      | int    | How many there were.                                                  |
| Burst       | int    | A put of n posts 1 … n to Merged and Kept; completes when all are out.|
| Merged, Kept| int    |                                                                       |
| Slow        | double | A put takes as many seconds as Slow:Time says.                        |
| Slow:Time   | double |                                                                       |
| Slow:Begun  | int    | Puts to Slow since the start.                                         |
| Slow:Most   | int    | The most that ran at once.                                            |
| Slow:Done   | double | The value that the last put to Slow to end had brought.               |
| Held, Other | double | Puts to them are counted in …                                         |
| Held:Count, Other:Count | int | … these.                                                     |
| Picky       | double | Refuses as many puts as Picky:Refuses says, and counts it down.       |
| Picky:Refuses | int  |                                                                       |
| Picky:Count | int    | Puts to Picky, refused ones included.                                 |
| Beam        | double | 100 at the start.                                                     |
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from typing import Any

from orchestrator.ioc import Group, run_ioc  # first: caproto reads its settings when imported

# isort: split
from caproto.server import pvproperty

AT_ONCE = 20
"""Posts of a burst before clients are sent them: fewer than the server keeps for each."""


class Own(Group):
    """See above."""

    trigger = pvproperty(name="Trigger", value=0)
    pulse = pvproperty(name="Pulse", value=0)
    pulses = pvproperty(name="Pulses", value=0)
    burst = pvproperty(name="Burst", value=0)
    merged = pvproperty(name="Merged", value=0)
    kept = pvproperty(name="Kept", value=0)
    slow = pvproperty(name="Slow", value=0.0)
    slow_time = pvproperty(name="Slow:Time", value=0.0)
    slow_begun = pvproperty(name="Slow:Begun", value=0)
    slow_most = pvproperty(name="Slow:Most", value=0)
    slow_done = pvproperty(name="Slow:Done", value=0.0)
    held = pvproperty(name="Held", value=0.0)
    held_count = pvproperty(name="Held:Count", value=0)
    other = pvproperty(name="Other", value=0.0)
    other_count = pvproperty(name="Other:Count", value=0)
    picky = pvproperty(name="Picky", value=0.0)
    picky_refuses = pvproperty(name="Picky:Refuses", value=0)
    picky_count = pvproperty(name="Picky:Count", value=0)
    beam = pvproperty(name="Beam", value=100.0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pulsing: set[asyncio.Task[None]] = set()
        self._running = 0

    @trigger.putter
    async def trigger(self, instance: Any, value: int) -> None:
        del instance
        task = asyncio.create_task(self._pulse(value / 1000))
        self._pulsing.add(task)
        task.add_done_callback(self._pulsing.discard)

    async def _pulse(self, width: float) -> None:
        await asyncio.sleep(0.003)
        await self.pulse.write(1)
        if width:
            await asyncio.sleep(width)
        await self.pulse.write(0)
        await self.pulses.write(self.pulses.value + 1)

    @burst.putter
    async def burst(self, instance: Any, value: int) -> None:
        del instance
        for number in range(1, value + 1):
            await self.merged.write(number)
            await self.kept.write(number)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0.002)

    @slow.putter
    async def slow(self, instance: Any, value: float) -> None:
        del instance
        self._running += 1
        await self.slow_begun.write(self.slow_begun.value + 1)
        await self.slow_most.write(max(self._running, self.slow_most.value))
        await asyncio.sleep(self.slow_time.value)
        await self.slow_done.write(value)
        self._running -= 1

    @held.putter
    async def held(self, instance: Any, value: float) -> None:
        del instance, value
        await self.held_count.write(self.held_count.value + 1)

    @other.putter
    async def other(self, instance: Any, value: float) -> None:
        del instance, value
        await self.other_count.write(self.other_count.value + 1)

    @picky.putter
    async def picky(self, instance: Any, value: float) -> None:
        del instance, value
        await self.picky_count.write(self.picky_count.value + 1)
        if self.picky_refuses.value > 0:
            await self.picky_refuses.write(self.picky_refuses.value - 1)
            raise ValueError("not now")


if __name__ == "__main__":
    sys.exit(run_ioc(Own, default_prefix="OWN:", desc=__doc__ or ""))
