"""A caproto IOC for the client's tests, as caproto serves it by itself.

As variant `other`, X is a long text.
"""

import asyncio
import sys
import threading

from options import OPTIONS, READY, VARIANT  # first: caproto reads its settings when imported

# isort: split
from caproto import ChannelType
from caproto.asyncio.server import start_server
from caproto.server import PVGroup, pvproperty


class Pvs(PVGroup):
    """A few PVs with manners."""

    x = pvproperty(name="X", value=1.5, units="mm", precision=2)
    y = pvproperty(name="Y", value=0.0)
    n = pvproperty(name="N", value=7)
    text = pvproperty(name="TEXT", value="hello", max_length=400)
    string = pvproperty(name="NAME", value="short", dtype=ChannelType.STRING)
    mode = pvproperty(
        name="MODE", value="Slow", dtype=ChannelType.ENUM, enum_strings=["Off", "Slow", "Fast"]
    )
    wave = pvproperty(name="WAVE", value=[1.0, 2.0, 3.0], max_length=10)
    ro = pvproperty(name="RO", value=2.0, read_only=True)
    picky = pvproperty(name="PICKY", value=0.0)
    slow = pvproperty(name="SLOW", value=0.0)
    begun = pvproperty(name="BEGUN", value=0)
    running = pvproperty(name="RUNNING", value=0)
    most = pvproperty(name="MOST", value=0)
    unit = pvproperty(name="UNIT", value="mm", dtype=ChannelType.STRING)
    late = pvproperty(name="LATE", value=1.0, units="mm")
    release = pvproperty(name="RELEASE", value=0)
    reads = pvproperty(name="READS", value=0, units="reads")
    start = pvproperty(name="START", value=0.0)
    message = pvproperty(name="message", value="", max_length=100)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._subscribe, self.late.subscribe = self.late.subscribe, self._subscribe_late
        self._released = asyncio.Event()
        self._tasks = []

    async def _subscribe_late(self, queue, sub_spec, sub):
        """Answer for metadata only when RELEASE is written: LATE tells its values before."""
        answer = self._subscribe(queue, sub_spec, sub)
        if not sub_spec.data_type_name.startswith("CTRL"):
            await answer
            return
        self._tasks.append(asyncio.create_task(self._answer_after(self._released, answer)))

    async def _answer_after(self, released, answer):
        await released.wait()
        await answer

    @release.putter
    async def release(self, instance, value):
        self._released.set()
        self._released = asyncio.Event()

    @unit.putter
    async def unit(self, instance, value):
        await self.x.write_metadata(units=value)

    @reads.getter
    async def reads(self, instance):
        """How often it was read."""
        return instance.value + 1

    @picky.putter
    async def picky(self, instance, value):
        raise ValueError("not that")

    @start.putter
    async def start(self, instance, value):
        """As that of a service: completes when its run has ended, after as many seconds."""
        await asyncio.sleep(value)

    @slow.putter
    async def slow(self, instance, value):
        """Takes as many seconds as are written, and counts what overlaps."""
        await self.begun.write(self.begun.value + 1)
        running = self.running.value + 1
        await self.running.write(running)
        await self.most.write(max(running, self.most.value))
        await asyncio.sleep(value)
        await self.running.write(self.running.value - 1)


class Others(PVGroup):
    """The same names, of other types."""

    x = pvproperty(name="X", value="text now", max_length=100)


async def serve() -> None:
    group = (Others if VARIANT == "other" else Pvs)(OPTIONS.prefix)

    async def say_ready(_library: object) -> None:
        print(READY, flush=True)  # noqa: T201 - the test waits for it

    await start_server(
        group.pvdb, interfaces=[OPTIONS.interfaces], log_pv_names=False, startup_hook=say_ready
    )


threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
sys.stdin.read()  # until the test ends
