"""Every command at every await of every step that stands alone."""

from __future__ import annotations

import pytest

from tests.unit.engine.moments import COMMANDS, check_every_await

STEPS = {
    "set": "[{set: {pv: sim.x, value: 1}}]",
    "set with readback": "[{set: {pv: sim.x, value: 1, readback: sim.x_rbv, settle: 0.5}}]",
    "set all": "[{set: {all: [{pv: sim.x, value: 1}, {pv: sim.y, value: 2}], timeout: 9}}]",
    "wait": "[{wait: {pv: sim.counts, above: 1, timeout: 900}}]",
    "wait until": "[{wait: {until: sim.counts > 1, timeout: 900}}]",
    "delay": "[{delay: 0.5}]",
    "sample": "[{sample: [sim.x, sim.counts]}]",
}
"""One for each kind; with those of `test_every_moment_of_blocks`, every await of the engine."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", STEPS)
def test_every_command_at_every_await(kind: str, command: str) -> None:
    check_every_await(kind, STEPS[kind], command)
