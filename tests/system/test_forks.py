"""What our tests' forker starts is as Python starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sim_iocs.process import Child, Process
from sim_iocs.testing import until
from tests.forks import Forked, Forker

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "shows_itself", "a", "b c"]
OPTIONS = [
    {},
    {"session": True},
    {"env": {"PYTHONUNBUFFERED": "1", "PYTHONPATH": "/nowhere:/else"}},
    {"command": [sys.executable, "-P", *COMMAND[1:]], "env": {"PYTHONPATH": str(HERE)}},
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    with closing(Forker(packages=("shows_itself", "is_not_there"))) as forker:
        yield forker


@pytest.fixture(params=["forked", "as ever"])
def started(request: Any, forker: Forker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "start", forker.start if request.param == "forked" else Child)


both_ways = pytest.mark.usefixtures("started")


def process(env: dict[str, str] | None = None, command: list[str] = COMMAND, **how: Any) -> Process:
    ours = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    return Process("shows itself", command, ours | (env or {}), cwd=HERE, **how)


@pytest.mark.parametrize("how", OPTIONS)
def test_it_finds_what_python_gives(
    how: Any, forker: Forker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(starter: Any) -> Any:
        monkeypatch.setattr(Process, "start", starter)
        with closing(process(**how)) as shows:
            assert isinstance(shows._popen, Child if starter is Child else Forked)
            until(lambda: shows.lines)
            return json.loads(shows.output)

    assert shown(forker.start) == shown(Child)


@both_ways
def test_it_reads_and_writes_and_ends_with_its_input() -> None:
    with closing(process()) as shows:
        shows.write("hello")
        shows.write("3")
        until(lambda: shows.lines[-2:] == ["hello", "3"])
        assert (shows.ended, shows.exit_code) == (False, None)
        with pytest.raises(subprocess.TimeoutExpired):
            shows.wait(0.05)
        shows.end_input()
        assert shows.end() == 3
        assert shows.errors == "the end\n"
        assert shows.exit_code == 3


@both_ways
def test_its_stdout_may_be_a_pipe() -> None:
    with closing(process(piped=True)) as shows:
        assert json.loads(shows.stdout_pipe.readline())["name"] == "__main__"
        shows.write("0")
        assert shows.stdout_pipe.readline() == b"0\n"
        shows.end_input()
        assert shows.stdout_pipe.read() == b""


@both_ways
def test_a_signal_ends_it_and_is_its_exit_code() -> None:
    with closing(process()) as shows:
        until(lambda: shows.lines)
        shows.signal(signal.SIGINT)
        assert shows.end() == -signal.SIGINT
        assert "KeyboardInterrupt" in shows.errors
        shows.signal(signal.SIGTERM)  # nothing happens


@both_ways
def test_it_is_frozen_and_thawed() -> None:
    with closing(process()) as shows:
        until(lambda: shows.lines)
        shows.freeze()
        shows.write("1")
        assert Path(f"/proc/{shows.pid}/stat").read_text().split()[2] == "T"
        assert len(shows.lines) == 1
        shows.thaw()
        until(lambda: len(shows.lines) == 2)
        shows.kill()
        assert shows.exit_code == -signal.SIGKILL
        shows.freeze()  # nothing happens


@both_ways
def test_a_module_that_is_not_there_is_told_and_exit_code_1() -> None:
    with closing(process(command=[sys.executable, "-m", "is_not_there"])) as shows:
        assert shows.end() == 1
        assert "is_not_there" in shows.errors


def test_what_it_can_not_do_is_started_as_ever(forker: Forker) -> None:
    env = dict(os.environ)
    assert forker.can(COMMAND, env)
    assert not forker.can([sys.executable, "-c", "pass"], env)
    assert not forker.can([sys.executable, "-W", "error", *COMMAND[1:]], env)
    assert not forker.can([sys.executable, "-m", "pytest"], env)
    assert not forker.can(["/usr/bin/python3", *COMMAND[1:]], env)
    assert not forker.can(COMMAND, env | {"PYTHONHASHSEED": "1"})
    assert not forker.can(COMMAND, env | {"CAPROTO_MAX_SUBSCRIPTION_BACKLOG": "7"})
