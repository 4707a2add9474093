"""submit and queue: runs that wait at a service, seen and changed from the command line."""

import json
import re
from collections.abc import Iterator

import pytest
from cli_rig import QUICK, Served, Shell, serving, until

WRONG = "steps:\n  - wait: {pv: stage.x_rbv, above: 1000, timeout: 0.2}\n"
"""Fails after a moment."""


@pytest.fixture(scope="module")
def service(servers_shell: Shell) -> Iterator[Served]:
    servers_shell.write("sequences/wrong.yaml", WRONG)
    servers_shell.write("sequences/third.yaml", QUICK)
    with serving(servers_shell) as served:
        yield served


def waiting(served: Served) -> dict[str, int]:
    """Their numbers by their names, next first."""
    return {run["name"]: run["number"] for run in json.loads(served.get("QUEUE"))}


def test_runs_wait_for_the_one_under_way_and_follow_each_other(served: Served) -> None:
    done = served.run("submit", "slow", "--server", "T:")
    assert done.code == 0
    submitted = re.fullmatch(r"T: slow submitted as run (\d+)\n", done.out)
    assert submitted is not None, done.out
    second, third = int(submitted[1]) + 1, int(submitted[1]) + 2
    served.until_delayed()
    json_of_it = served.run("submit", "quick", "a=5", "--server", "T:", "--json").json
    assert json_of_it == {"name": "quick", "number": second}
    served.ask("submit quick a=6")
    listed = served.run("queue", "--server", "T:")
    assert [line.split("  ")[:3] for line in listed.lines] == [
        [f"{second}", "quick", "a=5"],
        [f"{third}", "quick", "a=6"],
    ]
    assert "queue: 2 wait: quick, quick" in served.run("status", "--server", "T:").lines
    assert served.get("QUEUE_LEN") == 2
    served.ask("skip")
    served.until_told("a is 6")
    served.until_told("a is 5")
    served.until("BUSY", 0)
    done = served.run("queue", "list", "--server", "T:")
    assert (done.code, done.out) == (0, "")
    assert "nothing waits" in done.err
    assert not done.noise


def test_runs_are_moved_removed_and_cleared(served: Served) -> None:
    assert served.run("queue", "hold", "--server", "T:").code == 0
    for name in ("slow", "quick", "third"):
        served.ask(f"submit {name}")
    slow, quick, third = waiting(served).values()
    assert "T: held" in served.run("queue", "--server", "T:").err
    assert served.get("STATE") == "Idle"
    moved = served.run("queue", "move", f"{quick}", "1", "--server", "T:")
    assert moved.lines[0].startswith(f"{quick}  quick")
    assert served.run("queue", "remove", f"{slow}", "--server", "T:").code == 0
    facts = served.run("queue", "--server", "T:", "--json").json
    assert facts["held"]
    assert [run["name"] for run in facts["waiting"]] == ["quick", "third"]
    done = served.run("queue", "remove", f"{slow}", "--server", "T:")
    assert done.code == 2
    assert f"no run {slow} is waiting; waiting are {quick}, {third}" in done.err
    assert served.run("queue", "clear", "--server", "T:").code == 0
    assert served.get("QUEUE_LEN") == 0
    assert served.run("queue", "start", "--server", "T:").code == 0
    assert served.client.reading("T:QUEUE_LEN")["severity"] == 0, "no longer held"


def test_one_that_fails_holds_the_queue_and_says_how_it_ended(served: Served) -> None:
    served.ask("queue hold")
    served.ask("submit wrong")
    served.ask("submit quick a=9")
    served.ask("queue start")
    until(lambda: "Timeout" in served.get("QUEUE"))
    assert "Timeout" in served.run("queue", "--server", "T:").lines[0]
    assert "queue: held, 2 wait: wrong, quick" in served.run("status", "--server", "T:").lines
    served.ask(f"queue remove {waiting(served)['wrong']}")
    served.ask("queue start")
    served.until_told("a is 9")


def test_what_can_not_be_run_is_refused_when_it_is_submitted(served: Served) -> None:
    done = served.run("submit", "quik", "--server", "T:")
    assert done.code == 2
    assert "did you mean 'quick'?" in done.err
    done = served.run("submit", "quick", "b=1", "--server", "T:")
    assert done.code == 2
    assert "'b'" in done.err
    assert served.get("QUEUE_LEN") == 0
    served.shell.write("own.yaml", WRONG)
    done = served.run("submit", "own.yaml", "--server", "T:")
    assert done.code == 2
    assert "orchestrator run own.yaml --server T:" in done.err
    assert not done.noise


@pytest.mark.parametrize("action", [["sart"], ["remove"], ["remove", "x"], ["move", "1"]])
def test_an_action_that_is_none_says_which_there_are(shell: Shell, action: list[str]) -> None:
    done = shell.run("queue", *action, "--server", "T:")
    assert done.code == 2
    assert "list, start, hold, clear, remove N, move N POSITION" in done.err


@pytest.mark.parametrize("command", [["submit", "quick"], ["queue"]])
def test_a_queue_that_is_not_there_is_exit_code_4(shell: Shell, command: list[str]) -> None:
    shell.write("own.toml", "[ca]\nconnect_timeout = 0.5\n")
    assert shell.run(*command, "--server", "NO:", "--config", "own.toml").code == 4
