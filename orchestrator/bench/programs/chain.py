"""The bare chain: an aioca callback that writes a caproto PV at once. Tuned, as facts demand.

Settings: `port`; `mirrors`, {remote PV: name of its mirror}; `length` of each (1 = a number);
`pvs`: numbers `W0 …` that nobody monitors, to be written.
"""

from __future__ import annotations

import os

# Without these caproto holds back updates by 10 ms and more; read when it is imported.
os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC", "1e-6")
os.environ.setdefault("CAPROTO_SERVER_MAX_LATENCY_SEC", "0.005")
os.environ.setdefault("CAPROTO_MAX_SUBSCRIPTION_BACKLOG", "50")

import asyncio
import socket
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.startup import libca  # noqa: F401 - before anything imports libca

# isort: split
import aioca
import caproto as ca
import numpy as np
from caproto.asyncio.server import Context

from orchestrator.bench.programs.answering import answer_all, settings


class Tuned(Context):  # type: ignore[misc] # caproto is untyped
    """caproto's server with TCP_NODELAY."""

    async def tcp_handler(self, client: Any, addr: Any) -> None:
        """Take a new client."""
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await super().tcp_handler(client, addr)


async def write(channel: Any, value: Any) -> None:
    """Pass on one update with its stamp and alarm."""
    await channel.write(
        np.asarray(value) if channel.max_length > 1 else float(value),
        verify_value=False,
        timestamp=value.timestamp,
        severity=value.severity,
        status=value.status,
    )


def mirror(pv: str, channel: Any) -> None:
    """Write each update of a PV to a channel, at once."""

    async def changed(value: Any) -> None:
        await write(channel, value)

    aioca.camonitor(pv, changed, format=aioca.FORMAT_TIME, all_updates=True)


class Writes:
    """caproto's own cost of a write."""

    def __init__(self, pvs: list[Any]) -> None:
        """The channels to be written."""
        self._pvs = pvs

    async def writes(self, count: int) -> dict[str, Any]:
        """CPU time of this many rounds over all channels."""
        stamp, began = time.time(), time.process_time()
        for index in range(count):
            for pv in self._pvs:
                await pv.write(
                    float(index), verify_value=False, timestamp=stamp, severity=0, status=0
                )
            await asyncio.sleep(0)
        return {"seconds": (time.process_time() - began) / max(count * len(self._pvs), 1)}


async def main(given: Mapping[str, Any]) -> None:
    """Serve until the benchmark has no more questions."""
    length = given.get("length", 1)
    value = 0.0 if length == 1 else np.zeros(0)
    mirrors = {
        pv: (name, ca.ChannelDouble(value=value, max_length=length))
        for pv, name in given.get("mirrors", {}).items()
    }
    pvs = {f"W{index}": ca.ChannelDouble(value=0.0) for index in range(given.get("pvs", 0))}
    context = Tuned({**dict(mirrors.values()), **pvs}, ["127.0.0.1"])
    context.ca_server_port = given["port"]
    serving = asyncio.create_task(context.run())
    for pv, (_, channel) in mirrors.items():
        mirror(pv, channel)
    await asyncio.sleep(0.3)
    await answer_all({"writes": Writes(list(pvs.values())).writes})
    serving.cancel()
    os._exit(0)  # caproto's server has no end of its own


if __name__ == "__main__":
    asyncio.run(main(settings()))
