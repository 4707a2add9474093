"""pysmlib: a state machine that puts, and goes on when the put is complete. No settings."""

from __future__ import annotations

import threading
import time
from typing import Any

import smlib

from orchestrator.bench.programs.answering import answer_all_plainly


class Putting(smlib.fsmBase):  # type: ignore[misc] # untyped
    """Puts again and again."""

    def __init__(self, pv: str, count: int) -> None:
        super().__init__("putting", logger=smlib.fsmLogger(0))
        self.io = self.connect(pv)
        self.left = count
        self.began = 0.0
        self.done = threading.Event()
        self.gotoState("connecting")

    def connecting_eval(self) -> None:
        """Wait for the channel."""
        if self.io.initialized():
            self.gotoState("putting")

    def putting_entry(self) -> None:
        """The first put."""
        self.began = time.perf_counter()
        self.io.put(0)

    def putting_eval(self) -> None:
        """The next one, once the one before is complete."""
        if self.io.putComplete():
            self.left -= 1
            if self.left > 0:
                self.io.put(self.left % 100)
            else:
                self.done.set()
                self.gotoState("idle")

    def idle_eval(self) -> None:
        """Nothing more."""


def puts(pv: str, count: int) -> dict[str, Any]:
    """Puts with callback, one after the other."""
    machine = Putting(pv, count)
    machine.start()
    if not machine.done.wait(120):
        raise TimeoutError(f"{machine.left} puts were left")
    taken = time.perf_counter() - machine.began
    machine.kill()
    return {"seconds": taken}


if __name__ == "__main__":
    answer_all_plainly({"puts": puts})
