"""IOCs of the older kind, of which sequence servers come: caproto alone, and a system of its own.

`python original_iocs.py original MASTER …` is one that knows nothing of us, without INDEX, whose
client follows the master's `Nested_Indices`; `kept MASTER …` the same system, unmodified, behind
the sequence server of the kit; `bare MASTER …` the kit's server without any system.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path
from typing import Any

from orchestrator.ioc import Group, SequenceServer, SubGroup, run_ioc  # first, for the kit's two

# isort: split
from caproto.server import PVGroup, pvproperty, run
from caproto.server import SubGroup as CaprotoSubGroup

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, beside no package
from original_system import OriginalSystem


class OriginalServer(PVGroup):
    """Shows what its system puts, and hands CMD on to it."""

    system: Any = None
    cmd = pvproperty(name="CMD", value="", max_length=10000, dtype=str)
    ack = pvproperty(name="ACK", value=0, read_only=True)
    message = pvproperty(name="message", value="", read_only=True, dtype=str, max_length=1000)
    values = pvproperty(name="values", value=[float("nan")] * 2, read_only=True, max_length=10000)

    @cmd.startup
    async def cmd(self, instance: Any, async_lib: Any) -> None:
        self.io_put_queue = async_lib.ThreadsafeQueue()
        shown = {"ACK": self.ack, "message": self.message, "values": self.values}
        while True:
            for name, value in (await self.io_put_queue.async_get()).items():
                number = int(str(value)[:1]) if name == "ACK" else value
                await shown[name].write(number, verify_value=False)

    @cmd.putter
    async def cmd(self, instance: Any, value: str) -> str:
        threading.Thread(target=self.system.io_execute, args=("CMD", value)).start()
        return value


class Original(PVGroup):
    val = pvproperty(name="VAL", value=0.0)
    seq = CaprotoSubGroup(OriginalServer, prefix="seq.")
    io_put_queue: Any = None

    @val.startup
    async def val(self, instance: Any, async_lib: Any) -> None:
        self.io_put_queue = async_lib.ThreadsafeQueue()
        while True:
            item = await self.io_put_queue.async_get()
            await self.val.write(item["VAL"], verify_value=False)


class System(OriginalSystem):
    """ACK and what else is the server's go to its queue, VAL to the IOC's."""

    def io_put(self, pv_name: str, value: Any) -> None:
        group = self.io if pv_name == "VAL" and self.io.io_put_queue else self.io.seq
        group.io_put_queue.put({pv_name: value})


class ThreadingClient:
    """The older kind's: the bytes of each update go to the system as they are."""

    def __init__(self, system: OriginalSystem, master: str) -> None:
        from caproto.threading.client import Context

        self._context = Context()
        self._system = system
        (pv,) = self._context.get_pvs(f"{master}Nested_Indices")
        self._subscription = pv.subscribe()
        self._subscription.add_callback(self.monitor)

    def monitor(self, subscription: Any, response: Any) -> None:
        if len(response.data) and response.data[0]:
            self._system.io_execute("Nested_Indices", response.data)


def run_original(master: str, given: dict[str, str]) -> int:
    """By caproto's own `run`."""
    os.environ["EPICS_CA_SERVER_PORT"] = given["--port"]
    ioc, system = Original(prefix=given["--prefix"]), System()
    system.io = ioc
    ioc.seq.system = system
    client = ThreadingClient(system, master)

    async def say_ready(_library: object) -> None:
        print(f"READY port={given['--port']}", flush=True)  # noqa: T201 - the test waits for it

    run(
        ioc.pvdb,
        interfaces=[given["--interfaces"]],
        module_name="caproto.asyncio.server",
        startup_hook=say_ready,
    )
    del client
    return 0


class Kept(Group):
    val = pvproperty(name="VAL", value=0.0, read_only=True)
    seq = SubGroup(SequenceServer, prefix="seq.", master="{MASTER}", name="test.server")
    io_put_queue: Any = None
    system: Any = None


def kept(*args: Any, **kwargs: Any) -> Kept:
    """Linked as they always were, from outside."""
    ioc, system = Kept(*args, **kwargs), System()
    system.io = ioc
    ioc.seq.system = ioc.system = system
    return ioc


def main() -> int:
    kind, master, *rest = sys.argv[1:]
    if kind == "original":
        return run_original(master, dict(itertools.pairwise(rest)))
    make = kept if kind == "kept" else Kept
    return run_ioc(make, rest, default_prefix="K:", desc=kind, macros={"MASTER": master})


if __name__ == "__main__":
    sys.exit(main())
