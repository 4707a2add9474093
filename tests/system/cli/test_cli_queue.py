"""submit and queue: runs that wait at a service, seen and changed from the command line."""

import pytest
from cli_rig import Served, Shell, until

WRONG = "steps:\n  - wait: {pv: stage.x_rbv, above: 1000, timeout: 0.2}\n"
"""Fails after a moment."""


def waiting(served: Served) -> list[str]:
    return [run["name"] for run in served.run("queue", "--server", "T:", "--json").json["waiting"]]


def test_runs_wait_for_the_one_under_way_and_follow_each_other(served: Served) -> None:
    first = served.run("submit", "slow", "--server", "T:")
    assert first.code == 0
    assert first.out == "T: slow submitted as run 1\n"
    until(lambda: served.facts["BUSY"] == 1)
    assert served.run("submit", "quick", "a=5", "--server", "T:", "--json").json["number"] == 2
    assert served.run("submit", "quick", "a=6", "--server", "T:").code == 0
    listed = served.run("queue", "--server", "T:")
    assert [line.split("  ")[:3] for line in listed.lines] == [
        ["2", "quick", "a=5"],
        ["3", "quick", "a=6"],
    ]
    assert "queue: 2 wait: quick, quick" in served.run("status", "--server", "T:").lines
    assert served.facts["QUEUE_LEN"] == 2
    assert served.run("skip", "--server", "T:").code == 0
    served.service.until_says("a is 6")
    assert "a is 5" in served.service.err
    until(lambda: served.facts["STATE"] == "Idle")
    done = served.run("queue", "list", "--server", "T:")
    assert (done.code, done.out) == (0, "")
    assert "nothing waits" in done.err
    assert not done.noise


def test_runs_are_moved_removed_and_cleared(served: Served) -> None:
    assert served.run("queue", "hold", "--server", "T:").code == 0
    for name in ("slow", "quick", "slow"):
        assert served.run("submit", name, "--server", "T:").code == 0
    held = served.run("queue", "--server", "T:")
    assert "T: held" in held.err
    assert served.facts["STATE"] == "Idle"
    assert served.run("queue", "move", "2", "1", "--server", "T:").lines[0].startswith("2  quick")
    assert served.run("queue", "remove", "1", "--server", "T:").code == 0
    assert waiting(served) == ["quick", "slow"]
    done = served.run("queue", "remove", "7", "--server", "T:")
    assert done.code == 2
    assert "no run 7 is waiting; waiting are 2, 3" in done.err
    assert served.run("queue", "clear", "--server", "T:").code == 0
    assert waiting(served) == []
    assert served.run("queue", "start", "--server", "T:").code == 0
    assert not served.run("queue", "--server", "T:", "--json").json["held"]


def test_one_that_fails_holds_the_queue_and_says_how_it_ended(served: Served) -> None:
    served.shell.write("sequences/wrong.yaml", WRONG)
    served.run("queue", "hold", "--server", "T:")
    served.run("submit", "wrong", "--server", "T:")
    served.run("submit", "quick", "a=9", "--server", "T:")
    served.run("queue", "start", "--server", "T:")
    until(lambda: "Timeout" in served.run("queue", "--server", "T:").out)
    assert waiting(served) == ["wrong", "quick"]
    assert "queue: held, 2 wait: wrong, quick" in served.run("status", "--server", "T:").lines
    served.run("queue", "remove", "1", "--server", "T:")
    served.run("queue", "start", "--server", "T:")
    served.service.until_says("a is 9")


def test_what_can_not_be_run_is_refused_when_it_is_submitted(served: Served) -> None:
    done = served.run("submit", "quik", "--server", "T:")
    assert done.code == 2
    assert "did you mean 'quick'?" in done.err
    done = served.run("submit", "quick", "b=1", "--server", "T:")
    assert done.code == 2
    assert "'b'" in done.err
    assert waiting(served) == []
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
