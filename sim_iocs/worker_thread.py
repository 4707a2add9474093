"""A driver that blocks, in a thread of its own behind two queues.

Prefix `SIM:WORKER:`:

| PV      | type   | unit | meaning                                                            |
| ------- | ------ | ---- | ------------------------------------------------------------------ |
| Measure | int    |      | Input to measure, 0 … 7. A put-callback completes when Value is    |
|         |        |      | there; it fails if the instrument does not answer (input 7), and   |
|         |        |      | at once while four measurements wait.                              |
| Value   | double | V    | The last measurement; INVALID after one that failed.               |
| Error   | text   |      | Why it failed, or empty.                                           |
| Done    | int    |      | Measurements since the start, failed ones included.                |
| Waiting | int    |      | Measurements that wait for their turn, or are being made.          |
| Delay   | double | s    | How long the instrument takes: 0 … 10.                             |

The event loop serves clients all the while: only the thread waits for the instrument. Requests go
to it by one queue, bounded, and responses come back by the other.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestrator.ioc import TextRO
from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import AlarmSeverity, AlarmStatus
from caproto.server import pvproperty

MOST_WAITING = 4
NOT_READ = (AlarmStatus.READ, AlarmSeverity.INVALID_ALARM)

_INPUT = {"lower_ctrl_limit": 0, "upper_ctrl_limit": 7}
_DELAY = {"units": "s", "precision": 3, "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 10.0}


@dataclass(frozen=True, slots=True)
class Request:
    """What the thread is to do."""

    number: int
    """Input."""
    delay: float
    """Seconds."""
    done: asyncio.Future[None]
    """For the putter that waits; touched in the event loop only."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came of it."""

    request: Request
    value: float = math.nan
    """Volts."""
    error: str = ""


def measure(number: int, delay: float) -> float:
    """Stands for a vendor's library, whose calls take their time and can't be interrupted.

    Raises:
        TimeoutError: the instrument does not answer.
    """
    time.sleep(delay)
    if number == 7:
        raise TimeoutError(f"input {number} does not answer")
    return number + 0.5


def work(requests: queue.Queue[Request | None], respond: Callable[[Response], None]) -> None:
    """Measure until the queue brings None; an error is a response too."""
    while (request := requests.get()) is not None:
        try:
            response = Response(request, measure(request.number, request.delay))
        except Exception as error:  # noqa: BLE001 - top of a thread: told to those who asked
            response = Response(request, error=str(error) or repr(error))
        with suppress(RuntimeError):  # the event loop is closed: the IOC has stopped meanwhile
            respond(response)


class WorkerThreadIOC(SimGroup):
    """One instrument."""

    measure = pvproperty(name="Measure", value=0, doc="input to measure", **_INPUT)
    value = pvproperty(
        name="Value", value=0.0, units="V", precision=3, read_only=True, doc="the last measurement"
    )
    error = pvproperty(name="Error", value="", dtype=TextRO, doc="why it failed")
    done = pvproperty(name="Done", value=0, read_only=True, doc="measurements")
    waiting = pvproperty(name="Waiting", value=0, read_only=True, doc="still to come")
    delay = pvproperty(name="Delay", value=0.2, doc="of the instrument", **_DELAY)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._requests: queue.Queue[Request | None] = queue.Queue()

    @measure.startup
    async def measure(self, instance: Any, async_lib: Any) -> None:
        """Start the thread, and publish what comes back from it, for ever."""
        del instance, async_lib
        loop = asyncio.get_running_loop()
        responses: asyncio.Queue[Response] = asyncio.Queue()

        def respond(response: Response) -> None:
            loop.call_soon_threadsafe(responses.put_nowait, response)

        # A daemon: an instrument that never answers must not keep the IOC from stopping.
        threading.Thread(target=work, args=(self._requests, respond), daemon=True).start()
        while True:
            await self._publish(await responses.get())

    @measure.shutdown
    async def measure(self, instance: Any, async_lib: Any) -> None:
        """Let the thread end after what it is at."""
        del instance, async_lib
        self._requests.put(None)

    @measure.putter
    async def measure(self, instance: Any, value: int) -> None:
        """Queue a measurement; returns when it is done."""
        if self.waiting.value >= MOST_WAITING:
            raise RuntimeError(f"{instance.pvname}: {MOST_WAITING} measurements wait already")
        done = asyncio.get_running_loop().create_future()
        await post(self.waiting, self.waiting.value + 1)
        self._requests.put(Request(value, self.delay.value, done))
        await done

    async def _publish(self, response: Response) -> None:
        alarm = (NOT_READ,) if response.error else ()
        await post(self.value, response.value, *alarm)
        await post(self.error, response.error)
        await post(self.done, self.done.value + 1)
        await post(self.waiting, self.waiting.value - 1)
        done = response.request.done
        if done.cancelled():  # whoever put it has gone
            return
        if response.error:
            done.set_exception(TimeoutError(response.error))
        else:
            done.set_result(None)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(WorkerThreadIOC, argv, default_prefix="SIM:WORKER:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
