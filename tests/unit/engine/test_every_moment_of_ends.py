"""Every command at every await where an end meets others: questions, branches, user code."""

from __future__ import annotations

import pytest

from tests.unit.engine.moments import COMMANDS, check_every_await

STEPS = {
    "question": "[{ask: go on?}, {set: {pv: sim.x, value: 1}}]",
    "branches": "[{parallel: [{group: [{delay: 0.3}, {set: {pv: sim.x, value: 1}}]}, "
    "{parallel: [{group: [{log: a}, {set: {pv: sim.y, value: 1}}]}, {delay: 0.3}]}]}]",
    "sub-sequence": "[{run: untidy, on_error: continue}, {set: {pv: sim.x, value: 1}}]",
    "tries": "[{wait: {pv: sim.counts, above: 1, timeout: 0.4}, "
    "on_error: {retry: 5, delay: 0.2}}, {set: {pv: sim.x, value: 1}}]",
    "function": "[{call: {function: never_ended, args: {seconds: 0.3}}, on_error: continue}, "
    "{set: {pv: sim.x, value: 1}}]",
    "suspended": "suspend: {beam: {when: sim.turns > 0}}\n"
    "[{set: {pv: sim.x, value: 1}}, {delay: 0.2}, {set: {pv: sim.y, value: 1}}]",
    "Python": "[{run: plan}]",
    "Python, branches": "[{run: branches}]",
    "machine": "[{run: machine}]",
    "Python, suspended": "suspend: {beam: {when: sim.turns > 0}}\n[{run: plan}]",
    "branches, suspended": "suspend: {beam: {when: sim.turns > 0}}\n[{run: branches}]",
}

TIDY = {"Python", "Python, branches", "machine", "Python, suspended", "branches, suspended"}
"""Those whose every move has a clean-up behind it."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", STEPS)
def test_every_command_at_every_await(kind: str, command: str) -> None:
    check_every_await(kind, STEPS[kind], command, tidies=kind in TIDY)
