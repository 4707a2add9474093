"""A client on pyepics that prints every update of the PVs it is given, in the order of libca.

Unlike aioca, which hands on at once all that waits of one PV, pyepics calls back from libca's own
thread: what came first on a circuit is printed first.
"""

import json
import sys
import time
from typing import Any

import epics

told: set[str] = set()


def plain(value: Any, kind: str, labels: Any) -> Any:
    """A value as JSON takes it: text for CHAR, a label for an enum."""
    if "char" in kind:
        return bytes(value).partition(b"\0")[0].decode()
    if labels:
        return labels[int(value)]
    return value.tolist() if hasattr(value, "tolist") else value


def say(pvname: str, value: Any, type: str = "", enum_strs: Any = (), **more: Any) -> None:
    shown = plain(value, type, enum_strs)
    if more["nelm"] > 1 and isinstance(shown, float | int):
        shown = [shown]  # pyepics makes an array of one element a scalar
    told.add(pvname)
    line = json.dumps([pvname, shown])
    sys.stdout.write(line + "\n")  # one write: the threads of several circuits come here
    sys.stdout.flush()


if __name__ == "__main__":
    pvs = [epics.PV(name, callback=say, auto_monitor=True, form="ctrl") for name in sys.argv[1:]]
    while True:
        time.sleep(1)
        for pv in pvs:  # a first update may come before pyepics has its callback, and get lost
            if pv.connected and pv.pvname not in told:
                pv.get()
                pv.run_callbacks()
