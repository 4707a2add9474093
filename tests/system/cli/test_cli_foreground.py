"""A foreground run: its keys on a terminal, and the commands of another one that find it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from cli_rig import COMMAND, Shell

ASKS = (
    "steps:\n  - ask: Is the sample in?\n  - log: it is in\n"
    "  - delay: 60\n    name: long delay\nfinally:\n  - log: all is closed\n"
)
ON_IT = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execvp(sys.argv[1], sys.argv[1:])"  # noqa: E501
"""Has a new session take its terminal, and goes on as a command."""


class Terminal:
    """A command on a terminal of its own, in its foreground."""

    def __init__(self, shell: Shell, command: Sequence[str]) -> None:
        self._ours, its = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_IT, *command],
            stdin=its, stdout=its, stderr=its,
            env={**shell.env, "TERM": "xterm-256color"},
            cwd=shell.folder,
            start_new_session=True,
        )  # fmt: skip
        self._its = its  # kept open: its settings outlive the command
        self.shown = ""

    @property
    def is_as_it_was(self) -> bool:
        """Whether it shows what is typed, and gives it by lines."""
        mode = termios.tcgetattr(self._its)[3]
        return bool(mode & termios.ECHO and mode & termios.ICANON)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, text: str, timeout: float = 60) -> None:
        """Until it shows a text, since this was last asked."""
        deadline, seen = time.monotonic() + timeout, ""
        while text not in seen:
            assert time.monotonic() < deadline, f"no {text!r} in {seen!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                seen += os.read(self._ours, 65536).decode(errors="replace")
        self.shown += seen

    def code(self) -> int:
        """The command's exit code; it must end now."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.shown
            self._drain(0.05)
        self._drain(0)
        return self.process.returncode

    def _drain(self, patience: float) -> None:
        while select.select([self._ours], [], [], patience)[0]:
            self.shown += os.read(self._ours, 65536).decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)
        os.close(self._its)


On = Callable[..., Terminal]


@pytest.fixture
def on_terminal(shell: Shell) -> Iterator[On]:
    started: list[Terminal] = []

    def start(*command: str) -> Terminal:
        terminal = Terminal(shell, command or [*COMMAND, "run", "asks.yaml"])
        started.append(terminal)
        return terminal

    shell.write("asks.yaml", ASKS)
    yield start
    for terminal in started:
        terminal.close()


def test_enter_answers_and_letters_do_what_the_last_line_says(on_terminal: On) -> None:
    it = on_terminal()
    it.until("Enter answers")
    it.type("\x1b[A\x1bOQx")  # an arrow, a function key, nothing
    it.type("\r")
    it.until("it is in")
    it.until("long delay")
    assert "Enter" not in it.shown[it.shown.rindex("long delay") :]
    it.type("\r")  # nothing is asked now
    it.type("p")
    it.until("Paused")
    it.type("\r")  # a pause is no question
    it.type("r")
    it.until("Running")
    it.type("q")
    it.until("y aborts it")
    it.type("n")
    it.until("p pause")
    it.type("s")
    it.until("all is closed")
    assert it.code() == 0
    assert "Success" in it.shown
    assert it.is_as_it_was


def test_q_aborts_when_it_is_meant_and_the_terminal_is_as_it_was(on_terminal: On) -> None:
    it = on_terminal()
    it.until("Enter answers")
    assert not it.is_as_it_was
    it.type("q")
    it.until("y aborts it")
    it.type("y")
    it.until("all is closed")
    assert it.code() == 3
    assert it.is_as_it_was
    assert "aborted" in it.shown


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda n: n.name
)
def test_a_signal_leaves_the_terminal_as_it_was(on_terminal: On, number: signal.Signals) -> None:
    it = on_terminal()
    it.until("Enter answers")
    it.process.send_signal(number)
    assert it.code() == (-number if number is signal.SIGQUIT else 3)
    assert it.is_as_it_was
    assert it.shown.rindex("\x1b[?25h") > it.shown.rindex("\x1b[?25l")  # the cursor is back


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(on_terminal: On) -> None:
    command = " ".join([*COMMAND, "run", "asks.yaml"])
    it = on_terminal("bash", "--norc", "-mc", f"{command}; echo out''side; read; fg; echo $?")
    it.until("Enter answers")
    it.type("\x1a")
    it.until("outside")
    assert it.is_as_it_was
    it.type("\n")
    it.until("Enter answers")
    it.type("\n")
    it.until("long delay")
    it.type("s")
    assert it.code() == 0
    assert "Success" in it.shown
    assert it.is_as_it_was


def test_a_run_in_the_background_leaves_the_terminal_to_others(on_terminal: On) -> None:
    command = " ".join([*COMMAND, "run", "asks.yaml"])
    it = on_terminal("bash", "--norc", "-mc", f"{command} & read typed; echo got $typed; kill %1")
    it.until("Is the sample in?")
    it.type("sq\n")
    it.until("got sq")
    it.code()
    assert it.is_as_it_was


# From another terminal --------------------------------------------------------------------------


