"""Every command at every await of every step that holds others or moves servers."""

from __future__ import annotations

import pytest

from tests.unit.engine.moments import COMMANDS, check_every_await

STEPS = {
    "let, log and if": "[{let: {a: sim.x + 1}}, {log: $(a)}, {if: a > 0, then: [{delay: 0.5}]}]",
    "loop": "[{loop: {pv: sim.x, from: 0, to: 1, num: 2}, do: [{sample: [sim.counts]}]}]",
    "trajectories": "[{trajectories: {servers: {stage: [1, 2], laser: [3]}}}]",
    "nested": "[{trajectories: {servers: {stage: [1, 2]}}},"
    " {nested: {over: [stage]}, do: [{delay: 0.5}]}]",
    "group": "[{group: [{delay: 0.5}, {set: {pv: sim.y, value: 1}}]}]",
}
"""One for each kind; with those of `test_every_moment`, every await of the engine."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", STEPS)
def test_every_command_at_every_await(kind: str, command: str) -> None:
    check_every_await(kind, STEPS[kind], command)
