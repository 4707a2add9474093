"""The line by which the process of an IOC is told to misbehave, and by which it answers."""

from __future__ import annotations

import time

from orchestrator.errors import OrchestratorError
from sim_iocs.process import Process

FAULT_TIMEOUT = 5.0
"""Seconds in which an IOC says whether it does what a fault lever asks for."""

_ANSWER = "FAULT "


class FleetError(OrchestratorError):
    """A simulated IOC did not start, or does not obey: the text holds what it wrote."""


class FaultLine:
    """The stdin of one process, and its answers among what it writes to stdout."""

    def __init__(self, process: Process) -> None:
        """Nothing has been asked yet."""
        self._process = process
        self._asked = 0

    def tell(self, line: str) -> str:
        """Write a line; its answer, `ok` or `error: …`.

        Raises:
            FleetError: it is down, or did not answer within `FAULT_TIMEOUT`.
        """
        name = self._process.name
        if self._process.ended:
            raise FleetError(f"{name} is down: it can't be told {line}")
        self._asked += 1
        self._process.write(line)
        deadline = time.monotonic() + FAULT_TIMEOUT
        # By number: the answer to one that came too late may stand before it.
        while len(answers := self._answers()) < self._asked:
            if self._process.ended:
                raise FleetError(f"{name} ended at {line}:\n{self._process.log}")
            if time.monotonic() > deadline:
                raise FleetError(
                    f"{name} did not answer to {line} within {FAULT_TIMEOUT:g} s: "
                    f"is it frozen, or no IOC of orchestrator.ioc?\n{self._process.log}"
                )
            time.sleep(0.002)
        return answers[self._asked - 1]

    def _answers(self) -> list[str]:
        return [
            line.removeprefix(_ANSWER) for line in self._process.lines if line.startswith(_ANSWER)
        ]
