"""pyepics by itself. No settings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import epics

from orchestrator.bench.programs.answering import answer_all_plainly


def puts(pv: str, count: int) -> dict[str, Any]:
    """Puts with callback, one after the other."""
    channel = epics.PV(pv)
    channel.wait_for_connection(10)
    began = time.perf_counter()
    for index in range(count):
        channel.put(index % 100, wait=True, timeout=10)
    return {"seconds": time.perf_counter() - began}


def scan(positioner: str, readback: str, sampled: Sequence[str], count: int) -> dict[str, Any]:
    """Put, poll the monitored readback, read all in one go."""
    channel, back = epics.PV(positioner), epics.PV(readback, auto_monitor=True)
    sources = [epics.PV(pv, auto_monitor=False) for pv in sampled]
    for each in (channel, back, *sources):
        each.wait_for_connection(10)
    began = time.perf_counter()
    for index in range(count):
        channel.put(index, wait=True, timeout=10)
        while abs(back.value - index) > 1e-3:
            time.sleep(1e-4)
        for source in sources:
            epics.ca.get(source.chid, wait=False)
        [epics.ca.get_complete(source.chid, timeout=5) for source in sources]
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    answer_all_plainly({"puts": puts, "scan": scan})
