"""IOCs of the tests of sequence servers: a master's PV, and a server with a plain system.

`python chained_iocs.py master …` serves `Nested_Indices`; `server LOG NAME MASTER …` a system that
notes each call as a line of LOG; `caproto …` the same under caproto's own `run`.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.ioc import Group, SequenceServer, SubGroup, TextPV, run_ioc  # first

# isort: split
from caproto.server import PVGroup, pvproperty, run
from caproto.server import SubGroup as CaprotoSubGroup


class System:
    """Knows nothing of us: it finds its two queues as its attributes."""

    log: Path

    def io_execute(self, pv_name: str, value: Any) -> None:
        asked = []
        while not self.io_get_queue.empty():
            asked.append(self.io_get_queue.get())
        thread = threading.current_thread() is threading.main_thread()
        with self.log.open("a") as log:
            log.write(json.dumps([pv_name, value, thread, asked]) + "\n")
        if isinstance(value, dict):
            time.sleep(value.get("seconds", 0))
        elif isinstance(value, str):
            raise ValueError(value)
        else:
            self.io_put_queue.put({"VAL": value, "message": "on my way", "nowhere": 1, "ACK": 7})


class Master(Group):
    indices = pvproperty(name="Nested_Indices", dtype=TextPV, value="", max_length=65536)


class Server(Group):
    val = pvproperty(name="VAL", value=0.0, read_only=True)
    seq = SubGroup(SequenceServer, prefix="seq.", master="{MASTER}", name="stage", system=System)

    def __init__(self, *args: Any, server: str = "stage", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seq.server_name = server


class CaprotoServer(PVGroup):
    """As anybody would write it with caproto alone."""

    val = pvproperty(name="VAL", value=0.0, read_only=True)
    seq = CaprotoSubGroup(
        SequenceServer, prefix="seq.", master="TOP:", server_name="stage", system=System
    )


def run_plain(argv: list[str]) -> int:
    """What `run_ioc` does of its options, by caproto's `run`."""
    given = dict(itertools.pairwise(argv))
    os.environ["EPICS_CA_SERVER_PORT"] = given["--port"]

    async def say_ready(_library: object) -> None:
        print(f"READY port={given['--port']}", flush=True)  # noqa: T201 - the test waits for it

    run(
        CaprotoServer(prefix=given["--prefix"]).pvdb,
        interfaces=[given["--interfaces"]],
        module_name="caproto.asyncio.server",
        startup_hook=say_ready,
    )
    return 0


def main() -> int:
    kind, *rest = sys.argv[1:]
    if kind == "master":
        return run_ioc(Master, rest, default_prefix="TOP:", desc="a master")
    System.log = Path(rest.pop(0))
    if kind == "caproto":
        return run_plain(rest)
    name, master, *rest = rest
    make = partial(Server, server=name)
    macros = {"MASTER": master}
    return run_ioc(make, rest, default_prefix="SRV:", desc="a server", macros=macros)


if __name__ == "__main__":
    sys.exit(main())
