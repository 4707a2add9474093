"""What TAB offers in a shell."""

from __future__ import annotations

import pytest
from cli_rig import Shell


def offered(shell: Shell, line: str) -> list[str]:
    """What bash is told for the last word of a line."""
    shell.env |= {
        "_ORCHESTRATOR_COMPLETE": "complete_bash",
        "COMP_WORDS": f"orchestrator {line}",
        "COMP_CWORD": str(len(line.split(" "))),
    }
    done = shell.run()
    assert (done.code, done.err) == (0, "")
    return done.out.split()


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("hist", ["history"]),
        ("run q", ["quick"]),
        ("run al", ["align"]),  # in Python, which is read and not run
        ("check sequences/s", ["sequences/slow.yaml"]),
        ("get shutter.", ["shutter.state", "shutter.state_rbv"]),
        ("get --config wrong.toml st", []),
        ("show 2026", ["20260102T030405.678Z-k3", "20260101T030405.678Z-k3"]),
    ],
)
def test_names_are_offered_and_nothing_is_said_where_there_are_none(
    shell: Shell, line: str, some: list[str]
) -> None:
    shell.write("wrong.toml", "prefix = 5")
    for day in (1, 2):
        (shell.folder / f"runs/runs/2026010{day}T030405.678Z-k3").mkdir(parents=True)
    assert offered(shell, line) == some