def test_commands_in_the_same_folder_find_the_run(shell: Shell) -> None:
    shell.write("asks.yaml", ASKS)
    running = shell.start("run", "asks.yaml")
    running.until_says("orchestrator answer")
    running.until_says("Paused")
    shown = shell.run("status")
    assert shown.lines[0].startswith("EX: Paused asks")
    assert shell.run("answer").code == 0
    running.until_says("it is in")
    refused = shell.run("answer")
    assert (refused.code, refused.out) == (1, "")
    assert "nothing is asked" in refused.err
    assert "asks" in shell.run("pause").out
    running.until_says("Paused")
    assert shell.run("resume").code == 0
    assert shell.run("abort", "too", "hot").code == 0
    done = running.finish()
    assert done.code == 3
    assert "too hot" in done.err
    assert not list((shell.folder / "runs" / ".running").iterdir())


def test_two_runs_in_one_folder_go_side_by_side_and_a_command_asks_which(shell: Shell) -> None:
    shell.write("asks.yaml", ASKS)
    first, second = shell.start("run", "asks.yaml"), shell.start("run", "slow")
    first.until_says("orchestrator answer")
    second.until_says("waiting")
    asked = shell.run("abort")
    assert asked.code == 2
    for text in ("which is meant?", "--run asks", "--run slow"):
        assert text in asked.err
    none = shell.run("skip", "--run", "slwo")
    assert none.code == 2
    assert "no foreground run 'slwo'" in none.err
    assert shell.run("skip", "--run", "slow").code == 0
    assert second.finish().code == 0
    first.interrupt(signal.SIGKILL)
    first.finish()
    (left,) = (shell.folder / "runs" / ".running").iterdir()
    run_id = json.loads(left.read_text())["run_id"]
    gone = shell.run("abort", "--run", run_id)
    assert gone.code == 2
    assert "none is under way" in gone.err
    assert not left.exists()


def test_a_run_that_was_killed_is_told_by_status_and_by_the_next_run(shell: Shell) -> None:
    running = shell.start("run", "slow")
    running.until_says("waiting")
    running.interrupt(signal.SIGKILL)
    running.finish()
    told = "was interrupted: in steps[1] long delay; no put was in flight; finalisers have not run"
    service = shell.start("serve", "--interfaces", "127.0.0.1", "--port", "0", "--prefix", "FAR:")
    service.until_says("serving")
    status = shell.run("status")
    assert "outcome: Interrupted" in status.lines
    assert "finalisers have not run" in status.out
    service.interrupt(signal.SIGTERM)
    assert service.finish().code == 0
    status = shell.run("status")  # of no service
    assert status.code == 4
    assert told in status.err
    as_json = shell.run("run", "wrong", "--json")  # refused before it is a run
    assert as_json.code == 2
    as_json = shell.run("run", "quick", "--json")
    assert as_json.json["status"] == "Success"
    assert told in as_json.err
    done = shell.run("run", "quick")
    assert "interrupted" not in done.out + done.err


def test_the_next_run_tells_people_of_one_that_was_killed(shell: Shell) -> None:
    running = shell.start("run", "slow")
    running.until_says("waiting")
    running.interrupt(signal.SIGKILL)
    running.finish()
    done = shell.run("run", "quick")
    assert done.code == 0
    assert "the run slow" in done.out
    assert "was interrupted: in steps[1] long delay" in done.out


def test_a_service_in_the_folder_is_found_wherever_it_serves(shell: Shell) -> None:
    service = shell.start("serve", "--interfaces", "127.0.0.1", "--port", "0", "--prefix", "FAR:")
    service.until_says("serving")
    assert shell.run("status").lines[0].startswith("FAR: Idle")
    assert shell.run("get", "FAR:STATE").out.split() == ["FAR:STATE", "Idle"]
    refused = shell.run("run", "quick")
    assert refused.code == 2
    assert "--server FAR:" in refused.err
    assert shell.run("run", "quick", "--server", "FAR:").code == 0
    service.interrupt(signal.SIGTERM)
    assert service.finish().code == 0


HOW_MANY = (
    "steps:\n  - ask: {text: How many?, type: int, min: -5, max: 5, as: n}\n  - log: took $(n)\n"
)


def test_an_answer_is_typed_where_it_is_asked(shell: Shell, on_terminal: On) -> None:
    shell.write("how_many.yaml", HOW_MANY)
    it = on_terminal(*COMMAND, "run", "how_many.yaml")
    it.until("Enter sends it")
    it.type("12\r")
    it.until("'How many?' takes a whole number from -5 to 5, not 12")
    it.type("4s\x7f\r")  # no letter is a command here
    it.until("took 4")
    assert it.code() == 0
    assert it.is_as_it_was


def test_an_answer_comes_from_another_terminal(shell: Shell) -> None:
    shell.write("how_many.yaml", HOW_MANY)
    running = shell.start("run", "how_many.yaml")
    running.until_says("orchestrator answer VALUE")
    wrong = shell.run("answer", "-6")
    assert wrong.code == 1
    assert "'How many?' takes a whole number from -5 to 5, not -6" in wrong.err
    assert shell.run("answer", "-4").code == 0
    running.until_says("took -4")
    assert running.finish().code == 0
