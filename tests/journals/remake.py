"""Records the journals of this directory anew, from a real service and simulated IOCs.

    python tests/journals/remake.py

To be run when the format changes, or when what is recorded can no longer come about. Each function
is the night of the journal of its name; `tests/unit/replay/test_journals.py` replays them.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE.parent / "system"),
    str(HERE.parent / "system/service"),
    str(HERE.parents[1]),
]

from service_rig import Rig, rig_of  # noqa: E402 - found by the line above
from sim_helpers import RefusedError, until  # noqa: E402 - as above

from sim_iocs.fleet import Fleet  # noqa: E402 - as above

SCAN = """
    parameters: {points: 3}
    steps:
      - loop: {pv: stage.x, from: 0, to: 0.4, num: $(points), readback: stage.x_rbv,
               tolerance: 0.01}
        do:
          - delay: 0.2
          - sample: [stage.x_rbv, rec.calc, rec.wave]
    finally:
      - set: {pv: rec.bo, value: "On"}
"""
FAR = """
    steps:
      - set: {pv: stage.velo, value: 0.1}
      - set: {pv: stage.x, value: 2, timeout: 60}
    finally:
      - set: {pv: rec.ao, value: 0}
"""


def pause_and_samples(rig: Rig) -> None:
    """A scan, paused in its middle and resumed."""
    done = rig.start(rig.sequence(SCAN, "scan"), {"points": 4})
    until(lambda: rig.get("DATA:NPTS") == 2)
    rig.put("PAUSE", 1)
    rig.until("STATE", "Paused")
    rig.client.put("SIM:REC:Ao", 3)
    rig.put("PAUSE", 0)
    done()


def lost_motor(rig: Rig) -> None:
    """The motor's IOC dies while it moves; the next run does without it."""
    done = rig.start(rig.sequence(FAR, "far"))
    until(lambda: rig.client.get("SIM:STAGE:X.DMOV") == 0)
    rig.fleet["motor"].kill()
    with suppress(RefusedError):
        done()
    rig.run("steps: [{set: {pv: rec.ao, value: 4, readback: rec.calc, readback_value: 9}}]")


def record(night: Callable[[Rig], None]) -> None:
    """Live through a night, and keep its recording without the names of this machine."""
    with tempfile.TemporaryDirectory() as folder, Fleet(["motor", "records"], seed=1) as fleet:
        directory = Path(folder, "rig")
        options = ["--record", "night.jsonl"]
        with rig_of(fleet, directory, options=options) as rig:
            for name in ("stage", "rec"):
                rig.until(f"CHAIN:{name}:STATUS", "Connected")
            night(rig)
            rig.service.signal(signal.SIGTERM)
            rig.service.end()
            text = (directory / "night.jsonl").read_text()
    text = text.replace(str(directory) + os.sep, "")
    text = text.replace(f"{getpass.getuser()}@{socket.gethostname()}", "user@host")
    (HERE / f"{night.__name__}.jsonl").write_text(text)


if __name__ == "__main__":
    for each in (pause_and_samples, lost_motor):
        record(each)
